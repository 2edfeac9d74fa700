"""A model's arrays as one vector; products are summed in float64."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from dreamshare.algorithms.selftuning.state import Arrays
from dreamshare.updates import Array


def floats(arrays: Iterable[Array]) -> Arrays:
    """Return them in float32."""
    return tuple(np.asarray(array, np.float32) for array in arrays)


def inner(one: Sequence[Array], other: Sequence[Array]) -> float:
    """Return the inner product."""
    pairs = zip(one, other, strict=True)
    return sum(float((a.astype(np.float64) * b.astype(np.float64)).sum()) for a, b in pairs)


def length(arrays: Arrays) -> float:
    """Return the Euclidean norm."""
    return math.sqrt(inner(arrays, arrays))
