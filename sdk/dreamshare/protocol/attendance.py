"""What a coordinator knows of the devices: who is here, who is willing, who is new.

Rules:
- a device is willing when it offers the task's algorithm and has not refused the task since its
  process started;
- a device that spoilt shares of the task is never willing again, whatever it says (11.3);
- order of arrival decides who gets a place when more are here than the roster takes;
- only a device that came (again) since the last offer waits for another epoch: one that was offered
  a place and did not take it, or was too slow to keep it, is no reason to set up once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from dreamshare.ids import PartyId
from dreamshare_crypto.errors import RefusalCode


class Attendance:
    """The devices that one task has met."""

    def __init__(self, algorithm: str, faulty: Iterable[PartyId] = ()) -> None:
        self._algorithm = algorithm
        self._here: dict[PartyId, bool] = {}  # by arrival; whether it offers the algorithm
        self._refusing: set[PartyId] = set()
        self._faulty = set(faulty)
        self._new: set[PartyId] = set()
        self._declined: set[tuple[PartyId, RefusalCode, int | None]] = set()

    def joined(self, device: PartyId, algorithms: Iterable[str], fresh: bool) -> bool:
        """A device checked in; say whether it is back, and not only on another connection."""
        back = fresh or device not in self._here
        self._here[device] = self._algorithm in algorithms
        if fresh:
            self._refusing.discard(device)
        if back:
            self._new.add(device)
        return back

    def departed(self, device: PartyId) -> None:
        """A device is gone."""
        self._here.pop(device, None)
        self._new.discard(device)

    def refused(self, device: PartyId) -> None:
        """A device refused the task."""
        self._refusing.add(device)

    def spoilt(self, device: PartyId) -> None:
        """A device spoilt shares."""
        self._faulty.add(device)

    def offered(self) -> None:
        """An epoch is offered to those who are here."""
        self._new.clear()
        self._declined.clear()

    def round_begins(self) -> None:
        """A round opens; what was declined before is out of date."""
        self._declined.clear()

    def declined(self, device: PartyId, code: RefusalCode, round_: int | None) -> bool:
        """A device declined; say whether it says so for the first time in this offer or round."""
        said = (device, code, round_)
        first = said not in self._declined
        self._declined.add(said)
        return first

    def here(self) -> tuple[PartyId, ...]:
        """Return who is connected, by arrival."""
        return tuple(self._here)

    def is_here(self, device: PartyId) -> bool:
        """Say whether the device is connected."""
        return device in self._here

    def willing(self) -> tuple[PartyId, ...]:
        """Return who could be in a roster, by arrival."""
        out = self._refusing | self._faulty
        return tuple(d for d, offers in self._here.items() if offers and d not in out)

    def waiting(self, members: Iterable[PartyId]) -> int:
        """Return how many willing devices came since the last offer and are not among these."""
        return len(self._new.intersection(self.willing()).difference(members))
