"""A shared basis from one small sum: the pooled scatter times a public random matrix.

    W_DT = test_matrix(seed, 784, 96)
    device: sum over examples of u (u'W), and of u by class
    everybody: sketched(...) -> the 64 directions in which classes spread the most

Shape legend: D values of an example, T columns of the sketch, B components, K classes.

Rules:
- sums of sketches are sketches of sums, so one masked sum gives what the pooled data give;
- class means are taken out afterwards: what is left is the scatter within classes;
- rounding is noise of about one size in every direction, so directions whose spread lies below it
  are nothing but noise; the caller asks for few enough.

Source: Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53 (2011): the
range finder and, for a positive matrix, Nystrom's approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.moments.spaces import Doubles

TEST_STREAM = 2**32 + 5
"""Keeps the test matrix's random numbers apart from those of pictures."""

LEAST_SHARE = 1e-3
"""Directions of the sketch that hold less than this share of the largest are left out."""


def test_matrix(seed: int, values: int, columns: int) -> Doubles:
    """Return the public W (D, T): rows of signs over sqrt(T), so that |u'W| is about |u|.

    With as many columns as values it is the identity: the sketch is the scatter itself.
    """
    if columns >= values:
        return np.eye(values)
    rng = np.random.default_rng([seed, TEST_STREAM])
    signs_DT = rng.integers(0, 2, (values, columns)).astype(np.float64) * 2 - 1
    test_DT: Doubles = signs_DT / np.sqrt(columns)
    return test_DT


@dataclass(frozen=True, slots=True)
class Sketch:
    """Public sums over all examples, each divided by their number.

    Attributes:
        share_K: share of each class, sum 1.
        mean_KD: means of the classes.
        sketch_DT: mean of u (u'W).
        test_DT: W.
    """

    share_K: Doubles
    mean_KD: Doubles
    sketch_DT: Doubles
    test_DT: Doubles

    def within(self) -> Doubles:
        """Return the pooled covariance within classes times W, (D, T)."""
        weighted_KD = self.share_K[:, None] * self.mean_KD
        left_DT: Doubles = self.sketch_DT - weighted_KD.T @ (self.mean_KD @ self.test_DT)
        return left_DT


def sketched(sketch: Sketch, count: int) -> tuple[Doubles, Doubles]:
    """Return the `count` directions of most spread within classes, (D, B), and their spreads (B,).

    Raises:
        ConfigError: the sketch has fewer columns.
    """
    columns = sketch.test_DT.shape[1]
    if count > columns:
        raise ConfigError(f"{count} components of a sketch with {columns} columns")
    y_DT = sketch.within()
    range_DT, _ = np.linalg.qr(y_DT)
    # the covariance within the range that was found, by least squares: Q'C Q (Q'W) = Q'Y
    seen_TT = range_DT.T @ sketch.test_DT
    inner_TT = (range_DT.T @ y_DT) @ np.linalg.pinv(seen_TT, rcond=LEAST_SHARE)
    values_T, turned_TT = np.linalg.eigh((inner_TT + inner_TT.T) / 2)
    order = np.argsort(values_T)[::-1][:count]
    vectors_DB: Doubles = range_DT @ turned_TT[:, order]
    spread_B = np.sqrt(np.maximum(values_T[order], LEAST_SHARE * max(values_T[order[0]], 1e-9)))
    return vectors_DB, spread_B
