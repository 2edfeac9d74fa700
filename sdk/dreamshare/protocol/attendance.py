"""What a coordinator knows of the devices: who is here, who is willing, who is new.

Rules:
- a device is willing when it offers the task's algorithm and has not refused the task since its
  process started or it was ready again;
- a device that spoilt shares of the task is never willing again, whatever it says (11.3);
- a device that offers nothing for now (on battery, quiet hours) is here and not willing; when it
  offers again it counts as one that came;
- only a device that was not offered a place waits for another epoch: one that was offered one and
  did not take it, or was too slow to keep it, is no reason to set up once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dreamshare.ids import PartyId
from dreamshare.protocol.selection import Candidate
from dreamshare_crypto.errors import RefusalCode

_REFUSES_TASK = (RefusalCode.O1, RefusalCode.O3, RefusalCode.S5, RefusalCode.S6)
"""Refusals outside a round that another epoch of the same task would meet again."""


class Attendance:
    """The devices that one task has met."""

    def __init__(self, algorithm: str, faulty: Iterable[PartyId] = ()) -> None:
        self._algorithm = algorithm
        self._here: dict[PartyId, Candidate | None] = {}  # by arrival; None: offers something else
        self._refusing: set[PartyId] = set()
        self._faulty = set(faulty)
        self._new: set[PartyId] = set()
        self._declined: set[tuple[PartyId, RefusalCode, int | None]] = set()

    def joined(
        self,
        device: PartyId,
        algorithms: Iterable[str],
        fresh: bool,
        attributes: Mapping[str, str] | None = None,
    ) -> bool:
        """A device checked in; say whether it is back, and not only on another connection."""
        back = fresh or device not in self._here
        offers = self._algorithm in algorithms
        ready_again = offers and self._here.get(device) is None
        self._here[device] = Candidate(device, attributes or {}) if offers else None
        if fresh or ready_again:
            self._refusing.discard(device)
        if back or ready_again:
            self._new.add(device)
        return back

    def departed(self, device: PartyId) -> None:
        """A device is gone."""
        self._here.pop(device, None)
        self._new.discard(device)

    def spoilt(self, device: PartyId) -> None:
        """A device spoilt shares."""
        self._faulty.add(device)

    def offered(self, devices: Iterable[PartyId]) -> None:
        """An epoch is offered to these."""
        self._new.difference_update(devices)
        self._declined.clear()

    def round_begins(self) -> None:
        """A round opens; what was declined before is out of date."""
        self._declined.clear()

    def declined(self, device: PartyId, code: RefusalCode, round_: int | None) -> bool:
        """A device declined; say whether it says so for the first time in this offer or round."""
        said = (device, code, round_)
        first = said not in self._declined
        self._declined.add(said)
        if first and round_ is None and code in _REFUSES_TASK:
            self._refusing.add(device)
        return first

    def here(self) -> tuple[PartyId, ...]:
        """Return who is connected, by arrival."""
        return tuple(self._here)

    def is_here(self, device: PartyId) -> bool:
        """Say whether the device is connected."""
        return device in self._here

    def candidates(self) -> tuple[Candidate, ...]:
        """Return who could be in a roster, by arrival."""
        out = self._refusing | self._faulty
        return tuple(c for c in self._here.values() if c is not None and c.device not in out)

    def waiting(self, members: Iterable[PartyId]) -> int:
        """Return how many willing devices were not offered a place and are not among these."""
        willing = {candidate.device for candidate in self.candidates()}
        return len(self._new.intersection(willing).difference(members))
