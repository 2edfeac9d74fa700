"""The least number of examples behind a sum by class: a device's own word, whatever is announced.

Rules:
- it comes with the data, as an attribute `least_class_count`; an agent sets it from its owner's
  policy, and data that say nothing have the policy's default;
- a public minimum over the cohort can be lied about by whoever announces it; this one cannot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Data

LEAST_CLASS_COUNT = 5
"""A device answers no sum of moments for classes of which it holds fewer."""


def least_class_count(data: Data) -> int:
    """Return how many examples of a class a sum must have on this device, >= 1."""
    least = getattr(data, "least_class_count", LEAST_CLASS_COUNT)
    return least if isinstance(least, int) else LEAST_CLASS_COUNT


def guarded_counts(data: Data, classes: int, most: int) -> NDArray[np.float64]:
    """Return how many examples of each class sums by class may have in them, (K,).

    Args:
        data: the device's own.
        classes: K.
        most: examples of a class that are counted, >= 1.

    Returns:
        0 for a class of which the device holds fewer than its least count.

    Raises:
        ConfigError: an example is of a class that the task does not know.
    """
    counts_K = data.class_counts(classes)
    kept_K = np.where(counts_K >= least_class_count(data), counts_K, 0)
    return np.minimum(kept_K, most).astype(np.float64)
