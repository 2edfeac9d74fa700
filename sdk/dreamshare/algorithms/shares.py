"""A device's shares of the cohort's examples, and how sums weighted with them become means.

Shape legend: K classes.

Rules:
- shares are computed on the device from the public totals; they leave it only inside masked sums;
- whatever is weighted carries its weights, so that the aggregator divides by the survivors' own
  mass and a dropout biases nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Data
from dreamshare.updates import Array

LEAST_MASS = 1e-3
"""Survivors who hold less than this share of a class do not move it: rounding would."""


def limited_counts(data: Data, classes: int, most: int) -> NDArray[np.float64]:
    """Return the examples (or pixels) of each class, each at most `most`."""
    return np.minimum(data.class_counts(classes), most).astype(np.float64)


def class_shares(data: Data, totals_K: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return n_k(y) / N(y), limited to 1; 0 for a class that nobody has."""
    counts_K = limited_counts(data, len(totals_K), most)
    return np.minimum(counts_K / np.maximum(totals_K, 1.0), 1.0)


def example_share(data: Data, totals_K: NDArray[np.float64]) -> float:
    """Return n_k / N, limited to 1; in pixels where labels are theirs."""
    own = int(data.class_counts(len(totals_K)).sum())
    return min(1.0, own / max(1.0, float(totals_K.sum())))


def held(mass: Array, survivors: int) -> NDArray[np.bool_]:
    """Return where the survivors together hold enough, given the mean of their shares."""
    enough: NDArray[np.bool_] = mass * survivors >= LEAST_MASS
    return enough


def over_mass(mean: Array, mass: Array, survivors: int) -> NDArray[np.float64]:
    """Return means of weighted values over the means of their weights; 0 where nobody has any.

    Args:
        mean: the survivors' mean of what was weighted.
        mass: the survivors' mean of the weights; broadcasts against `mean`.
        survivors: of how many devices these are means, >= 1.
    """
    known = held(mass, survivors)
    result: NDArray[np.float64] = np.where(known, mean / np.where(known, mass, 1.0), 0.0)
    return result
