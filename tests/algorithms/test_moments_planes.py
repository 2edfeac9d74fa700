"""`moments/1` on pictures with channels: directions that brightness and colours share."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.moments import MomentSharing, device, form_of
from dreamshare.algorithms.moments.forms import MOST_NUMBERS, numbers_of, sketch_fields
from dreamshare.learning.data import ArrayData
from tests.algorithms.moments import moments, owned, pooled, told_gaussians
from tests.algorithms.oracle import run

SHAPE = (3, 3, 4)
QUIET = {"warm_up_epochs": 0, "fit_steps": 0, "shape": SHAPE}


def coloured(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A shape of one of three classes, of a random hue, on grey noise."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(count) % 3
    shapes_K = np.random.default_rng(1).normal(0, 0.6, (3, 1, *SHAPE[1:]))
    hue_N = rng.normal(0.5, 0.7, (count, 3, 1, 1))
    x_NCHW = hue_N * shapes_K[y_N] + rng.normal(0, 0.1, (count, *SHAPE))
    return x_NCHW.astype(np.float32), y_N


def made(config, parts):
    return run(MomentSharing(config), owned([ArrayData(x, y) for x, y in parts])).done.result


def test_the_sums_are_the_moments_of_the_pooled_examples() -> None:
    parts = [coloured(seed) for seed in range(3)]
    config = moments(**QUIET, form="planes", components=12)
    form = form_of(config)
    assert (form.kind, form.components, form.columns, form.planes) == ("basis", 12, 12, 3)
    result = made(config, parts)
    assert result["basis"].shape == (12, 4)
    found = told_gaussians(config, result)
    x_NCHW, y_N = (np.concatenate(each) for each in zip(*parts, strict=True))
    wanted = pooled(config, x_NCHW, y_N, found.basis)
    np.testing.assert_allclose(found.mean_KD, wanted.mean_KD, atol=1e-6)
    within_BB = np.kron(np.eye(3), np.ones((4, 4)))  # what goes from one plane to another is left
    np.testing.assert_allclose(found.covariance_KBB, wanted.covariance_KBB * within_BB, atol=1e-6)
    vectors_DB, pooled_BB = found.basis.vectors_DB, wanted.covariance_KBB.mean(axis=0) * within_BB
    inside_D = np.diag(vectors_DB @ pooled_BB @ vectors_DB.T)
    variance_D = (config.space.units(x_NCHW) - wanted.mean_KD[y_N]).var(axis=0)
    np.testing.assert_allclose(found.residual_D, np.maximum(variance_D - inside_D, 0), atol=1e-6)


@pytest.mark.parametrize(("each", "highest"), [(2, 5), (3, 13)])
def test_means_and_directions_of_most_spread_within_classes_are_of_low_frequencies(
    each: int, highest: int
) -> None:
    """Of the lowest, four for each direction; directions are of all channels together.

    Of 3x4 those are (row, column) with row^2 + column^2 up to 5, which are eight, and all twelve.
    """
    parts = [coloured(seed) for seed in range(3)]
    config = moments(**QUIET, form="planes", components=3 * each)
    made_of = told_gaussians(config, made(config, parts))
    x_NCHW, y_N = (np.concatenate(part) for part in zip(*parts, strict=True))
    u_NCHW = config.space.units(x_NCHW).reshape(-1, *SHAPE)
    means_KCHW = np.stack([u_NCHW[y_N == label].mean(axis=0) for label in range(3)])
    low_HW = np.add.outer(np.arange(3) ** 2, np.arange(4) ** 2) <= highest
    assert low_HW.sum() == 4 * each

    def smooth(x_NCHW: np.ndarray) -> np.ndarray:
        f_NCHW = scipy.fft.dctn(x_NCHW, norm="ortho", axes=(2, 3))
        return scipy.fft.idctn(f_NCHW * low_HW, norm="ortho", axes=(2, 3))

    np.testing.assert_allclose(made_of.mean_KD, smooth(means_KCHW).reshape(3, -1), atol=1e-6)
    smooth_MP = smooth(u_NCHW - means_KCHW[y_N]).reshape(-1, 12)
    vectors_PB = np.linalg.eigh(smooth_MP.T @ smooth_MP)[1][:, ::-1][:, :each]
    found = made_of.basis.vectors_DB
    first_PB = found[:12, :each] * np.sqrt(3)
    opponents = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
    np.testing.assert_allclose(found, np.kron(opponents.T, first_PB), atol=1e-12)
    np.testing.assert_allclose(np.abs(vectors_PB.T @ first_PB), np.eye(each), atol=0.02)


def test_a_picture_of_one_brightness_and_smooth_ones_are_sketched_without_clipping() -> None:
    """All white has all of its energy at frequency 0, where the bound is twice its sketch."""
    config = moments(shape=(3, 16, 16), low=0.0, high=1.0, form="planes", components=24)
    form = form_of(config)
    assert (form.rows, form.columns) == (32, 16)
    white = np.ones((20, 3, 16, 16), np.float32)
    ramp = white * np.linspace(0, 1, 16, dtype=np.float32)
    totals = {"totals": np.array([20.0, 20.0, 0.0]), "holders": np.array([1.0, 1.0, 0.0])}
    data = ArrayData(np.concatenate([white, ramp]), np.repeat([0, 1], 20))
    answer = device.sketch(config, Ask("sketch", (), tensors=totals), data)
    assert float(answer.arrays["clipped"]) == 0.0
    bound = next(f.bound for f in sketch_fields(config, form) if f.name == "sketch")
    assert bound == 2 * np.sqrt(256 / 16)


def test_what_is_drawn_has_the_shape_of_its_class() -> None:
    parts = [coloured(seed) for seed in range(3)]
    config = moments(**QUIET, form="planes", components=9, images=300)  # of all frequencies
    result = made(config, parts)
    drawn = result["images"].astype(float).reshape(3 * 300, 3, 12)
    hidden = drawn - 255 * (0 - config.low) / (config.high - config.low)  # around grey
    shapes_KP = np.random.default_rng(1).normal(0, 0.6, (3, 1, *SHAPE[1:])).reshape(3, 12)
    likeness_NK = np.square(hidden @ shapes_KP.T).sum(axis=1) / np.square(shapes_KP).sum(axis=1)
    assert (likeness_NK.argmax(axis=1) == result["labels"]).mean() > 0.8


@pytest.mark.parametrize("side", [28, 32])
def test_the_rule_keeps_colours_within_the_message(side: int) -> None:
    config = moments(shape=(3, side, side), classes=10, images=1)
    form = form_of(config)
    assert form.planes == 3
    assert numbers_of(form, config.space.values, 10) <= MOST_NUMBERS
    assert form.components == 3 * 76
