"""What a device's shell hands to its driver: where machines come from, and who computes.

Rules:
- a desk opens a seat when a task calls, or refuses by returning None; it decides nothing later;
- work is a coroutine that the driver starts and may cancel; the shell chooses where it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dreamshare.ids import TaskId
from dreamshare.protocol.events import Compute, KeepEvidence, Learn
from dreamshare.protocol.journal import Journal
from dreamshare.protocol.messages import CheckIn
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update

if TYPE_CHECKING:
    from dreamshare.protocol.participant import Participant


@dataclass(frozen=True, slots=True)
class Seat:
    """A device's place in one task: its machine and its journal."""

    participant: Participant
    journal: Journal


class Desk(Protocol):
    """The shell's answers to the driver."""

    def check_in(self) -> CheckIn:
        """Return what the device offers; asked at each connection."""
        ...

    def stored(self) -> Sequence[Seat]:
        """Return the seats of tasks that were open when the last process ended, restored."""
        ...

    def seat(self, task: TaskId) -> Seat | None:
        """Return a seat for a task that calls for the first time, or None to decline it."""
        ...

    def leave(self, task: TaskId) -> None:
        """The task is over; its journal may be dropped."""
        ...

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        """Keep two messages that contradict each other, for people."""
        ...


class Worker(Protocol):
    """Who computes. Either method may be cancelled, and be asked for the same thing again."""

    async def compute(self, task: TaskId, order: Compute) -> Update:
        """Return the device's answer.

        Raises:
            PrivacyError: the owner's conditions do not allow it now (S6).
            DreamshareError: it cannot be computed (E1).
        """
        ...

    async def learn(self, task: TaskId, order: Learn) -> None:
        """Learn from a Tell; the new weights are stored, with `order.number`, on return.

        A Tell whose number is stored already was learnt before a crash: nothing is left to do.

        Raises:
            DreamshareError: it cannot be learnt from.
        """
        ...


@runtime_checkable
class Carrier(Protocol):
    """A worker that keeps answers which came too late for their round.

    What is set aside is the device's own plaintext: it stays on the device. It is added to the
    device's next answer to the same step before that is clipped, where the algorithm says so.
    """

    def carries(self, plan: RoundPlan) -> bool:
        """Say whether a late answer to this plan is worth keeping."""
        ...

    async def set_aside(self, task: TaskId, plan: RoundPlan, update: Update) -> None:
        """Keep a late answer, durably; an older one of the task is dropped."""
        ...
