"""The examples of an experiment before they are dealt: three parts that share nothing.

Shape legend: N examples, C channels, H height, W width.

Rules:
- which examples are for training, validation and test does not depend on a recipe's seeds: choices
  made with one seed have seen no test example of another;
- values lie in [low, high], the space that nets and dreams live in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints
from dreamshare.learning.data import labels_fit
from dreamshare.learning.scenes import Scenes, compose

DIVISION_SEED = 20_611
"""Of the order in which a source's training examples are divided; public and fixed."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Examples with classes; every batch has y_N.

    Attributes:
        train, validation, test: x float32 (N, C, H, W), y int64 (N,) or, of pixels, (N, H, W).
        classes: of these labels, >= 2.
        low: smallest value of an input.
        high: largest value, > low.
        scenes: devices are given scenes that are composed of these examples, instead of them.
    """

    train: Batch
    validation: Batch
    test: Batch
    classes: int
    low: float
    high: float
    scenes: Scenes | None = None

    def __post_init__(self) -> None:
        of_pixels = self.train.y_N is not None and self.train.y_N.ndim > 1
        for name, part in self.parts():
            x_NCHW, y_N = part.x_NCHW, part.y_N
            if y_N is None or x_NCHW.ndim != 4 or not labels_fit(x_NCHW.shape, y_N.shape):
                raise ConfigError(
                    f"data: {name} needs inputs of shape NCHW, and a class for each or for each of "
                    "their pixels"
                )
            if of_pixels != (y_N.ndim > 1) or (of_pixels and self.scenes):
                raise ConfigError(f"data: {name} has labels of another kind than is wanted")
            if x_NCHW.shape[1:] != self.train.x_NCHW.shape[1:]:
                raise ConfigError(f"data: {name} has inputs of another shape than train")
            if len(y_N) and not (y_N.min() >= 0 and y_N.max() < self.classes):
                raise ConfigError(f"data: {name} has a class outside 0 to {self.classes - 1}")
        if self.low >= self.high:
            raise ConfigError(f"data: low {self.low} must lie below high {self.high}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one example of a device."""
        channels, height, width = self.train.x_NCHW.shape[1:]
        return (channels, *self.scenes.size) if self.scenes else (channels, height, width)

    @property
    def pixels(self) -> bool:
        """Whether the labels of devices' examples are those of their pixels."""
        return self.scenes is not None or (self.train.y_N is not None and self.train.y_N.ndim > 1)

    @property
    def labels(self) -> int:
        """Classes that a model tells apart: with scenes, the background is one more."""
        return self.classes + 1 if self.scenes else self.classes

    def shown(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return examples as devices have them: as they are, or the scenes made of them."""
        if self.scenes is None or batch.y_N is None:
            return batch
        return compose(self.scenes, batch.x_NCHW, batch.y_N, rng)

    def parts(self) -> tuple[tuple[str, Batch], ...]:
        """Return the three parts by name."""
        return ("train", self.train), ("validation", self.validation), ("test", self.test)


def divided(x_NCHW: Floats, y_N: Ints, sizes: tuple[int, int]) -> tuple[Batch, Batch, Batch]:
    """Return (rest, first, second): parts of `sizes` in a fixed order, and what is left.

    Raises:
        ConfigError: nothing would be left.
    """
    if sum(sizes) >= len(y_N):
        raise ConfigError(
            f"{len(y_N)} examples are too few for {sizes[0]} and {sizes[1]} set aside; "
            "lower data.validation or data.test"
        )
    order = np.random.default_rng(DIVISION_SEED).permutation(len(y_N))
    first, second, rest = np.split(order, np.cumsum(sizes))
    return taken(x_NCHW, y_N, rest), taken(x_NCHW, y_N, first), taken(x_NCHW, y_N, second)


def taken(x_NCHW: Floats, y_N: Ints, places: Ints) -> Batch:
    """Return the examples at these places."""
    return Batch(x_NCHW[places], y_N[places])


def scaled(raw_NHW: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Floats:
    """Return bytes 0..255 as one channel of floats in [-1, 1]."""
    return (raw_NHW.astype(np.float32) / 127.5 - 1.0)[:, None]


def halved(x_NCHW: Floats) -> Floats:
    """Return means over blocks of 2x2 pixels.

    Raises:
        ConfigError: height or width is odd.
    """
    count, channels, height, width = x_NCHW.shape
    if height % 2 or width % 2:
        raise ConfigError(f"data.halve needs even sizes; these examples are {height}x{width}")
    blocks = x_NCHW.reshape(count, channels, height // 2, 2, width // 2, 2)
    means_NCHW: Floats = blocks.mean(axis=(3, 5), dtype=np.float32)
    return means_NCHW
