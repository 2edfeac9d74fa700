"""A task's journal in the aggregator's database.

Rules:
- it is the seam of `dreamshare.protocol.journal`, which is synchronous: the driver calls from a
  thread, the work is done on the store's event loop, and the call returns when it is committed;
- a record without `sync` waits for the next one with it and is committed in the same transaction,
  so that order is kept and only what must be durable costs an fsync (docs/protocol.md 9.1);
- a record that makes earlier ones superfluous (`SUPERSEDES`) takes their place: of a round's
  running sums the newest is kept, of epochs the last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import TaskId
from dreamshare_aggregator.artefacts import Artefacts, Kept
from dreamshare_aggregator.schema import JOURNAL, SLOTS
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.server_records import SUPERSEDES
from dreamshare_crypto.secret import Secret

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Transactions(Protocol):
    """What a journal needs of its store."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that the store was opened on."""
        ...

    @property
    def artefacts(self) -> Artefacts:
        """Where large records are."""
        ...

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in one transaction, durable on return; raises OSError."""
        ...

    async def look(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work`, which changes nothing; raises OSError."""
        ...


class StoreJournal:
    """One task's records and slots; use it from a thread, never from the event loop."""

    blocks = True

    def __init__(self, store: Transactions, task: TaskId) -> None:
        self._store = store
        self._task = task
        self._mine = JOURNAL.c.task == task
        self._waiting: list[Record] = []

    def append(self, record: Record, sync: bool) -> None:
        """Append a record; with `sync` it and all earlier ones are durable on return."""
        self._waiting.append(record)
        if sync:
            self._wait(self._write(), "append")

    def records(self) -> Sequence[Record]:
        """Return every record, oldest first."""
        return self._wait(self._read(), "records")

    def keep(self, slot: str, secret: Secret) -> None:
        """Overwrite the slot, durably."""
        self._wait(self._keep(slot, secret), "keep")

    def forget(self, slot: str) -> None:
        """Destroy the slot, durably; does nothing where there is none."""
        self._wait(self._keep(slot, None), "forget")

    def slots(self) -> Mapping[str, Secret]:
        """Return the slots that exist."""
        return self._wait(self._read_slots(), "slots")

    def _wait(self, work: Coroutine[None, None, T], verb: str) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(work, self._store.loop).result()
        work.close()
        raise LocalProtocolError(f"journal.{verb} waits for a disk; call it from a thread")

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, []

        kept, superseded = _settle(waiting)
        async with self._store.artefacts.kept([record.body for record in kept]) as places:

            async def work(connection: AsyncConnection) -> None:
                last = await connection.scalar(select(func.max(JOURNAL.c.number)).where(self._mine))
                if superseded:
                    kinds = JOURNAL.c.kind.in_([int(kind) for kind in superseded])
                    await connection.execute(delete(JOURNAL).where(self._mine, kinds))
                rows = [
                    {
                        "task": self._task,
                        "number": number,
                        "kind": int(record.kind),
                        "body": place.inline,
                        "artefact": place.artefact,
                    }
                    for number, (record, place) in enumerate(
                        zip(kept, places, strict=True), (last or 0) + 1
                    )
                ]
                await connection.execute(insert(JOURNAL), rows)

            await self._store.transact(work)

    async def _read(self) -> Sequence[Record]:
        async def work(connection: AsyncConnection) -> list[tuple[RecordKind, Kept]]:
            query = select(JOURNAL.c.kind, JOURNAL.c.body, JOURNAL.c.artefact).where(self._mine)
            rows = await connection.execute(query.order_by(JOURNAL.c.number))
            return [(RecordKind(kind), Kept(bytes(body), name)) for kind, body, name in rows]

        found = await self._store.look(work)
        read = [Record(kind, await self._body(place)) for kind, place in found]
        return [*read, *self._waiting]

    async def _body(self, place: Kept) -> bytes:
        """Return a record's body; empty, which no reader takes for whole, where it is damaged."""
        try:
            return await self._store.artefacts.read(place)
        except ConfigError as error:
            _LOG.error("task %s: a record of its journal is lost: %s", self._task.hex(), error)
            return b""

    async def _keep(self, slot: str, secret: Secret | None) -> None:
        mine = (SLOTS.c.task == self._task) & (SLOTS.c.name == slot)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(SLOTS).where(mine))
            if secret is not None:
                values = {"task": self._task, "name": slot, "value": secret.reveal()}
                await connection.execute(insert(SLOTS).values(values))

        await self._store.transact(work)

    async def _read_slots(self) -> Mapping[str, Secret]:
        async def work(connection: AsyncConnection) -> Mapping[str, Secret]:
            query = select(SLOTS.c.name, SLOTS.c.value).where(SLOTS.c.task == self._task)
            rows = await connection.execute(query)
            return {name: Secret(bytes(value), "key slot") for name, value in rows}

        return await self._store.look(work)


def _settle(records: Sequence[Record]) -> tuple[Sequence[Record], frozenset[RecordKind]]:
    """Return what is left to write of a run of records, and the kinds that it replaces."""
    kept: list[Record] = []
    superseded: frozenset[RecordKind] = frozenset()
    for record in records:
        gone = SUPERSEDES.get(record.kind, frozenset())
        if gone:
            kept = [earlier for earlier in kept if earlier.kind not in gone]
            superseded |= gone
        kept.append(record)
    return kept, superseded
