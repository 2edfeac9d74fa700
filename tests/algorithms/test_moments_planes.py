"""`moments/1` on pictures with channels: directions that brightness and colours share."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.moments import MomentSharing, form_of
from dreamshare.algorithms.moments.forms import MOST_NUMBERS, numbers_of
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


def test_the_directions_are_those_of_most_spread_within_classes_over_all_channels() -> None:
    parts = [coloured(seed) for seed in range(3)]
    config = moments(**QUIET, form="planes", components=6)
    found = told_gaussians(config, made(config, parts)).basis.vectors_DB
    x_NCHW, y_N = (np.concatenate(each) for each in zip(*parts, strict=True))
    u_NCP = config.space.units(x_NCHW).reshape(len(y_N), 3, 12)
    means_KCP = np.stack([u_NCP[y_N == label].mean(axis=0) for label in range(3)])
    within_MP = (u_NCP - means_KCP[y_N]).reshape(-1, 12)
    vectors_PP = np.linalg.eigh(within_MP.T @ within_MP)[1][:, -2:]
    first_P2 = found[:12, :2] * np.sqrt(3)
    opponents = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
    np.testing.assert_allclose(found, np.kron(opponents.T, first_P2), atol=1e-12)
    np.testing.assert_allclose(np.abs(vectors_PP.T @ first_P2), np.eye(2)[::-1], atol=0.02)


def test_what_is_drawn_has_the_shape_of_its_class() -> None:
    parts = [coloured(seed) for seed in range(3)]
    config = moments(**QUIET, form="planes", components=6, images=300)
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
    assert form.components > 100
