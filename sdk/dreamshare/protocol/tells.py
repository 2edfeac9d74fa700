"""A task's Tells on the aggregator, and how far each device has come in them.

Rules:
- Tells are a chain that every device follows from the first to the last: number n+1 names the hash
  of number n as its `last_tell`, and later rounds name the newest;
- a task that goes on after a restart tells its last Tell again, which is no new one;
- a device that is behind gets the one after its own, learns, says so, and gets the next; what it
  says about itself counts, not what it was sent;
- it gets each once, until it comes anew or a round begins: asking is cheap and a Tell may be large.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dreamshare.ids import PartyId
from dreamshare.protocol.events import SendTo
from dreamshare.protocol.messages import TellOrder
from dreamshare.protocol.outcomes import TellSpread
from dreamshare.protocol.phases import CoordinatorPhase, Telling
from dreamshare.protocol.plan import RoundPlan
from dreamshare_crypto.secagg.server import SecaggServer


class Tells:
    """The Tells of one task, oldest first, and who has learnt which."""

    def __init__(self, stored: Iterable[RoundPlan] = ()) -> None:
        self._plans = list(stored)
        self._hashes = [plan.payload().hash for plan in self._plans]
        self._learnt: dict[PartyId, int] = {}
        self._highest: dict[PartyId, int] = {}  # that each ever said
        self._sent: dict[PartyId, int] = {}  # to each, since `came` or `round_begins`

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

    def begin(
        self, server: SecaggServer | None, devices: Iterable[PartyId], until: float
    ) -> tuple[Telling, tuple[SendTo, ...]]:
        """Return the phase in which these devices learn what they lack, and what starts it."""
        asked = tuple(devices)
        behind = tuple(filter(self.is_behind, asked))
        sends = tuple(send for device in behind for send in self._next_for(device))
        return Telling(server, frozenset(asked), frozenset(behind), until), sends

    def hear(
        self, phase: CoordinatorPhase, device: PartyId, number: int, until: float
    ) -> tuple[CoordinatorPhase, tuple[SendTo, ...]]:
        """A device said that its newest Tell is this one; return the phase then, and what follows.

        Getting further than ever before earns it time until `until`; saying so again does not.
        """
        further = number > self._highest.get(device, 0)
        self._learnt[device] = number
        self._highest[device] = max(number, self._highest.get(device, 0))
        if isinstance(phase, Telling) and device in phase.waiting:
            done = frozenset() if self.is_behind(device) else frozenset({device})
            later = until if further else phase.until
            phase = replace(phase, waiting=phase.waiting - done, until=later)
        return phase, self._next_for(device)

    def spread(self, phase: Telling, plan: RoundPlan) -> TellSpread:
        """Return what became of the newest Tell, whose plan this is."""
        told, learnt = len(phase.sent_to), len(phase.sent_to - phase.waiting)
        return TellSpread(self.count, told, learnt, plan.step, plan.cycle)

    def is_behind(self, device: PartyId) -> bool:
        """Say whether a device lacks a Tell, as far as it said."""
        return self._learnt.get(device, 0) < self.count

    def came(self, device: PartyId) -> None:
        """A device is back; what it was sent may be lost."""
        self._sent.pop(device, None)

    def round_begins(self) -> None:
        """Whoever is behind in the next round is sent its Tell again."""
        self._sent.clear()

    def _next_for(self, device: PartyId) -> tuple[SendTo, ...]:
        """Return what brings a device one step further; nothing where it is on its way."""
        number = self._learnt.get(device, 0) + 1
        if number > self.count or number <= self._sent.get(device, 0):
            return ()
        self._sent[device] = number
        return (SendTo((device,), TellOrder(number, self._plans[number - 1])),)
