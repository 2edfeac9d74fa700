"""How long what finished tasks leave behind is kept.

Rules:
- a task that is not over loses nothing, however old it is;
- the last report of a task stays, so that whoever watches it learns how it ended; the task itself
  stays in the list;
- 0 keeps for ever. What is over age goes at the start and then once a day.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Table, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import TaskPhase
from dreamshare.settings import setting
from dreamshare_aggregator.schema import HISTORY, REPORTS, RESULTS, TASKS

_LOG = logging.getLogger(__name__)

_DAY_S = 86_400.0
_OVER = [phase.value for phase in (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)]


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after a task's end; 0 keeps for ever."""

    reports_days: float = setting(
        "Numbered reports of a task, except the last; 0 or more, 0: for ever.", default=90.0
    )
    history_days: float = setting(
        "The history of its rounds; 0 or more, 0: for ever.", default=730.0
    )
    results_days: float = setting(
        "Its result, with the file where that is large; 0 or more, 0: for ever.", default=0.0
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 0.0:
                raise ConfigError(f"retention: {field.name} must be 0 or more")


@dataclass(frozen=True, slots=True)
class Tidied:
    """How many rows went."""

    reports: int
    rounds: int
    results: int


class Tidies(Protocol):
    """A store that drops what is over age."""

    async def tidy(self, retention: Retention) -> Tidied:
        """Drop it; raises OSError."""
        ...


async def drop_old(connection: AsyncConnection, retention: Retention, now: float) -> Tidied:
    """Drop what is over age at `now`, Unix seconds, in the caller's transaction."""
    later = REPORTS.alias()
    last = select(func.max(later.c.number)).where(later.c.task == REPORTS.c.task)
    not_last = REPORTS.c.number < last.scalar_subquery()

    async def drop(table: Table, days: float, *only: ColumnElement[bool]) -> int:
        if days == 0:
            return 0
        ended = func.coalesce(TASKS.c.ended, TASKS.c.submitted)
        old = select(TASKS.c.task).where(TASKS.c.phase.in_(_OVER), ended < now - days * _DAY_S)
        done = await connection.execute(delete(table).where(table.c.task.in_(old), *only))
        return done.rowcount

    return Tidied(
        await drop(REPORTS, retention.reports_days, not_last),
        await drop(HISTORY, retention.history_days),
        await drop(RESULTS, retention.results_days),
    )


async def keep_tidy(store: Tidies, retention: Retention, clock: Clock) -> None:
    """Drop what is over age now and every day; for as long as the caller wants."""
    while True:
        gone = await store.tidy(retention)
        if any(dataclasses.astuple(gone)):
            text = "retention: %d reports, %d rounds of the history and %d results are gone"
            _LOG.info(text, gone.reports, gone.rounds, gone.results)
        await clock.sleep_until(clock.now() + _DAY_S)
