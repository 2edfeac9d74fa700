"""A task's Tells on the aggregator, and how far each device has come in them.

Rules:
- Tells are a chain that every device follows from the first to the last: number n+1 names the hash
  of number n as its `last_tell`, and later rounds name the newest;
- a task that goes on after a restart tells its last Tell again, which is no new one;
- a device that is behind gets the one after its own, learns, says so, and gets the next; what it
  says about itself counts, not what it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dreamshare.ids import PartyId
from dreamshare.protocol.events import SendTo
from dreamshare.protocol.messages import TellOrder
from dreamshare.protocol.plan import RoundPlan


class Tells:
    """The Tells of one task, oldest first, and who has learnt which."""

    def __init__(self, stored: Iterable[RoundPlan] = ()) -> None:
        self._plans = list(stored)
        self._hashes = [plan.payload().hash for plan in self._plans]
        self._learnt: dict[PartyId, int] = {}

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

    def has_learnt(self, device: PartyId, number: int) -> None:
        """A device said that its newest Tell is this one."""
        self._learnt[device] = number

    def is_behind(self, device: PartyId) -> bool:
        """Say whether a device lacks a Tell, as far as it said."""
        return self._learnt.get(device, 0) < self.count

    def next_for(self, device: PartyId) -> SendTo:
        """Return what brings a device that is behind one step further."""
        number = self._learnt.get(device, 0) + 1
        return SendTo((device,), TellOrder(number, self._plans[number - 1]))
