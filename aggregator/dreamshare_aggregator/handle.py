"""A task in the hands of the program that embeds the aggregator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from dreamshare.algorithms.checkpoint import decode_arrays
from dreamshare.errors import DreamshareError
from dreamshare.ids import TaskId, short
from dreamshare.protocol.messages import TaskPhase, TaskReport, TaskStatus
from dreamshare.updates import PublicArray
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Result:
    """The public result of a finished task.

    Attributes:
        status: how it ended.
        arrays: what the algorithm gives out, by name.
        metrics: named scalars.
    """

    status: TaskStatus
    arrays: Mapping[str, PublicArray]
    metrics: Mapping[str, float]


class TaskEnded(DreamshareError):
    """A task ended without a result; the text says why and what to change."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of an embedded aggregator."""

    id: TaskId
    _board: Board
    _schedule: Schedule

    @property
    def status(self) -> TaskStatus:
        """Where it stands."""
        return self._board.entry(self.id).status

    def reports(self, after: int = 0) -> AsyncIterator[TaskReport]:
        """Yield its reports with numbers above `after`, until it is over.

        Raises:
            AggregatorStopped: the aggregator stopped before.
        """
        return self._board.reports(self.id, after)

    async def result(self) -> Result:
        """Wait for its end.

        Raises:
            TaskEnded: it failed or was cancelled.
            AggregatorStopped: the aggregator stopped before.
        """
        status = await self._board.until_ended(self.id)
        if status.phase is not TaskPhase.DONE:
            raise TaskEnded(f"task {short(self.id)} {status.phase.value}: {status.detail}")
        found = await self._board.result(self.id)
        return Result(status, decode_arrays(found.archive), found.metrics)

    def cancel(self) -> None:
        """End it; an open round is given up."""
        self._schedule.end(self.id)

    async def pause(self, give_up: bool = False) -> TaskStatus:
        """Let it rest until `resume`; an open round is finished first unless `give_up`.

        Raises:
            ConfigError: it is over.
        """
        return await self._schedule.pause(self.id, give_up)

    async def resume(self) -> TaskStatus:
        """Let it go on when its turn comes; raises ConfigError where it is over."""
        return await self._schedule.resume(self.id)
