"""What noisy rounds cost in privacy: Renyi curves, their sum, and the ledger of a device (12.7).

Rules:
- a cost is a `Charge`: variance of the noise under the sum and how far one device can move that
  sum; from it follows the Renyi divergence of every order, and these add up over rounds;
- two neighbours differ in one device's values: there, or every coordinate 0 (docs/privacy.md);
- a round without noise costs infinitely much, and so does whatever contains it;
- plain arithmetic, so that the smallest device can keep its ledger; tests compare with
  dp-accounting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from dreamshare_crypto.errors import ParameterError

ORDERS = (
    *range(2, 64), 64, 72, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 2048, 4096,
)  # fmt: skip
"""Orders alpha at which curves are kept; the Skellam bound holds for whole ones."""

CUT_BITS = 63.0
"""A round's noise differs from Skellam by 2^-63 at most: tails 2^-64 (12.6), tables far less."""

CUT_SHARE = 0.25
"""Largest part of delta that cut tails may use up (12.6)."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One noisy sum.

    Attributes:
        variance: mu, of the noise under the sum over the least honest crowd, levels squared; 0 for
            a round without noise.
        l2: most that one device moves the sum, l2 norm, levels.
        l1: the same in l1 norm.
    """

    variance: float
    l2: float
    l1: float

    def __post_init__(self) -> None:
        values = (self.variance, self.l2, self.l1)
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ParameterError(f"a charge of {values}: finite numbers, none negative")

    @property
    def multiplier(self) -> float:
        """Standard deviation of the noise over the l2 sensitivity; 0 without noise."""
        return math.sqrt(self.variance) / self.l2 if self.variance and self.l2 else 0.0

    def divergence(self, order: int) -> float:
        """Return a bound of the Renyi divergence of a whole order >= 2.

        Source: Agarwal, Kairouz, Liu, NeurIPS 2021, Theorem 3.5 (on the integers, scale 1).
        """
        mu = self.variance
        if mu == 0:
            return math.inf
        square = self.l2 * self.l2
        first = order * square / (2 * mu)
        rest = ((2 * order - 1) * square + 6 * self.l1) / (4 * mu * mu)
        return first + min(rest, 3 * self.l1 / (2 * mu))


NO_NOISE = Charge(0.0, 0.0, 0.0)
"""What a round without noise costs: everything."""


def epsilon(charges: Iterable[Charge], delta: float) -> float:
    """Return epsilon such that the rounds together are (epsilon, delta)-DP; 0 for none.

    The curves are added, then converted (Canonne, Kamath, Steinke, NeurIPS 2020, Proposition 12):
    epsilon = D + log((a-1)/a) - (log delta' + log a)/(a-1), the least over the orders a. What cut
    tails cost, (1 + e^epsilon) times their probability, is taken out of delta first; where that is
    more than CUT_SHARE of delta, epsilon is infinite.

    Raises:
        ParameterError: delta is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise ParameterError(f"delta {delta} must lie between 0 and 1")
    counted = Counter(charges)
    if not counted:
        return 0.0
    kept = delta * (1 - CUT_SHARE)
    found = math.inf
    for order in ORDERS:
        total = _total(times * charge.divergence(order) for charge, times in counted.items())
        rest = math.log1p(-1 / order) - (math.log(kept) + math.log(order)) / (order - 1)
        found = min(found, max(0.0, total + rest))
    cut = math.log(counted.total()) - CUT_BITS * math.log(2)
    if found + math.log1p(math.exp(-found)) + cut > math.log(delta * CUT_SHARE):
        return math.inf
    return found


def _total(divergences: Iterable[float]) -> float:
    """Return their sum, the same in any order; infinite where it is above every float."""
    try:
        return math.fsum(divergences)
    except OverflowError:
        return math.inf


class Ledger:
    """What a device has spent, by session and round; noted with each vector, never taken back."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, int], tuple[float, Charge]] = {}

    def note(self, session: bytes, round_: int, charge: Charge, now: float) -> None:
        """Note the charge of a vector that left at `now`, Unix seconds; a repeat changes nothing.

        One (session, round) has one vector, so its first charge stands.
        """
        self._entries.setdefault((session, round_), (now, charge))

    def charges(self, since: float) -> tuple[Charge, ...]:
        """Return what was charged at `since`, Unix seconds, or later."""
        entries = tuple(self._entries.values())  # at once: the machine's thread may note a charge
        return tuple(charge for when, charge in entries if when >= since)

    def epsilon(self, since: float, delta: float, more: Iterable[Charge] = ()) -> float:
        """Return what was spent since then, with `more` on top."""
        return epsilon((*self.charges(since), *more), delta)

    def forget(self, before: float) -> None:
        """Drop what was charged before `before`, Unix seconds."""
        kept = {place: entry for place, entry in self._entries.items() if entry[0] >= before}
        self._entries = kept
