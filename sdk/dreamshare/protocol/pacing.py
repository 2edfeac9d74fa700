"""How long a round waits: deadlines that follow how long devices take, and when enough is enough.

Rules:
- a deadline is a quantile of what was observed, times a factor, within bounds. The upper bound is
  the offer's, which devices hold a round to (docs/protocol.md, 17.16); until enough was observed,
  and after a round that had too few answers, it is the deadline;
- a device that missed a deadline counts as one that took twice as long, so that a deadline that is
  too short grows;
- once a quorum has answered, the others have half as long again and no longer;
- only the aggregator's own clock counts, and what devices say cannot pass the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from dreamshare.ids import PartyId
from dreamshare.protocol.messages import Deadlines

QUANTILE = 0.95
"""Part of the devices that a deadline waits for, before the factor."""

FACTOR = 2.0
"""A deadline is this many times the quantile."""

FEWEST = 8
"""Observations below which a deadline is the largest."""

WINDOW = 256
"""Observations that count, the newest."""

QUORUM_PART = 0.5
"""After a quorum the others have this part of the time that the quorum took."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long something took, the newest last; seconds."""

    seen: tuple[float, ...] = ()

    def after(self, *seconds: float) -> Pace:
        """Return the pace with more observations."""
        return Pace((*self.seen, *seconds)[-WINDOW:])

    def deadline(self, least_s: float, most_s: float) -> float:
        """Return how long to wait, `least_s` to `most_s`."""
        if len(self.seen) < FEWEST:
            return most_s
        ordered = sorted(self.seen)
        place = math.ceil(QUANTILE * len(ordered)) - 1
        return min(most_s, max(least_s, FACTOR * ordered[place]))


@dataclass(slots=True)
class Pacing:
    """The open round's times, and those of the rounds before.

    Attributes:
        quorum: part of a round's devices that is enough; 0 waits for all.
        until: when the open round's quorum stops waiting for the others; None without one.
    """

    quorum: float = 0.0
    until: float | None = None
    _collect: Pace = Pace()
    _reveal: Pace = Pace()
    _members: frozenset[PartyId] = frozenset()
    _answered: dict[PartyId, float] = field(default_factory=dict)
    _needed: int = 0
    _opened: float = 0.0

    def opened(
        self, members: Collection[PartyId], least: int, deadlines: Deadlines, now: float
    ) -> Deadlines:
        """A round opens; return its deadlines.

        Args:
            members: whom it is open to.
            least: fewest answers that can make a sum.
            deadlines: the task's.
        """
        self._members, self._answered = frozenset(members), {}
        self._needed = max(least, math.ceil(self.quorum * len(members))) if self.quorum else 0
        self._opened, self.until = now, None
        least_s = deadlines.adapt_s
        if not least_s:
            return deadlines
        return replace(
            deadlines,
            collect_s=self._collect.deadline(least_s, deadlines.collect_s),
            reveal_s=self._reveal.deadline(least_s, deadlines.reveal_s),
        )

    def answered(self, device: PartyId, now: float) -> None:
        """A device's vector came."""
        if device in self._members:
            self._answered.setdefault(device, now - self._opened)
            if self._needed and self.until is None and len(self._answered) >= self._needed:
                self.until = now + QUORUM_PART * (now - self._opened)

    def overdue(self, now: float) -> tuple[PartyId, ...]:
        """Return whom the quorum waits for no longer; once."""
        if self.until is None or now < self.until:
            return ()
        self.until, self._needed = None, 0
        return tuple(sorted(self._members - self._answered.keys()))

    def summed(self, survivors: Iterable[PartyId], now: float) -> None:
        """The round closed with a sum."""
        inside = set(survivors)
        took = [self._answered[device] for device in inside & self._answered.keys()]
        longest = max(took, default=0.0)
        late = len(self._members) - len(inside)
        self._collect = self._collect.after(*sorted(took), *[FACTOR * longest] * late)
        self._reveal = self._reveal.after(max(0.0, now - self._opened - longest))
        self.until = None

    def given_up(self) -> None:
        """The round gave no sum: the next one has all the time that there is."""
        self._collect, self._reveal, self.until = Pace(), Pace(), None
