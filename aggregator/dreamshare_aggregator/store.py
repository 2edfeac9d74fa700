"""What the aggregator must not forget, in one database: SQLite's or PostgreSQL's.

    async with open_store("sqlite:///rounds.db") as store:
        await store.add(order, status)
        report = await store.advance(status, event="round", state=checkpoint)

Rules:
- one transaction per step of a task: status, numbered report and checkpoint change together, so a
  service that is killed between two steps resumes at the last whole one;
- a commit is on the disk when it returns (SQLite: WAL, synchronous=FULL, docs/protocol.md 9.8);
- one aggregator of a federation is active and writes; others stand by (`database`, `lease`);
- large values are files (`artefacts`); the row that names one is written after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import delete, func, insert, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import TaskId
from dreamshare.protocol.history import EndedRound, RoundEntry
from dreamshare.protocol.messages import Submit, TaskReport, TaskResult, TaskStatus
from dreamshare_aggregator.artefacts import Artefacts, Kept
from dreamshare_aggregator.backends import Away, backend_of
from dreamshare_aggregator.database import Database, StoreSettings
from dreamshare_aggregator.history import add_round, read_history
from dreamshare_aggregator.journal import StoreJournal
from dreamshare_aggregator.lease import Held
from dreamshare_aggregator.retention import Retention, Tidied, drop_old
from dreamshare_aggregator.rows import (
    StoredTask,
    metrics_text,
    order_text,
    read_metrics,
    read_order,
    read_status,
    status_text,
)
from dreamshare_aggregator.schema import (
    CHECKPOINTS,
    JOURNAL,
    REPORTS,
    RESULTS,
    SLOTS,
    TASKS,
)
from dreamshare_crypto.secagg.events import RecordKind
from dreamshare_crypto.secagg.server_records import ROUND

T = TypeVar("T")


def open_store(url: str, settings: StoreSettings | None = None) -> Store:
    """Return a store; it opens with `async with` (an `Aggregator` does that itself).

    Args:
        url: 'sqlite:///rounds.db' (relative), 'sqlite:////var/lib/rounds.db' (absolute),
            'sqlite://' for one in memory, or 'postgresql://user@host/name'.
        settings: lease, patience, artefacts.

    Raises:
        ConfigError: another kind of database, or an extra that is not installed.
    """
    settings = settings or StoreSettings()
    backend = backend_of(url)
    folder = settings.artefacts or backend.artefacts
    return Store(Database(backend, settings), Artefacts(folder), settings.clock)


class Store:
    """The database of one federation's aggregators."""

    def __init__(self, database: Database, artefacts: Artefacts, clock: Clock) -> None:
        """Use `open_store`."""
        self._artefacts = artefacts
        self._database = database
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def name(self) -> str:
        """The database for logs and people; never a password."""
        return self._database.backend.name

    @property
    def artefacts(self) -> Artefacts:
        """Where large values are."""
        return self._artefacts

    @property
    def outage(self) -> str | None:
        """Why the database does not answer now; None while it does. Work waits for it."""
        return self._database.outage

    async def until_outage_changes(self) -> None:
        """Return when `outage` may have become something else; for one reader."""
        await self._database.until_outage_changes()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the store was opened on; its journals do their work there."""
        if self._loop is None:
            raise LocalProtocolError("the store is not open; use it inside `async with`")
        return self._loop

    async def __aenter__(self) -> Self:
        """Open, at once or not at all; makes the tables of a new database, migrates an old one.

        Raises:
            ConfigError: it cannot be opened, is of a later version, or another aggregator has it.
        """
        held = await self.try_to_open()
        if held is not None:
            await self.close()
            raise ConfigError(
                f"the database {self.name} is in use by another aggregator ({held.holder}); stop "
                "that one, or name another database"
            )
        return self

    async def try_to_open(self) -> Held | None:
        """Open where nobody else is active; else return who is, and `stand_by` may follow.

        Raises:
            ConfigError: it cannot be opened, or is of a later version.
        """
        self._loop = asyncio.get_running_loop()
        try:
            held = await self._database.take()
            if held is None:
                await self._take_up_files()
            return held
        except Away as error:
            await self.close()
            raise ConfigError(str(error)) from None
        except BaseException:
            await self.close()
            raise

    async def stand_by(self, told: Callable[[Held], None]) -> bool:
        """Wait until this aggregator is the active one; see `Database.stand_by`."""
        active = await self._database.stand_by(told)
        if active:
            await self._take_up_files()
        return active

    async def _take_up_files(self) -> None:
        named = await self.look(named_artefacts)
        await asyncio.to_thread(self._artefacts.open, self._database.token, named)

    async def keep_lease(self) -> None:
        """Stay active, until `close`; raises LeaseLost (an OSError) where another one is."""
        await self._database.keep_lease()

    async def close(self) -> None:
        """Finish what runs and let a standby take over; idempotent."""
        await self._database.close()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in one transaction: all of it is durable on return, or nothing was done.

        A transaction that was begun is finished, also where its caller is cancelled meanwhile.
        `work` may be done again, from its beginning, where the database went away under it.

        Raises:
            OSError: the database cannot be written, for example because the disk is full, was away
                for too long, or another aggregator is active now (LeaseLost).
        """

        async def whole(connection: AsyncConnection) -> tuple[T, frozenset[str]]:
            result = await work(connection)
            in_use = self._artefacts.in_use
            return result, await named_artefacts(connection) if in_use else frozenset()

        done, _ = await self._database.write(whole, lambda ends: self._artefacts.keep_only(ends[1]))
        return done

    async def look(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work`, which changes nothing; raises OSError as `transact`."""
        return await self._database.read(work)

    async def add(self, order: Submit, status: TaskStatus) -> TaskReport:
        """Store a new task and its first report."""

        async def work(connection: AsyncConnection) -> TaskReport:
            await connection.execute(
                insert(TASKS).values(
                    task=status.task,
                    submitted=status.submitted,
                    phase=status.phase.value,
                    order=order_text(order),
                    status=status_text(status),
                )
            )
            return await _report(connection, status, "submitted", {})

        return await self.transact(work)

    async def advance(
        self,
        status: TaskStatus,
        event: str,
        metrics: Mapping[str, float] | None = None,
        state: bytes | None = None,
        done: EndedRound | None = None,
    ) -> TaskReport:
        """Store a step of a task: its status, the next numbered report and, if given, its state.

        `done` is the round that this step ended, for the history.
        """
        async with self._artefacts.kept([] if state is None else [state]) as places:

            async def work(connection: AsyncConnection) -> TaskReport:
                for place in places:
                    await _set_state(connection, status.task, place)
                await _set_status(connection, status)
                if done is not None:
                    await add_round(connection, status.task, done, self._clock.now())
                return await _report(connection, status, event, metrics or {})

            return await self.transact(work)

    async def finish(
        self,
        status: TaskStatus,
        event: str,
        metrics: Mapping[str, float] | None = None,
        archive: bytes | None = None,
    ) -> TaskReport:
        """Store a task's end and its result, if any; its journal and checkpoint are dropped."""
        async with self._artefacts.kept([] if archive is None else [archive]) as places:

            async def work(connection: AsyncConnection) -> TaskReport:
                for table in (CHECKPOINTS, JOURNAL, SLOTS):
                    await connection.execute(delete(table).where(table.c.task == status.task))
                for place in places:
                    values = {"task": status.task, "metrics": metrics_text(metrics or {})}
                    where = {"archive": place.inline, "artefact": place.artefact}
                    await connection.execute(insert(RESULTS).values(**values, **where))
                await _set_status(connection, status, self._clock.now())
                return await _report(connection, status, event, metrics or {})

            return await self.transact(work)

    async def tasks(self) -> Sequence[StoredTask]:
        """Return every task, oldest first."""

        async def work(connection: AsyncConnection) -> Sequence[StoredTask]:
            rows = await connection.execute(
                select(TASKS.c.order, TASKS.c.status).order_by(TASKS.c.submitted, TASKS.c.task)
            )
            return [StoredTask(read_order(order), read_status(status)) for order, status in rows]

        return await self.look(work)

    async def reports(self, task: TaskId, after: int = 0, most: int = 500) -> Sequence[TaskReport]:
        """Return at most `most` reports with a number above `after`, in order."""

        async def work(connection: AsyncConnection) -> Sequence[TaskReport]:
            rows = await connection.execute(
                select(REPORTS.c.number, REPORTS.c.status, REPORTS.c.event, REPORTS.c.metrics)
                .where(REPORTS.c.task == task, REPORTS.c.number > after)
                .order_by(REPORTS.c.number)
                .limit(most)
            )
            return [
                TaskReport(number, read_status(status), event, read_metrics(metrics))
                for number, status, event, metrics in rows
            ]

        return await self.look(work)

    async def checkpoint(self, task: TaskId) -> bytes | None:
        """Return the last stored state of a task, or None."""

        async def work(connection: AsyncConnection) -> Kept | None:
            query = select(CHECKPOINTS.c.state, CHECKPOINTS.c.artefact)
            row = (await connection.execute(query.where(CHECKPOINTS.c.task == task))).first()
            return None if row is None else Kept(bytes(row.state), row.artefact)

        place = await self.look(work)
        return None if place is None else await self._artefacts.read(place)

    async def result(self, status: TaskStatus) -> TaskResult | None:
        """Return the stored result of the task that `status` describes, or None."""

        async def work(connection: AsyncConnection) -> tuple[Kept, str] | None:
            query = select(RESULTS.c.archive, RESULTS.c.artefact, RESULTS.c.metrics)
            row = (await connection.execute(query.where(RESULTS.c.task == status.task))).first()
            return None if row is None else (Kept(bytes(row.archive), row.artefact), row.metrics)

        found = await self.look(work)
        if found is None:
            return None
        place, metrics = found
        return TaskResult(status, await self._artefacts.read(place), read_metrics(metrics))

    async def history(self, task: TaskId, after: int = 0, most: int = 500) -> Sequence[RoundEntry]:
        """Return at most `most` rounds of a task with a number above `after`, in order."""
        return await self.look(partial(read_history, task=task, after=after, most=most))

    async def tidy(self, retention: Retention) -> Tidied:
        """Drop what finished tasks need no longer; see `retention`."""
        return await self.transact(partial(drop_old, retention=retention, now=self._clock.now()))

    def journal(self, task: TaskId) -> StoreJournal:
        """Return the journal of a task (the seam of `dreamshare.protocol.journal`)."""
        return StoreJournal(self, task)


async def _set_state(connection: AsyncConnection, task: TaskId, state: Kept) -> None:
    """Replace a task's checkpoint; what it makes superfluous goes."""
    await connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.task == task))
    await connection.execute(
        insert(CHECKPOINTS).values(task=task, state=state.inline, artefact=state.artefact)
    )
    # The epoch goes on (docs/protocol.md 9.8); the records of its rounds whose sums are merged now
    # serve nobody, but for what the last one left behind for the next.
    mine = JOURNAL.c.task == task
    merged = [int(kind) for kind in ROUND]
    await connection.execute(delete(JOURNAL).where(mine, JOURNAL.c.kind.in_(merged)))
    ends = mine & (JOURNAL.c.kind == int(RecordKind.SERVER_DONE))
    newest = await connection.scalar(select(func.max(JOURNAL.c.number)).where(ends))
    await connection.execute(delete(JOURNAL).where(ends, JOURNAL.c.number < (newest or 0)))


async def _set_status(
    connection: AsyncConnection, status: TaskStatus, ended: float | None = None
) -> None:
    await connection.execute(
        update(TASKS)
        .where(TASKS.c.task == status.task)
        .values(phase=status.phase.value, status=status_text(status), ended=ended)
    )


async def named_artefacts(connection: AsyncConnection) -> frozenset[str]:
    """Return the name of every file that a row names."""
    tables = (CHECKPOINTS, RESULTS, JOURNAL)
    named = [select(t.c.artefact).where(t.c.artefact.is_not(None)) for t in tables]
    return frozenset((await connection.scalars(union_all(*named))).all())


async def _report(
    connection: AsyncConnection, status: TaskStatus, event: str, metrics: Mapping[str, float]
) -> TaskReport:
    last = await connection.scalar(
        select(func.max(REPORTS.c.number)).where(REPORTS.c.task == status.task)
    )
    report = TaskReport((last or 0) + 1, status, event, metrics)
    await connection.execute(
        insert(REPORTS).values(
            task=status.task,
            number=report.number,
            event=event,
            status=status_text(status),
            metrics=metrics_text(metrics),
        )
    )
    return report
