"""A task in the hands of the program that embeds the aggregator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dreamshare.ids import TaskId, short
from dreamshare.protocol.messages import TaskPhase, TaskReport, TaskStatus
from dreamshare.results import Result, TaskEnded
from dreamshare.showing import html_of
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.schedule import Schedule


@dataclass(frozen=True, slots=True, repr=False)
class Task:
    """A task of an embedded aggregator; a notebook shows its status."""

    id: TaskId
    _board: Board
    _schedule: Schedule

    def __repr__(self) -> str:
        return f"Task({self.status})"

    def _repr_html_(self) -> str:
        return html_of(self.status)

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
        return Result.of(await self._board.result(self.id))

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
