"""A task's Tells on the aggregator: a chain that every device follows from the first to the last.

Rules:
- number n+1 names the hash of number n as its `last_tell`; later rounds name the newest;
- a task that goes on after a restart tells its last Tell again, which is no new one;
- a device that is behind gets the one after its own, learns, says so, and gets the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dreamshare.protocol.messages import TellOrder
from dreamshare.protocol.plan import RoundPlan


class Tells:
    """The Tells of one task, oldest first."""

    def __init__(self, stored: Iterable[RoundPlan] = ()) -> None:
        self._plans = list(stored)
        self._hashes = [plan.payload().hash for plan in self._plans]

    @property
    def count(self) -> int:
        """How many there are; also the number of the newest."""
        return len(self._plans)

    @property
    def last_hash(self) -> bytes:
        """Hash of the newest, empty for none: what the next plan must name."""
        return self._hashes[-1] if self._hashes else b""

    def add(self, plan: RoundPlan) -> RoundPlan | None:
        """Chain a plan; return it as it must be stored, or None when it is the last one again."""
        if self._plans:
            before = self._hashes[-2] if self.count > 1 else b""
            if replace(plan, last_tell=before).payload().hash == self._hashes[-1]:
                return None
        chained = replace(plan, last_tell=self.last_hash)
        self._plans.append(chained)
        self._hashes.append(chained.payload().hash)
        return chained

    def after(self, number: int) -> TellOrder:
        """Return what a device needs whose newest Tell is `number` < `count`."""
        return TellOrder(number + 1, self._plans[number])
