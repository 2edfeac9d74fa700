"""What the aggregator must not forget, in one database.

    async with open_store("sqlite:///rounds.db") as store:
        await store.add(order, status)
        report = await store.advance(status, event="round", state=checkpoint)

Rules:
- one transaction per step of a task: status, numbered report and checkpoint change together, so a
  service that is killed between two steps resumes at the last whole one;
- a commit is on the disk when it returns (SQLite: WAL, synchronous=FULL, docs/protocol.md 9.8);
- one connection, so that writers queue instead of failing; the fsync is the whole cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, delete, event, func, insert, inspect, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Submit, TaskReport, TaskResult, TaskStatus
from dreamshare_aggregator.journal import StoreJournal
from dreamshare_aggregator.lock import DatabaseLock
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
    METADATA,
    REPORTS,
    RESULTS,
    SLOTS,
    TASKS,
    VERSION,
    VERSIONS,
)
from dreamshare_crypto.secagg.events import RecordKind

T = TypeVar("T")
_SQLITE = "sqlite://"


def open_store(url: str) -> Store:
    """Return a store; it opens with `async with` (an `Aggregator` does that itself).

    Args:
        url: 'sqlite:///rounds.db' (relative), 'sqlite:////var/lib/rounds.db' (absolute), or
            'sqlite://' for one in memory.

    Raises:
        ConfigError: another kind of database.
    """
    if not url.startswith(_SQLITE):
        raise ConfigError(f"store {url!r}: this release stores in SQLite, e.g. sqlite:///rounds.db")
    return Store(url.replace(_SQLITE, "sqlite+aiosqlite://", 1))


class Store:
    """The database of one aggregator."""

    def __init__(self, url: str) -> None:
        """Use `open_store`; `url` is one of SQLAlchemy's for an async driver."""
        self._engine: AsyncEngine = create_async_engine(
            url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0
        )
        event.listen(self._engine.sync_engine, "connect", _configure)
        self._lock = DatabaseLock(self._engine.url.database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Future[Any]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the store was opened on; its journals do their work there."""
        if self._loop is None:
            raise LocalProtocolError("the store is not open; use it inside `async with`")
        return self._loop

    async def __aenter__(self) -> Self:
        """Open; creates the tables of a new database.

        Raises:
            ConfigError: it cannot be opened, is of another version, or another aggregator has it.
        """
        self._loop = asyncio.get_running_loop()
        self._lock.take()
        try:
            async with self._engine.begin() as connection:
                await connection.run_sync(_check_or_create)
        except DatabaseError as error:
            await self._dispose()
            name = self._engine.url.database
            raise ConfigError(f"cannot open the database {name}: {error.orig}") from None
        except BaseException:
            await self._dispose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._dispose()

    async def _dispose(self) -> None:
        await self._engine.dispose()
        self._lock.give()

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in one transaction: all of it is durable on return, or nothing was done.

        A transaction that was begun is finished, also where its caller is cancelled meanwhile.

        Raises:
            OSError: the database cannot be written, for example because the disk is full.
        """
        running = asyncio.ensure_future(self._transaction(work))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    async def _transaction(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        try:
            async with self._engine.begin() as connection:
                return await work(connection)
        except DatabaseError as error:
            name = self._engine.url.database
            raise OSError(f"the database {name} cannot be used: {error.orig}") from error

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
    ) -> TaskReport:
        """Store a step of a task: its status, the next numbered report and, if given, its state."""

        async def work(connection: AsyncConnection) -> TaskReport:
            if state is not None:
                await _set_state(connection, status.task, state)
            await _set_status(connection, status)
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

        async def work(connection: AsyncConnection) -> TaskReport:
            for table in (CHECKPOINTS, JOURNAL, SLOTS):
                await connection.execute(delete(table).where(table.c.task == status.task))
            if archive is not None:
                text = metrics_text(metrics or {})
                row = insert(RESULTS).values(task=status.task, archive=archive, metrics=text)
                await connection.execute(row)
            await _set_status(connection, status)
            return await _report(connection, status, event, metrics or {})

        return await self.transact(work)

    async def tasks(self) -> Sequence[StoredTask]:
        """Return every task, oldest first."""

        async def work(connection: AsyncConnection) -> Sequence[StoredTask]:
            rows = await connection.execute(
                select(TASKS.c.order, TASKS.c.status).order_by(TASKS.c.submitted, TASKS.c.task)
            )
            return [StoredTask(read_order(order), read_status(status)) for order, status in rows]

        return await self.transact(work)

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

        return await self.transact(work)

    async def checkpoint(self, task: TaskId) -> bytes | None:
        """Return the last stored state of a task, or None."""

        async def work(connection: AsyncConnection) -> bytes | None:
            query = select(CHECKPOINTS.c.state).where(CHECKPOINTS.c.task == task)
            state = await connection.scalar(query)
            return None if state is None else bytes(state)

        return await self.transact(work)

    async def result(self, status: TaskStatus) -> TaskResult | None:
        """Return the stored result of the task that `status` describes, or None."""

        async def work(connection: AsyncConnection) -> TaskResult | None:
            query = select(RESULTS.c.archive, RESULTS.c.metrics)
            row = (await connection.execute(query.where(RESULTS.c.task == status.task))).first()
            return None if row is None else TaskResult(status, bytes(row[0]), read_metrics(row[1]))

        return await self.transact(work)

    def journal(self, task: TaskId) -> StoreJournal:
        """Return the journal of a task (the seam of `dreamshare.protocol.journal`)."""
        return StoreJournal(self, task)


async def _set_state(connection: AsyncConnection, task: TaskId, state: bytes) -> None:
    """Replace a task's checkpoint; what it makes superfluous goes."""
    await connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.task == task))
    await connection.execute(insert(CHECKPOINTS).values(task=task, state=state))
    # A task goes on with a new epoch: records of rounds that are merged serve nobody. Offers stay,
    # so that the next epoch's number is above theirs whatever the clock says, and so do faults.
    kinds = (RecordKind.OWNER, RecordKind.SERVER_EPOCH, RecordKind.SERVER_FAULTY)
    kept = [int(kind) for kind in kinds]
    merged = (JOURNAL.c.task == task) & JOURNAL.c.kind.not_in(kept)
    await connection.execute(delete(JOURNAL).where(merged))


async def _set_status(connection: AsyncConnection, status: TaskStatus) -> None:
    await connection.execute(
        update(TASKS)
        .where(TASKS.c.task == status.task)
        .values(phase=status.phase.value, status=status_text(status))
    )


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


def _configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """Make every commit of a new SQLite connection durable."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_or_create(connection: Connection) -> None:
    if not inspect(connection).has_table(VERSIONS.name):
        METADATA.create_all(connection)
        connection.execute(insert(VERSIONS).values(version=VERSION))
        return
    found = connection.scalar(select(func.max(VERSIONS.c.version)))
    if found != VERSION:
        raise ConfigError(
            f"the database {connection.engine.url.database} has version {found}, this program "
            f"reads version {VERSION}; use the program that wrote it, or start a new database"
        )
