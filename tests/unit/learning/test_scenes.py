"""Scenes: every pixel's class is known because the scene was made so."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.scenes import Scenes, compose


def items(count: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Squares of 2x2 in the middle of 4x4, each of a brightness of its own; classes 0, 1, 2."""
    x = np.full((count, channels, 4, 4), -1.0, np.float32)
    for number in range(count):
        x[number, :, 1:3, 1:3] = -0.7 + 1.6 * number / count
    return x, np.arange(count, dtype=np.int64) % 3


def brightness(number: int, count: int) -> np.float32:
    return np.float32(-0.7 + 1.6 * number / count)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixel_has_the_class_of_the_item_that_is_seen_there(channels):
    x, y = items(12, channels)
    made = compose(Scenes(2, (6, 7)), x, y, np.random.default_rng(0))
    assert made.x_NCHW.shape == (6, channels, 6, 7) and made.y_N.shape == (6, 6, 7)
    owner = {brightness(number, 12): y[number] + 1 for number in range(12)} | {np.float32(-1): 0}
    wanted = np.vectorize(owner.get)(made.x_NCHW[:, 0])
    np.testing.assert_array_equal(made.y_N, wanted)
    assert set(np.unique(made.y_N)) == {0, 1, 2, 3}


def test_every_item_is_in_one_scene_at_most():
    x, y = items(13)
    made = compose(Scenes(3, (12, 12)), x, y, np.random.default_rng(1))
    seen = [set(np.unique(scene)) - {np.float32(-1)} for scene in made.x_NCHW]
    assert len(made.x_NCHW) == 4
    assert sum(len(each) for each in seen) == len(set.union(*seen)) <= 12


def test_a_seed_repeats_a_scene_and_another_makes_another():
    x, y = items(8)
    one, again, other = (
        compose(Scenes(2, (9, 9)), x, y, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one.x_NCHW, again.x_NCHW)
    np.testing.assert_array_equal(one.y_N, again.y_N)
    assert (one.x_NCHW != other.x_NCHW).any()


def test_the_later_item_hides_the_earlier_one():
    """On a canvas of the items' size both lie in the same place."""
    x, y = items(2)
    made = compose(Scenes(2, (4, 4)), x, y, np.random.default_rng(0))
    assert (made.y_N == 0).sum() == 12 and len(np.unique(made.y_N)) == 2


@pytest.mark.parametrize(
    ("scenes", "count", "said"),
    [
        (Scenes(2, (3, 9)), 4, "cannot hold 4 items of 4x4"),
        (Scenes(5, (9, 9)), 4, "4 items are too few for a scene of 5"),
    ],
)
def test_what_cannot_be_composed_is_said(scenes, count, said):
    with pytest.raises(ConfigError, match=said):
        compose(scenes, *items(count), np.random.default_rng(0))


@pytest.mark.parametrize(
    "wrong",
    [{"items": 0}, {"size": (0, 4)}, {"low": 1.0}, {"high": float("nan")}, {"threshold": 1.0}],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError, match="scenes"):
        Scenes(**({"items": 1, "size": (4, 4)} | wrong))
