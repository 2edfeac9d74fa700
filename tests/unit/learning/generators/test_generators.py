"""Generators: a picture is its request's alone; weights are files of a known digest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch

from dreamshare.errors import ConfigError
from dreamshare.learning.generators import (
    FlowSettings,
    GaussianGenerator,
    Generator,
    LatentFlowGenerator,
    Moments,
    Request,
    digest_of,
    load_flow,
    load_moments,
    requests_of,
    seed_of,
)
from dreamshare.learning.generators.base import checked
from dreamshare.learning.generators.cosine import Cosine
from dreamshare.learning.public import PublicSet
from dreamshare.learning.torch.flows import train_flow

SHAPE = (2, 6, 5)
TINY = FlowSettings(classes=3, latent=8, width=24, steps=6, training_steps=300, batch=32, low=-3.0)


def blobs(count: int = 240, seed: int = 0) -> PublicSet:
    """Pictures of three classes: one bright row each, its height the class's own."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(count) % 3
    x_NCHW = rng.normal(0, 0.1, (count, *SHAPE))
    x_NCHW[np.arange(count), :, 2 * y_N] += 0.8
    return PublicSet(x_NCHW.astype(np.float32), y_N.astype(np.int64))


def gaussian() -> GaussianGenerator:
    return GaussianGenerator(Moments.of_public(blobs(), 3, 4), SHAPE, -3.0, 1.0)


def flow() -> LatentFlowGenerator:
    return LatentFlowGenerator(train_flow(blobs(), TINY))


MADE = {"gaussian": gaussian, "flow": flow}
WANTED = requests_of(7, {0: 40, 2: 30, 1: 5})


@pytest.mark.parametrize("kind", MADE)
def test_a_picture_does_not_depend_on_its_batch(kind: str) -> None:
    generator = MADE[kind]()
    whole = generator.generate(WANTED)
    assert whole.shape == (75, *SHAPE) and whole.dtype == np.float32
    assert isinstance(generator, Generator)
    apart = np.concatenate([generator.generate([each]) for each in WANTED])
    backwards = generator.generate(WANTED[::-1])[::-1]
    tolerance = 0.0 if kind == "gaussian" else 1e-5
    np.testing.assert_allclose(apart, whole, atol=tolerance, rtol=0)
    np.testing.assert_allclose(backwards, whole, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", MADE)
def test_pictures_are_of_their_class_and_differ(kind: str) -> None:
    x_MCHW = MADE[kind]().generate(WANTED)
    for label in range(3):
        own = x_MCHW[[each.label == label for each in WANTED]]
        rows_H = own.mean(axis=(0, 1, 3))
        assert rows_H.argmax() == 2 * label
        assert own.std(axis=0).mean() > 0.02
    assert x_MCHW.min() >= -3.0 and x_MCHW.max() <= 1.0


@pytest.mark.parametrize("kind", MADE)
def test_what_it_does_not_know_is_refused(kind: str) -> None:
    generator = MADE[kind]()
    with pytest.raises(ConfigError, match="class 3"):
        generator.generate([Request(3, 0)])
    with pytest.raises(ConfigError, match="numbers from 0"):
        Request(-1, 0)
    assert generator.info().kind == kind
    assert generator.info().trained_on == blobs().digest


def test_seeds_are_the_requests_own() -> None:
    assert seed_of(7, 2, 4) == requests_of(7, {2: 9})[4].seed
    assert len({each.seed for each in requests_of(1, {0: 100, 1: 100})}) == 200
    assert seed_of(8, 2, 4) != seed_of(7, 2, 4)
    assert 0 <= seed_of(2**62, 10**4, 10**6) < 2**63


def test_the_embedding_is_the_cosine_transform_and_stays_within_the_range() -> None:
    x_NCHW = np.random.default_rng(0).uniform(-0.5, 0.5, (4, *SHAPE)).astype(np.float32)
    cosine = Cosine(SHAPE, 5)
    wanted = scipy.fft.dctn(x_NCHW.astype(np.float64), axes=(2, 3), norm="ortho")[:, :, :5, :5]
    np.testing.assert_allclose(cosine.embed(x_NCHW), wanted / np.sqrt(30), atol=1e-12)
    extreme = np.where(x_NCHW > 0, 1.0, -1.0).astype(np.float32)
    assert np.abs(cosine.embed(extreme)).max() <= 1.0
    assert np.abs(cosine.embed(np.ones_like(x_NCHW))).max() == pytest.approx(1.0)
    square = Cosine((1, 5, 5), 5)
    np.testing.assert_allclose(
        square.picture(square.embed(x_NCHW[:, :1, :5])), x_NCHW[:, :1, :5], atol=1e-6
    )
    with pytest.raises(ConfigError, match="1 to 5"):
        Cosine(SHAPE, 6)


def test_moments_of_sums_are_those_of_the_examples() -> None:
    public = blobs()
    e = Cosine(SHAPE, 4).embed(public.x_NCHW)
    found = Moments.of_public(public, 4, 4)
    for label in range(3):
        own = e[public.y_N == label]
        np.testing.assert_allclose(found.mean_KCFF[label], own.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.spread_KCFF[label], own.std(axis=0), atol=1e-9)
    assert not found.mean_KCFF[3].any() and not found.spread_KCFF[3].any()


def test_rounding_that_makes_a_variance_negative_makes_it_zero() -> None:
    one = np.ones((1, 1, 1, 1))
    assert Moments.of_sums(np.array([10.0]), 10 * one, 9.99 * one).spread_KCFF[0, 0, 0, 0] == 0
    with pytest.raises(ConfigError, match="negative"):
        Moments(one, -one)


def test_weights_survive_their_files(tmp_path: Path) -> None:
    moments = Moments.of_public(blobs(), 3, 4)
    moments.save(tmp_path / "moments.npz")
    again = GaussianGenerator(load_moments(tmp_path / "moments.npz"), SHAPE, -3.0, 1.0)
    np.testing.assert_array_equal(again.generate(WANTED), gaussian().generate(WANTED))
    weights = train_flow(blobs(), TINY)
    weights.save(tmp_path / "flow.npz")
    loaded = load_flow(tmp_path / "flow.npz")
    assert loaded.settings == TINY and loaded.trained_on == blobs().digest
    np.testing.assert_array_equal(
        LatentFlowGenerator(loaded).generate(WANTED[:3]),
        LatentFlowGenerator(weights).generate(WANTED[:3]),
    )


@pytest.mark.parametrize("load", [load_flow, load_moments])
def test_other_files_are_refused(tmp_path: Path, load) -> None:
    path = tmp_path / "weights.npz"
    for content in (b"", b"PK\x03\x04", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="holds no"):
            load(path)
    with path.open("wb") as file:
        np.savez(file, mean=np.array([print], dtype=object))  # would have to be unpickled
    with pytest.raises(ConfigError, match="holds no"):
        load(path)
    with pytest.raises(ConfigError, match="holds no"):
        load(tmp_path / "absent.npz")


def test_a_flow_is_the_same_from_the_same_seed_and_leaves_torchs_seed_alone() -> None:
    before = torch.random.get_rng_state()
    one, other = (train_flow(blobs(), TINY) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for (a, b), (c, d) in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_a_flow_listens_to_words() -> None:
    public = blobs()
    inverted = np.arange(len(public)) // 3 % 2
    sign = np.where(inverted == 1, -1, 1)[:, None, None, None]
    shown = PublicSet((public.x_NCHW * sign).astype(np.float32), public.y_N)
    settings = FlowSettings(3, words=2, latent=6, width=64, training_steps=500, batch=64, low=-3.0)
    weights = train_flow(shown, settings, inverted[:, None].astype(np.int64))
    asked = [Request(1, seed, (word,)) for word in (0, 1) for seed in range(20)]
    bright = LatentFlowGenerator(weights).generate(asked)[:, :, 2].mean(axis=(1, 2))
    assert bright[:20].mean() > 0.4 and bright[20:].mean() < -0.4
    with pytest.raises(ConfigError, match="words_NG goes with"):
        train_flow(shown, settings)


@pytest.mark.parametrize(
    "change",
    [{"classes": 1}, {"latent": 0}, {"learning_rate": 0.0}, {"low": 2.0}, {"batch": 1}],
)
def test_flow_settings_out_of_range(change) -> None:
    with pytest.raises(ConfigError):
        FlowSettings(**({"classes": 3} | change))


def test_a_flow_needs_classes_and_enough_pictures() -> None:
    with pytest.raises(ConfigError, match="one of 3 classes"):
        train_flow(PublicSet(blobs().x_NCHW), TINY)
    with pytest.raises(ConfigError, match="latent is 8"):
        train_flow(blobs(6), TINY)


def test_a_digest_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.json").write_bytes(b"12")
    (tmp_path / "a" / "two.json").write_bytes(b"3")
    first = digest_of(tmp_path / "a")
    (tmp_path / "a" / "two.json").rename(tmp_path / "a" / "three.json")
    second = digest_of(tmp_path / "a")
    (tmp_path / "a" / "one.json").write_bytes(b"1")
    (tmp_path / "a" / "three.json").write_bytes(b"23")
    assert len({first, second, digest_of(tmp_path / "a")}) == 3
    third = digest_of(tmp_path / "a")
    (tmp_path / "a" / "README.md").write_bytes(b"is not loaded")
    assert digest_of(tmp_path / "a") == third
    with pytest.raises(ConfigError, match=f"have the digest {digest_of(tmp_path / 'a')}"):
        checked(tmp_path / "a", first)
    with pytest.raises(ConfigError, match="no weights at"):
        digest_of(tmp_path / "b")
