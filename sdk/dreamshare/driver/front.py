"""What the aggregator's shell hands to its driver."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.messages import Reply, Request

Observer = Callable[[bytes, bytes, bytes], None]
"""(sender's id, header, body) of every frame that arrived and held: a debugging hook."""


class FrontDesk(Protocol):
    """The shell's answers to the driver."""

    def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        """Yield the replies to an operator's request; the last one has `last` set.

        The driver closes the iterator when the operator is gone. A DreamshareError that it raises
        is told to the operator as a ControlError.
        """
        ...

    def device_came(self, device: PartyId) -> None:
        """A device checked in."""
        ...

    def device_went(self, device: PartyId) -> None:
        """A device departed."""
        ...

    def knows(self, task: TaskId) -> bool:
        """Say whether a task that is not at work here will be, sooner or later."""
        ...

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        """Keep two messages of one device that contradict each other, for people."""
        ...
