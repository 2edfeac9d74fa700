"""Dreams as bytes: 8 bits a pixel over a declared public range; and their labels.

Shape legend: B dreams, C channels, H height, W width.

Rules:
- the range is part of the algorithm's config, so a byte means the same to everybody;
- rounding is to the nearest of 256 levels, both ends included: bytes give the same bytes again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.payloads.dreams import Floats
from dreamshare.updates import PublicArray

LEVELS = 255
End = float | NDArray[np.float64]
"""An end of the range: of all values, or of each channel as (C, 1, 1)."""


def packed(x_BCHW: Floats, low: End, high: End) -> NDArray[np.uint8]:
    """Return dreams as bytes; values outside [low, high] become its ends."""
    share = (x_BCHW.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(share, 0.0, 1.0) * LEVELS).astype(np.uint8)


def unpacked(array: PublicArray, low: End, high: End) -> Floats:
    """Return what `packed` made as float32; other dtypes are dreams already."""
    if array.dtype != np.uint8:
        return array.astype(np.float32, copy=False)
    return (low + (high - low) * (array.astype(np.float64) / LEVELS)).astype(np.float32)


def packed_labels(labels: NDArray[np.int64], classes: int) -> PublicArray:
    """Return classes as bytes where a byte names them all."""
    return labels.astype(np.uint8) if classes <= 256 else labels
