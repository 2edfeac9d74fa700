"""What a coordinator knows of the devices: who is here and who is willing.

Rules:
- a device is willing when it offers the task's algorithm and has not refused the task since its
  process started;
- order of arrival decides who gets a place when more are here than the roster takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from dreamshare.ids import PartyId


class Attendance:
    """The devices that one task has met."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._here: dict[PartyId, bool] = {}  # by arrival; whether it offers the algorithm
        self._refusing: set[PartyId] = set()

    def joined(self, device: PartyId, algorithms: Iterable[str], fresh: bool) -> None:
        """A device checked in."""
        self._here[device] = self._algorithm in algorithms
        if fresh:
            self._refusing.discard(device)

    def departed(self, device: PartyId) -> None:
        """A device is gone."""
        self._here.pop(device, None)

    def refused(self, device: PartyId) -> None:
        """A device refused the task."""
        self._refusing.add(device)

    def here(self) -> tuple[PartyId, ...]:
        """Return who is connected, by arrival."""
        return tuple(self._here)

    def is_here(self, device: PartyId) -> bool:
        """Say whether the device is connected."""
        return device in self._here

    def willing(self) -> tuple[PartyId, ...]:
        """Return who could be in a roster, by arrival."""
        return tuple(d for d, offers in self._here.items() if offers and d not in self._refusing)
