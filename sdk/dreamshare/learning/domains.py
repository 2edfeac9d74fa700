"""Domains of pictures: the same classes, turned and inverted; what seeds and tests are made of.

    domains = (Domain(), Domain(degrees=90), Domain(inverted=True))
    seeds = public_of(domains, x_NCHW, y_N)           # every picture once, domains in turn
    tests = public_of(domains, x_NCHW, y_N, all_of_them=True)

Shape legend: N pictures, C channels, H height, W width.

Rules:
- quarter turns are exact; other angles are bilinear around the centre, and what comes from outside
  the picture is `low`, the background;
- inversion maps `low` to `high` and back, so values stay in their range;
- the order of a public set made here is fixed by its arguments alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.public import PublicSet


@dataclass(frozen=True, slots=True)
class Domain:
    """How a domain shows a picture.

    Attributes:
        degrees: counter-clockwise turn, any finite number.
        inverted: bright for dark.
        low: value of the background.
        high: largest value, > low.
    """

    degrees: float = 0.0
    inverted: bool = False
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.degrees):
            raise ConfigError(f"degrees is {self.degrees}; it must be finite")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"low {self.low} must lie below high {self.high}, both finite")

    def shown(self, x_NCHW: Floats) -> Floats:
        """Return the pictures as this domain shows them; raises ConfigError on another shape."""
        if x_NCHW.ndim != 4:
            raise ConfigError(f"pictures have shape (N, C, H, W), not {x_NCHW.shape}")
        turned = _turned(x_NCHW, self.degrees % 360.0, self.low)
        shown = self.low + self.high - turned if self.inverted else turned
        return np.ascontiguousarray(shown, np.float32)


def public_of(
    domains: Sequence[Domain], x_NCHW: Floats, y_N: Ints, *, all_of_them: bool = False
) -> PublicSet:
    """Return pictures of all domains, with their classes and domains.

    Args:
        domains: number d of the sequence is domain d.
        x_NCHW: pictures as no domain shows them.
        y_N: their classes.
        all_of_them: every picture in every domain, so that all have equal numbers; otherwise
            picture i is in domain i mod the number of domains.

    Raises:
        ConfigError: no domain, or pictures and classes that do not fit each other.
    """
    if not domains or len(x_NCHW) != len(y_N):
        raise ConfigError("give at least one domain, and a class for every picture")
    every = np.arange(len(x_NCHW))
    places = [
        every if all_of_them else every[number :: len(domains)] for number in range(len(domains))
    ]
    parts = [domain.shown(x_NCHW[own]) for domain, own in zip(domains, places, strict=True)]
    numbers_N = np.repeat(np.arange(len(domains)), [len(own) for own in places])
    return PublicSet(
        np.concatenate(parts),
        y_N[np.concatenate(places)].astype(np.int64),
        numbers_N.astype(np.int64),
    )


def _turned(x_NCHW: Floats, degrees: float, fill: float) -> Floats:
    quarters, rest = divmod(degrees, 90.0)
    height, width = x_NCHW.shape[2:]
    if rest == 0 and (quarters % 2 == 0 or height == width):
        return np.rot90(x_NCHW, int(quarters), axes=(2, 3))
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    row_HW, column_HW = np.meshgrid(
        np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
    )
    # Where each pixel comes from: the turn backwards. Rows grow downwards.
    from_row_HW = cosine * row_HW + sine * column_HW + (height - 1) / 2
    from_column_HW = cosine * column_HW - sine * row_HW + (width - 1) / 2
    # A border of background, so that what lies outside blends into it.
    padded = np.pad(x_NCHW, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=fill)
    row_HW = np.clip(from_row_HW + 1, 0, height + 1)
    column_HW = np.clip(from_column_HW + 1, 0, width + 1)
    top_HW = np.minimum(row_HW.astype(int), height)
    left_HW = np.minimum(column_HW.astype(int), width)
    down_HW, right_HW = row_HW - top_HW, column_HW - left_HW
    mixed = (
        padded[:, :, top_HW, left_HW] * (1 - down_HW) * (1 - right_HW)
        + padded[:, :, top_HW, left_HW + 1] * (1 - down_HW) * right_HW
        + padded[:, :, top_HW + 1, left_HW] * down_HW * (1 - right_HW)
        + padded[:, :, top_HW + 1, left_HW + 1] * down_HW * right_HW
    )
    turned: Floats = mixed.astype(np.float32)
    return turned
