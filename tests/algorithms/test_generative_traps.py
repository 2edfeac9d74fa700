"""Traps of federated generative learning, each named; we do not fall in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Tell
from dreamshare.algorithms.catalog import algorithm_from, config_json_of
from dreamshare.algorithms.generative import Generative, device
from dreamshare.errors import ConfigError
from dreamshare.learning.data import ArrayData
from dreamshare_edge.halting import Halt, HaltingData
from tests.algorithms.describing import describers, flow_file, generative, moments_file
from tests.algorithms.oracle import run
from tests.algorithms.toy import ToyLearner, toy_data


def test_pictures_do_not_depend_on_how_many_are_asked_for(tmp_path: Path) -> None:
    """A seed per batch gives other pictures for another batch size."""
    config = generative(message="counts", image_bits=32, **flow_file(tmp_path))
    few = run(Generative(config), describers(ToyLearner)).done.result
    many = run(Generative(replace(config, images=90)), describers(ToyLearner)).done.result
    np.testing.assert_allclose(many["images"][:60], few["images"], atol=1e-5)


def test_no_caption_and_no_file_name_travels(tmp_path: Path) -> None:
    """Captions describe single photographs: a device answers with declared sums alone."""
    for message in ({}, {"message": "counts", **flow_file(tmp_path)}):
        for fields in Generative(generative(**message)).steps().values():
            names = {field.name for field in fields}
            assert names <= {"counts", "holders", "words", "described", "sums", "squares"}
            assert all(field.shape[0] == 3 for field in fields), "per class, not per example"


def test_an_unknown_class_is_refused() -> None:
    data = ArrayData(np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 2, 3]))
    with pytest.raises(ConfigError, match="a label is 3, but there are 3 classes"):
        device.count(generative(), data)


def test_a_class_of_a_single_photograph_is_not_described() -> None:
    """Its sum would be that photograph's embedding, whatever the masks."""
    config = generative()
    devices = describers(ToyLearner, counts=((10, 1, 7), (6, 0, 5)))
    asked: list[Ask | Tell] = []
    seen = run(Generative(config), devices, after=asked.append)
    describe = next(plan for plan in asked if plan.step == "describe")
    assert describe.tensors["wanted"].tolist() == [1, 0, 1]
    arrays = device.describe(config, describe, devices[0].data).arrays
    assert arrays["described"].tolist() == [10, 0, 7]
    assert not arrays["sums"][1].any() and not arrays["squares"][1].any()
    assert 1 not in seen.done.result["labels"]


def test_a_class_that_one_device_holds_can_be_left_out() -> None:
    """Masks hide nothing in a sum of one."""
    config = generative(least_holders=2)
    seen = run(Generative(config), describers(ToyLearner, 2, ((10, 9, 7), (6, 0, 5))))
    assert set(seen.done.result["labels"].tolist()) == {0, 2}


def test_the_last_example_of_a_pass_is_not_forgotten() -> None:
    """Batches leave out a remainder of one; a sum must not."""
    config = generative(described=4096, max_examples=4096)
    for count in (5, 6, 7, 512, 513, 1025, 1537):
        data = toy_data(0, (count, 0, 0))
        ask = Ask("describe", (), {"wanted": np.ones(3, np.uint8)})
        arrays = device.describe(config, ask, data).arrays
        assert arrays["described"].tolist() == [count, 0, 0]
        (batch,) = (next(data.batches(np.random.default_rng(1), count)),)
        wanted = np.clip(batch.x_NCHW, config.low, config.high).sum(dtype=np.float64) / 4
        assert arrays["sums"][0, 0, 0, 0] == pytest.approx(wanted, rel=1e-6)


def test_a_device_with_more_examples_than_are_described_counts_what_it_described() -> None:
    ask = Ask("describe", (), {"wanted": np.ones(3, np.uint8)})
    arrays = device.describe(generative(described=7), ask, toy_data(0, (10, 6, 5))).arrays
    assert arrays["described"].sum() == 7


@pytest.mark.parametrize("least", [1, 5, 6, 31])
def test_a_class_with_fewer_than_the_owners_least_is_zeros_whatever_is_announced(
    least: int,
) -> None:
    counts = (4, 5, 30)
    data = HaltingData(toy_data(0, counts), Halt(), least)
    kept = [n if n >= least else 0 for n in counts]
    config = generative(
        message="counts", captions="attributes", generator="diffusers", weights="a", digest="0" * 64
    )
    counted = device.count(config, data).arrays
    assert counted["counts"].tolist() == kept
    assert counted["holders"].tolist() == [float(n > 0) for n in kept]
    assert (counted["words"] > 0).any(axis=1).tolist() == [n > 0 for n in kept]
    lie = Ask("describe", (), {"wanted": np.ones(3, np.uint8)})
    arrays = device.describe(generative(), lie, data).arrays
    assert arrays["described"].tolist() == kept
    for name in ("sums", "squares"):
        assert arrays[name].reshape(3, -1).any(axis=1).tolist() == [n > 0 for n in kept]


def test_other_weights_than_the_configs_are_refused(tmp_path: Path) -> None:
    """Model ids change hands and contents: before anything is asked the digest is checked."""
    named = moments_file(tmp_path)
    algorithm = Generative(generative(message="counts", **named))
    state = algorithm.init(np.random.default_rng(0))
    Path(named["weights"]).write_bytes(b"others")
    with pytest.raises(ConfigError, match="have the digest"):
        algorithm.merge(state, {}, Crowd(3, 3))


def test_a_device_opens_no_weights(tmp_path: Path) -> None:
    """The config names a file of the aggregator's; here there is none, and all steps work."""
    named = moments_file(tmp_path)
    config = generative(message="none", evaluate=True, **named)
    seen: list[Ask | Tell] = []
    run(Generative(config), describers(ToyLearner), after=seen.append)
    Path(named["weights"]).unlink()
    algorithm = algorithm_from(*config_json_of(config))
    for plan in seen:
        algorithm.local(plan, ToyLearner(), toy_data(0), np.random.default_rng(0))


def test_weights_of_another_kind_of_picture_are_refused(tmp_path: Path) -> None:
    config = generative(shape=(2, 2, 2), message="none", evaluate=True, **moments_file(tmp_path))
    algorithm = Generative(config)
    state = algorithm.init(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="not those of"):
        algorithm.merge(state, {}, Crowd(3, 3))
    words = generative(message="counts", captions="attributes", **flow_file(tmp_path))
    with pytest.raises(ConfigError, match="this flow knows"):
        run(Generative(words), describers(ToyLearner))


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"images": np.zeros((2, 1, 2, 2), np.uint8)},
        {"images": np.zeros((2, 1, 2, 3), np.uint8), "labels": np.zeros(2, np.uint8)},
        {"images": np.zeros((2, 1, 2, 2), np.uint8), "labels": np.array([0, 3])},
        {"images": np.zeros((2, 1, 2, 2), np.uint8), "labels": np.array([0, -1])},
        {"images": np.full((2, 1, 2, 2), np.nan, np.float32), "labels": np.array([0, 1])},
    ],
)
def test_a_set_that_does_not_fit_teaches_nothing(tensors) -> None:
    toy = ToyLearner()
    before = toy.snapshot()
    with pytest.raises(ConfigError, match="synthetic set"):
        Generative(generative()).local(
            Tell("learn", tensors), toy, toy_data(0), np.random.default_rng(0)
        )
    assert toy.snapshot() == before


def test_noise_in_the_sums_leaves_a_set_of_finite_pictures() -> None:
    """Variances below 0, counts below 0, classes of nobody: noise makes all of these."""
    algorithm = Generative(generative())
    state = algorithm.merge(algorithm.init(np.random.default_rng(0)), {}, Crowd(3, 3))
    rng = np.random.default_rng(0)
    counted = {"counts": np.array([9.0, -2.0, 5.0]), "holders": np.array([1.0, 0.1, 0.7])}
    state = algorithm.merge(state, counted, Crowd(3, 3))
    noisy = {
        "described": np.array([8.0, -1.0, 0.1]),
        "sums": rng.normal(0, 9, (3, 1, 2, 2)),
        "squares": rng.normal(0, 9, (3, 1, 2, 2)),
    }
    state = algorithm.merge(state, noisy, Crowd(3, 3))
    assert np.isfinite(state.x_MCHW).all()
    assert set(state.labels_M.tolist()) == {0, 2}


def test_a_cohort_without_examples_ends_the_run() -> None:
    algorithm = Generative(generative())
    state = algorithm.merge(algorithm.init(np.random.default_rng(0)), {}, Crowd(3, 3))
    nothing = {"counts": np.zeros(3), "holders": np.zeros(3)}
    with pytest.raises(ConfigError, match="single example"):
        algorithm.merge(state, nothing, Crowd(3, 3))


def test_no_class_is_common_enough() -> None:
    seen = run(Generative(generative(least_examples=1000)), describers(ToyLearner))
    assert len(seen.done.result["labels"]) == 0
    assert seen.steps[-1] == "learn"


def test_a_config_is_read_strictly() -> None:
    name, text = config_json_of(generative())
    tree = json.loads(text)
    assert algorithm_from(name, text).config == generative()
    changed = json.dumps(tree | {"captioner": "x"}, sort_keys=True, separators=(",", ":"))
    with pytest.raises(ConfigError, match="unknown field 'captioner'"):
        algorithm_from(name, changed.encode())
