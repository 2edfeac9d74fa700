"""Pictures as low frequencies: a public embedding that needs no weights and can be undone.

    spectrum = Cosine((1, 28, 28), 12)
    e_NCFF = spectrum.embed(x_NCHW)             # (N, 1, 12, 12)
    x_NCHW = spectrum.picture(e_NCFF)           # the smooth part of the pictures

Shape legend: N pictures, C channels, H height, W width, F frequencies in each direction.

Rules:
- the orthonormal two-dimensional cosine transform (DCT-II), its F x F lowest frequencies, divided
  by sqrt(H W): a picture whose values lie in [-t, t] has an embedding in [-t, t], so a bound that
  follows from the range never clips;
- a picture's embedding does not depend on the others of its batch: every product is one picture's.
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
class Cosine:
    """The embedding.

    Attributes:
        shape: (C, H, W) of a picture.
        frequencies: F, 1 to the smaller of H and W.
    """

    shape: tuple[int, int, int]
    frequencies: int

    def __post_init__(self) -> None:
        least = min(self.shape[1:])
        if not 1 <= self.frequencies <= least:
            raise ConfigError(f"frequencies is {self.frequencies}; choose 1 to {least}")

    @property
    def size(self) -> tuple[int, int, int]:
        """Shape of an embedding, (C, F, F)."""
        return self.shape[0], self.frequencies, self.frequencies

    def embed(self, x_NCHW: Floats) -> Doubles:
        """Return embeddings (N, C, F, F)."""
        rows_FH, columns_FW = self._waves()
        e_NCFF: Doubles = rows_FH @ x_NCHW.astype(np.float64) @ columns_FW.T
        return e_NCFF / self._scale

    def picture(self, e_NCFF: Doubles) -> Floats:
        """Return the pictures (N, C, H, W) that have these frequencies and no others."""
        rows_FH, columns_FW = self._waves()
        x_NCHW: Floats = (rows_FH.T @ (e_NCFF * self._scale) @ columns_FW).astype(np.float32)
        return x_NCHW

    @property
    def _scale(self) -> float:
        return math.sqrt(self.shape[1] * self.shape[2])

    def _waves(self) -> tuple[Doubles, Doubles]:
        return waves(self.frequencies, self.shape[1]), waves(self.frequencies, self.shape[2])


def waves(count: int, length: int) -> Doubles:
    """Return the lowest `count` rows of the orthonormal DCT-II matrix."""
    places_L = (np.arange(length) + 0.5) * math.pi / length
    waves_FL: Doubles = np.cos(np.arange(count)[:, None] * places_L) * math.sqrt(2.0 / length)
    waves_FL[0] = math.sqrt(1.0 / length)
    return waves_FL
