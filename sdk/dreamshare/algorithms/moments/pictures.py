"""A labelled set as it travels and is trained on: a byte a value.

Shape legend: M pictures, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.moments import Space
from dreamshare.payloads.pixels import unpacked


@dataclass(frozen=True, slots=True)
class Pictures:
    """A labelled set, a byte a value.

    Attributes:
        bytes_MCHW: its inputs.
        labels_M: their classes.
        space: whose ranges say what the smallest and the largest byte mean.
    """

    bytes_MCHW: NDArray[np.uint8]
    labels_M: Ints
    space: Space

    def __len__(self) -> int:
        return len(self.labels_M)

    def counts(self, classes: int) -> Ints:
        """Return how many there are of each class, (K,)."""
        return np.bincount(self.labels_M, minlength=classes).astype(np.int64)

    def input(self, place: int) -> Floats:
        """Return one input (C, H, W)."""
        return unpacked(self.bytes_MCHW[place], *self.space.ends)

    def inputs(self) -> Floats:
        """Return all of them (M, C, H, W)."""
        return unpacked(self.bytes_MCHW, *self.space.ends)
