"""Devices that label pixels: scenes of small bright or dim squares, three classes of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dreamshare.learning.base import Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.scenes import Scenes, compose
from tests.algorithms.oracle import Device

PIXELS = {"shape": (1, 4, 4), "pixels": True}
SCENES = Scenes(items=2, size=(4, 4))
COUNTS = ((12, 10), (20, 4), (6, 20))
"""Items of each class: the devices' pixels weigh 11, 12 and 13 of 36."""


def pixel_crew(
    learner: Callable[[int], Learner], counts: Sequence[tuple[int, int]] = COUNTS
) -> list[Device]:
    return [
        Device(learner(seed), pixel_data(seed, each), np.random.default_rng(seed))
        for seed, each in enumerate(counts)
    ]


def pixel_data(seed: int, counts: tuple[int, int]) -> ArrayData:
    """Scenes of two squares each; the held-out ones are of equally many of both classes."""
    rng = np.random.default_rng(seed)
    own, held_out = (compose(SCENES, *_squares(rng, each), rng) for each in (counts, (8, 8)))
    return ArrayData(own.x_NCHW, own.y_N, held_out)


def _squares(rng: np.random.Generator, counts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y_N = np.repeat(np.arange(2), counts)
    shades = np.array([-0.2, 0.8])[y_N][:, None, None, None]
    x_NCHW = shades + rng.normal(0, 0.1, (len(y_N), 1, 2, 2))
    return x_NCHW.astype(np.float32), y_N.astype(np.int64)
