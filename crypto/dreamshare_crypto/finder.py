"""How many neighbours, which threshold, how many witnesses: the finder of docs/protocol.md 4.6-4.9.

    n devices, A = floor(gamma n) of them colluders, D = floor(delta n) vanish, S = n - D stay

Rules:
- every party computes the same numbers or has another session, so everything is exact: counts of
  hypergeometric outcomes are integers, fractions are cross-multiplied, no logarithm decides;
- a search may skip a degree only where no such degree can do, for a reason that is written down;
- a degree above `MOST_NEIGHBOURS` is refused: each device works on each neighbour in each round,
  and claims that an aggregator made up must not keep a small device busy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dreamshare_crypto.errors import ParameterError

if TYPE_CHECKING:
    from fractions import Fraction

MOST_NEIGHBOURS = 1024
"""Largest degree that is looked for; 5/10 % takes 116 at n = 10,000."""
SEEDER_BITS = 100
"""All seeders collude with a probability of at most 2^-100 (4.9)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a roster is expected to withstand.

    Attributes:
        n: devices of the roster, >= 3.
        gamma: colluding fraction, 0..1.
        delta: vanishing fraction, 0..1.
        sigma: security, bits, >= 1.
        eta: correctness, bits, >= 1.
    """

    n: int
    gamma: Fraction
    delta: Fraction
    sigma: int
    eta: int

    def __post_init__(self) -> None:
        if self.n < 3 or self.sigma < 1 or self.eta < 1:
            raise ParameterError("a random graph takes 3 devices, 1 bit of sigma and 1 of eta")
        if not (0 <= self.gamma <= 1 and 0 <= self.delta <= 1):
            raise ParameterError("gamma and delta are fractions of the roster, 0..1")

    @property
    def colluding(self) -> int:
        """A: how many devices collude, floor(gamma n)."""
        return math.floor(self.gamma * self.n)

    @property
    def vanishing(self) -> int:
        """How many devices vanish, floor(delta n)."""
        return math.floor(self.delta * self.n)

    @property
    def staying(self) -> int:
        """S: how many devices stay, ceil((1 - delta) n)."""
        return self.n - self.vanishing


@dataclass(frozen=True, slots=True)
class Degree:
    """A share graph: every device has `k` neighbours, `t` of whom open a secret."""

    k: int
    t: int


@dataclass(frozen=True, slots=True)
class Committee:
    """Witnesses: `size` devices, `quorum` of whom sign (4.8)."""

    size: int
    quorum: int


@lru_cache(maxsize=64)
def find_degree(expected: Expected, *, adaptive: bool = True) -> Degree:
    """Return the smallest even k, and for it the smallest t, that meet 4.6.

    Args:
        expected: the roster.
        adaptive: with condition (iv), the adaptive cut. False checks the arithmetic against rows
            that others published and MUST NOT be used for anything else (4.7).

    Raises:
        ParameterError: no degree up to `MOST_NEIGHBOURS` (and below n) does.
    """
    k = 2
    while k <= min(MOST_NEIGHBOURS, expected.n - 1):
        if not _connects(expected, k):
            k += 2
            continue
        low, high = _least_threshold(expected, k), _largest_threshold(expected, k)
        if low > high:
            # One neighbour more moves a quantile up by 0 or 1 (the counts of k and k + 1 draws can
            # be coupled to differ by the last draw). So k + 2 raises `high` by at most 2 and `low`
            # by at least 1: the gap closes by at most one for each step of 2.
            k += 2 * (low - high)
            continue
        found = _uncut(expected, k, low, high) if adaptive else low
        if found is not None:
            return Degree(k, found)
        k += 2
    raise ParameterError(
        f"no graph of {expected.n} devices with {MOST_NEIGHBOURS} neighbours or fewer withstands "
        f"{expected.colluding} colluders and {expected.vanishing} dropouts; lower gamma or delta"
    )


@lru_cache(maxsize=64)
def find_committee(expected: Expected) -> Committee:
    """Return the smallest witness committee of 4.8.

    Raises:
        ParameterError: not even all n devices make one.
    """
    n, size = expected.n, 1
    while size <= n:
        colluders = _most_above(n, expected.colluding, size, 2 ** (expected.sigma + 1))
        quorum = (size + colluders) // 2 + 1
        spare = _most_below(n, expected.staying, size, 2**expected.eta) - quorum
        if spare >= 0:
            return Committee(size, quorum)
        size -= spare  # as above: one witness more raises the first by at most 1
    raise ParameterError("no committee of witnesses withstands these fractions; lower one of them")


def find_seeders(expected: Expected) -> int:
    """Return m: the fewest devices of which gamma^m <= 2^-100, at least 1 and at most n (4.9)."""
    top, bottom = expected.gamma.as_integer_ratio()
    left, whole, m = top << SEEDER_BITS, bottom, 1
    while left > whole and m < expected.n:
        left, whole, m = left * top, whole * bottom, m + 1
    return m


def colluding_neighbours(expected: Expected, k: int) -> int:
    """Return t1 of 4.6: how many of a device's k neighbours collude, but for 2^-(sigma+1) / n."""
    n = expected.n
    return _most_above(n, expected.colluding, k, n << (expected.sigma + 1))


# ---- the conditions of 4.6 -----------------------------------------------------------------------


def _connects(expected: Expected, k: int) -> bool:
    """(i): the honest who stay are in one piece. Its probability only falls as k grows."""
    n, bad = expected.n, expected.colluding + expected.vanishing
    if k > bad:
        return True
    # n (n-k-1) / 2 * bad! (n-k)! / (n! (bad-k)!) < 2^-(sigma+1)
    return (n * (n - k - 1) * math.perm(bad, k) << expected.sigma) < math.perm(n, k)


def _least_threshold(expected: Expected, k: int) -> int:
    """(ii): no secret has t holders who think it alive and t who think it dropped."""
    colluders = colluding_neighbours(expected, k)
    return -(-(4 * (colluders + k) - 5) // 8) + 1  # ceil((t1 + k - 1.25) / 2) + 1


def _largest_threshold(expected: Expected, k: int) -> int:
    """(iii): t of everybody's neighbours stay."""
    return _most_below(expected.n, expected.staying, k, expected.n << expected.eta)


def _uncut(expected: Expected, k: int, low: int, high: int) -> int | None:
    """(iv): the smallest t in low..high at which no cut of the ring pays; None when none is."""
    low = max(low, k // 2 + 1)
    if low > high or _cut(expected, k, high):
        return None
    while low < high:  # a larger t leaves a part of the sum of a smaller one
        middle = (low + high) // 2
        if _cut(expected, k, middle):
            low = middle + 1
        else:
            high = middle
    return low


def _cut(expected: Expected, k: int, t: int) -> bool:
    """Say whether two stretches of k/2 places hold t - k/2 colluders each too often, 4.6 (iv)."""
    n, bad, h = expected.n, expected.colluding, k // 2
    x = t - h
    left = math.comb(n, h) * math.comb(n - h, h) // (n * n << expected.sigma)
    for u, ways in _rising(n, bad, h, x):
        for _, more in _rising(n - h, bad - u, h, x):
            left -= ways * more
            if left < 0:
                return True
    return False


# ---- hypergeometric counts: k drawn from n, of which `marked` are marked -----------------------


def _most_above(n: int, marked: int, k: int, inverse: int) -> int:
    """Return the least v with Pr[more than v marked] <= 1 / inverse."""
    v = min(marked, k)
    ways = math.comb(marked, v) * math.comb(n - marked, k - v)
    left = math.comb(n, k) // inverse
    while ways <= left:
        left -= ways
        ways = ways * v * (n - marked - k + v) // ((marked - v + 1) * (k - v + 1))
        v -= 1
    return v


def _most_below(n: int, marked: int, k: int, inverse: int) -> int:
    """Return the largest v with Pr[fewer than v marked] <= 1 / inverse."""
    left = math.comb(n, k) // inverse
    for v, ways in _rising(n, marked, k, 0):
        left -= ways
        if left < 0:
            return v
    return min(marked, k)


def _rising(n: int, marked: int, k: int, least: int) -> Iterator[tuple[int, int]]:
    """Yield (v, ways to draw exactly v marked) for v from `least` on, as far as there are any."""
    v = max(least, k - (n - marked), 0)
    if v > min(marked, k):
        return
    ways = math.comb(marked, v) * math.comb(n - marked, k - v)
    while ways:
        yield v, ways
        ways = ways * (marked - v) * (k - v) // ((v + 1) * (n - marked - k + v + 1))
        v += 1
