"""The unit space that moments are summed in, and symmetric matrices as half of their entries.

Shape legend: N examples, C channels, H height, W width, D = C*H*W values of an example.

Rules:
- an input is clipped to the declared range and mapped onto [-1, 1], so that a bound of 1 on means
  and on products of values follows from the range and clips nothing;
- a symmetric matrix travels as its upper triangle, row by row; one of several planes as that of
  each of them, and what goes from one to another does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Space:
    """Where an example's values lie.

    Attributes:
        shape: (C, H, W) of an example.
        low, high: range of its values, low < high.
        ranges: of each channel, instead of these; empty: all have one.
    """

    shape: tuple[int, int, int]
    low: float
    high: float
    ranges: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        for low, high in ((self.low, self.high), *self.ranges):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ConfigError(f"low {low} must lie below high {high}, both finite")
        if self.ranges and len(self.ranges) != self.shape[0]:
            raise ConfigError(f"{len(self.ranges)} ranges of {self.shape[0]} channels")

    @property
    def values(self) -> int:
        """D, the number of values of an example."""
        return math.prod(self.shape)

    @property
    def ends(self) -> tuple[Doubles, Doubles]:
        """Lowest and highest value of each channel, (C, 1, 1)."""
        ranges = self.ranges or ((self.low, self.high),) * self.shape[0]
        low_C, high_C = np.array(ranges, np.float64).T
        return low_C[:, None, None], high_C[:, None, None]

    def units(self, x_NCHW: Floats) -> Doubles:
        """Return examples as rows of the unit space, (N, D)."""
        low, high = self.ends
        u_NCHW = (x_NCHW.astype(np.float64) - (low + high) / 2) * (2 / (high - low))
        u_ND: Doubles = np.clip(u_NCHW.reshape(len(x_NCHW), -1), -1.0, 1.0)
        return u_ND

    def inputs(self, u_ND: Doubles) -> Floats:
        """Inverse of `units`; what lies outside becomes the range's ends."""
        low, high = self.ends
        share_NCHW = (np.clip(u_ND, -1.0, 1.0).reshape(-1, *self.shape) + 1) / 2
        x_NCHW: Floats = (low + (high - low) * share_NCHW).astype(np.float32)
        return x_NCHW


def packed_size(count: int) -> int:
    """Return how many numbers a symmetric matrix of `count` rows has."""
    return count * (count + 1) // 2


def products(parts_NB: Doubles, planes: int) -> Doubles:
    """Return the sums of products of components within each plane, triangle after triangle."""
    parts_LNB = parts_NB.reshape(len(parts_NB), planes, -1).transpose(1, 0, 2)
    found: Doubles = upper(parts_LNB.transpose(0, 2, 1) @ parts_LNB).ravel()
    return found


def symmetric_blocks(packed: Doubles, count: int, planes: int) -> Doubles:
    """Inverse of `products`: (..., count, count), zeros between planes."""
    each = count // planes
    blocks = symmetric(packed.reshape(*packed.shape[:-1], planes, -1), each)
    found: Doubles = np.zeros((*packed.shape[:-1], count, count))
    for plane in range(planes):
        here = slice(plane * each, (plane + 1) * each)
        found[..., here, here] = blocks[..., plane, :, :]
    return found


def upper(matrix: Doubles) -> Doubles:
    """Return the upper triangles of (..., n, n) matrices, row by row."""
    rows, columns = np.triu_indices(matrix.shape[-1])
    return matrix[..., rows, columns]


def symmetric(packed: Doubles, count: int) -> Doubles:
    """Inverse of `upper`: (..., count, count) from its triangles."""
    rows, columns = np.triu_indices(count)
    matrix: Doubles = np.zeros((*packed.shape[:-1], count, count))
    matrix[..., rows, columns] = packed
    matrix[..., columns, rows] = packed
    return matrix
