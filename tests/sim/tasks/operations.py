"""What can happen to a fleet and its tasks, as values: a failing list of them is a test case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dreamshare.protocol.messages import Cohort
from tests.sim.tasks.fleet import Fleet


class Operation(Protocol):
    """One thing that happens."""

    async def apply(self, fleet: Fleet) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True, slots=True)
class Submit:
    """A task of so many sums comes."""

    sums: int
    priority: int = 0

    async def apply(self, fleet: Fleet) -> None:
        await fleet.submit(self.sums, Cohort(3, len(fleet.phones)), self.priority)


@dataclass(frozen=True, slots=True)
class Pause:
    """An unfinished task is to rest."""

    place: int
    give_up: bool = False

    async def apply(self, fleet: Fleet) -> None:
        unfinished = fleet.board.unfinished()
        if unfinished:
            task = unfinished[self.place % len(unfinished)].status.task
            await fleet.schedule.pause(task, self.give_up)


@dataclass(frozen=True, slots=True)
class Resume:
    """An unfinished task is to go on."""

    place: int

    async def apply(self, fleet: Fleet) -> None:
        unfinished = fleet.board.unfinished()
        if unfinished:
            await fleet.schedule.resume(unfinished[self.place % len(unfinished)].status.task)


@dataclass(frozen=True, slots=True)
class Cancel:
    """An unfinished task is to end."""

    place: int

    async def apply(self, fleet: Fleet) -> None:
        unfinished = fleet.board.unfinished()
        if unfinished:
            task = unfinished[self.place % len(unfinished)].status.task
            fleet.schedule.end(task)
            await fleet.board.until_ended(task)


@dataclass(frozen=True, slots=True)
class Come:
    """A device's process starts."""

    place: int

    async def apply(self, fleet: Fleet) -> None:
        fleet.come(fleet.phones[self.place % len(fleet.phones)])


@dataclass(frozen=True, slots=True)
class Go:
    """A device's process dies."""

    place: int

    async def apply(self, fleet: Fleet) -> None:
        await fleet.go(fleet.phones[self.place % len(fleet.phones)])


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float

    async def apply(self, fleet: Fleet) -> None:
        await fleet.later(self.seconds)
