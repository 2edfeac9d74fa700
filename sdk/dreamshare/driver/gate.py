"""What a shard does with what its devices say, instead of tasks of its own (docs/adr/0033)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol import events
from dreamshare.protocol.messages import CheckIn


class Gate(Protocol):
    """Where an aggregator's driver that is a shard hands on what it hears."""

    @property
    def largest(self) -> int:
        """The largest message that a device may have to send, bytes."""
        ...

    def came(self, device: PartyId, offer: CheckIn, *, fresh: bool) -> None:
        """A device checked in."""
        ...

    def went(self, device: PartyId) -> None:
        """A device departed."""
        ...

    def no_device(self, party: PartyId) -> None:
        """A party came in over a broker that is no device; it is sent away."""
        ...

    def heard(self, task: TaskId, heard: events.HeardFrom, handled: Callable[[], None]) -> None:
        """A device said something to a task; `handled` acknowledges it."""
        ...
