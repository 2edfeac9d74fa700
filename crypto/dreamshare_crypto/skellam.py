"""Skellam noise: the difference of two Poisson variables, from a cryptographic stream (12.6).

Sums of independent Skellam variables are Skellam, with the sum of the variances: devices that each
add a part make the noise of the whole (Agarwal, Kairouz, Liu, "The Skellam Mechanism for
Differentially Private Federated Learning", NeurIPS 2021).

Rules:
- whole numbers only: a uniform 128-bit integer is looked up in a table of the cumulative
  distribution, rounded to 128 bits; no float decides a draw;
- the table comes from the recurrence of Bessel functions on exact integers, so it is the same on
  every machine; the distance (total variation) of a draw from Skellam is below `PARTS_LIMIT`
  tables of 2^20 rows, each row off by 2^-128: below 2^-101;
- a variance above `TABLE_VARIANCE` is the sum of draws of equal smaller variances;
- lookups take time that depends on the noise: it is drawn where the device computes, not on demand
  of whoever could time it.
"""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.prg import Stream

TABLE_VARIANCE = 2.0**28
"""Largest variance of one table: about 470,000 rows, a third of a second to make."""

PARTS_LIMIT = 64
MOST_VARIANCE = TABLE_VARIANCE * PARTS_LIMIT
"""Largest variance of one device's noise, levels squared."""

LEAST_VARIANCE = 2.0**-20
"""Least variance of one device's noise: below it there is nothing but zeros."""

_BITS = 128
_WHOLE = 1 << _BITS
_LOW = (1 << 64) - 1
_SEED = 1 << 160  # of the recurrence: its relative rounding error stays below 2^-130
_BEYOND_BITS = 150.0  # mass beyond the last row, as bits


def tail_bits(variance: float, tail: int) -> float:
    """Return b with Pr[|z| > tail] <= 2^-b for Skellam noise of this variance (Chernoff).

    Pr[z >= t] <= exp(v (cosh h - 1) - h t) for every h; the best one has sinh h = t / v.
    """
    if not 0 < variance < math.inf or tail < 0:
        raise ParameterError(f"variance {variance} must be above 0, tail {tail} not negative")
    t = tail + 1.0
    ratio = t / variance
    exponent = t * ratio / (1.0 + math.hypot(1.0, ratio)) - t * math.asinh(ratio)
    return -exponent / math.log(2.0) - 1.0


def least_tail(variance: float, bits: float) -> int:
    """Return the least T with Pr[|z| > T] <= 2^-bits by `tail_bits`, bits > 0."""
    high = 1
    while tail_bits(variance, high) < bits:
        high *= 2
    low = 0
    while low < high:
        middle = (low + high) // 2
        if tail_bits(variance, middle) < bits:
            low = middle + 1
        else:
            high = middle
    return low


class Skellam:
    """Symmetric Skellam noise of one variance.

    Args:
        variance: of a draw, LEAST_VARIANCE..MOST_VARIANCE.

    Raises:
        ParameterError: the variance is outside these bounds.
    """

    __slots__ = ("_first", "_highs", "_parts", "_rows", "variance")

    def __init__(self, variance: float) -> None:
        if not LEAST_VARIANCE <= variance <= MOST_VARIANCE:
            raise ParameterError(
                f"noise of variance {variance:g} a device; {LEAST_VARIANCE:g} to "
                f"{MOST_VARIANCE:g} can be drawn: change the bits or the crowd"
            )
        self.variance = variance
        self._parts = math.ceil(variance / TABLE_VARIANCE)
        self._rows = cumulative(variance / self._parts)
        self._first = -(len(self._rows) // 2)
        highs = [row >> 64 for row in self._rows]
        self._highs = np.array(highs, dtype=np.uint64)

    def draw(self, count: int, tail: int, stream: Stream) -> NDArray[np.int64]:
        """Return `count` draws, limited to [-tail, tail], int64; the stream's next bytes."""
        total = self._draw(count, stream)
        for _ in range(self._parts - 1):
            total += self._draw(count, stream)
        return np.clip(total, -tail, tail, out=total)

    def _draw(self, count: int, stream: Stream) -> NDArray[np.int64]:
        """Row i is drawn when u lies in [row i-1, row i); its upper 64 bits nearly always tell."""
        words = np.frombuffer(stream.take(8 * count), dtype="<u8")
        rows = np.searchsorted(self._highs, words, side="left")
        (ties,) = np.nonzero(self._highs[np.minimum(rows, len(self._highs) - 1)] == words)
        for at in ties:
            u = (int(words[at]) << 64) | int.from_bytes(stream.take(8), "little")
            rows[at] = bisect_right(self._rows, u)
        return rows.astype(np.int64) + self._first


def cumulative(variance: float) -> list[int]:
    """Return 2^128 Pr[z <= k] for k = -K..K-1; from K on nothing is left.

    Pr[z = k] is proportional to the modified Bessel function I_k(v); the weights come from
    I_(k-1) = I_(k+1) + 2k/v I_k, downwards from where nothing is left (Miller's algorithm), on
    integers. Rows k and -k-1 add up to 2^128 exactly, so the noise has mean 0.
    """
    top = least_tail(variance, _BEYOND_BITS) + 2
    weights = _bessel_weights(variance, 2 * top)
    whole = weights[0] + 2 * sum(weights[1:])
    upto = (whole + weights[0]) // 2
    above: list[int] = []
    for k in range(top):
        above.append((upto << _BITS) // whole)  # Pr[z <= k]
        upto += weights[k + 1]
    below = [_WHOLE - row for row in reversed(above)]  # Pr[z <= -k-1], k = top-1..0
    return [*below, *above]


def _bessel_weights(variance: float, top: int) -> list[int]:
    numerator, denominator = variance.as_integer_ratio()
    weights = [0] * (top + 2)
    weights[top] = _SEED
    for k in range(top, 0, -1):
        weights[k - 1] = 2 * k * denominator * weights[k] // numerator + weights[k + 1]
    return weights
