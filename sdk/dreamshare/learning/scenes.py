"""Scenes: several labelled images on one canvas, with the class of every pixel by construction.

    scenes = Scenes(items=2, size=(20, 20))
    batch = compose(scenes, x_NCHW, y_N, rng)       # y_N of shape (scenes, 20, 20)

Shape legend: N items, M scenes, C channels, H height, W width.

Class 0 is the background; an item of class c is drawn in class c + 1.

Rules:
- an item is drawn once or, at the end of the last scene, not at all: devices that share no item
  share no part of a scene;
- items lie wholly on the canvas, at even chances everywhere; a later one hides what is below it;
- an item's pixels are those brighter than `threshold` of the range: its background is nobody's;
- a function of its arguments and of the generator that is passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints

BACKGROUND = 0


@dataclass(frozen=True, slots=True)
class Scenes:
    """How scenes are composed.

    Attributes:
        items: on a scene, >= 1.
        size: (height, width) of the canvas, pixels.
        low: smallest value of an image; the canvas is made of it.
        high: largest value, > low.
        threshold: share of the range, 0 to below 1, above which a pixel belongs to an item.
    """

    items: int
    size: tuple[int, int]
    low: float = -1.0
    high: float = 1.0
    threshold: float = 0.1

    def __post_init__(self) -> None:
        if self.items < 1 or min(self.size) < 1:
            raise ConfigError("scenes: at least one item, and a canvas of one pixel at least")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"scenes: low {self.low} must lie below high {self.high}")
        if not 0 <= self.threshold < 1:
            raise ConfigError(f"scenes: threshold is {self.threshold}; it must be 0 to below 1")


def compose(scenes: Scenes, x_NCHW: Floats, y_N: Ints, rng: np.random.Generator) -> Batch:
    """Return scenes of these items in a random order, x (M, C, H, W) and y (M, H, W).

    Raises:
        ConfigError: there are too few items for a scene, or they are larger than the canvas.
    """
    count, channels, *item = x_NCHW.shape
    rows, columns = scenes.size
    spare = (rows - item[0] + 1, columns - item[1] + 1)
    if min(spare) < 1 or len(y_N) != count:
        raise ConfigError(
            f"scenes of {rows}x{columns} pixels cannot hold {count} items of {item[0]}x{item[1]} "
            f"and {len(y_N)} classes"
        )
    if count < scenes.items:
        raise ConfigError(f"{count} items are too few for a scene of {scenes.items}")
    made = count // scenes.items
    x = np.full((made, channels, rows, columns), scenes.low, np.float32)
    y = np.full((made, rows, columns), BACKGROUND, np.int64)
    drawn = rng.permutation(count)[: made * scenes.items]
    corners = rng.integers(spare, size=(len(drawn), 2))
    level = scenes.low + scenes.threshold * (scenes.high - scenes.low)
    for number, (which, (top, left)) in enumerate(zip(drawn, corners, strict=True)):
        scene, mask = number // scenes.items, (x_NCHW[which] > level).any(axis=0)
        bottom, right = top + item[0], left + item[1]
        np.copyto(x[scene, :, top:bottom, left:right], x_NCHW[which], where=mask)
        np.copyto(y[scene, top:bottom, left:right], y_N[which] + 1, where=mask)
    return Batch(x, y)
