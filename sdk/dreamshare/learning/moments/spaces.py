"""The unit space that moments are summed in, and symmetric matrices as half of their entries.

Shape legend: N examples, C channels, H height, W width, D = C*H*W values of an example.

Rules:
- an input is clipped to the declared range and mapped onto [-1, 1], so that a bound of 1 on means
  and on products of values follows from the range and clips nothing;
- a symmetric matrix travels as its upper triangle, row by row.
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
    """

    shape: tuple[int, int, int]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ConfigError(f"low {self.low} must lie below high {self.high}")

    @property
    def values(self) -> int:
        """D, the number of values of an example."""
        return math.prod(self.shape)

    def units(self, x_NCHW: Floats) -> Doubles:
        """Return examples as rows of the unit space, (N, D)."""
        x_ND = np.clip(x_NCHW.reshape(len(x_NCHW), -1).astype(np.float64), self.low, self.high)
        u_ND: Doubles = (x_ND - (self.low + self.high) / 2) * (2 / (self.high - self.low))
        return u_ND

    def inputs(self, u_ND: Doubles) -> Floats:
        """Inverse of `units`; what lies outside becomes the range's ends."""
        share_ND = (np.clip(u_ND, -1.0, 1.0) + 1) / 2
        x_ND = self.low + (self.high - self.low) * share_ND
        return x_ND.reshape(-1, *self.shape).astype(np.float32)


def packed_size(count: int) -> int:
    """Return how many numbers a symmetric matrix of `count` rows has."""
    return count * (count + 1) // 2


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
