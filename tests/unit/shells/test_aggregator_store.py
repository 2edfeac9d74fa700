"""The aggregator's database: steps are whole, numbers grow, journals work from threads."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy import Privacy
from dreamshare.protocol.messages import Cohort, Submit, TaskPhase, TaskStatus
from dreamshare_aggregator.backends import backend_of
from dreamshare_aggregator.database import Database, StoreSettings
from dreamshare_aggregator.rows import read_status, status_text
from dreamshare_aggregator.schema import JOURNAL
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from tests.postgres import new_database

TASK = TaskId(bytes(range(16)))
ORDER = Submit(
    "codream/1",
    b'{"cycles":5}',
    Cohort(least=4, most=8, suite=Suite.CHACHA, dropouts=0.25),
    seed=7,
    name="digits",
    privacy=Privacy(clip=1.5, epsilon=8.0, delta=1e-5, bits=12),
)
STATUS = TaskStatus(
    task=TASK, name="digits", algorithm="codream/1", phase=TaskPhase.WAITING, detail="", cycle=0,
    aggregations=0, abandoned=0, roster=0, alive=0, dropped=0, submitted=1000.5,
    secure_aggregation=False,
)  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a new database of either kind."""
    return new_database(request, tmp_path)


async def test_a_task_its_reports_and_its_checkpoint_outlive_the_process(url: str) -> None:
    running = replace(STATUS, phase=TaskPhase.RUNNING, aggregations=1)
    async with open_store(url) as store:
        assert (await store.add(ORDER, STATUS)).number == 1
        assert (await store.advance(running, "round", {"loss": 0.5}, b"state 1")).number == 2
        assert (await store.advance(running, "round", {}, b"state 2")).number == 3
    async with open_store(url) as store:
        (task,) = await store.tasks()
        assert (task.order, task.status) == (ORDER, running)
        assert await store.checkpoint(TASK) == b"state 2"
        reports = await store.reports(TASK, after=1)
        assert [(r.number, r.event) for r in reports] == [(2, "round"), (3, "round")]
        assert reports[0].metrics == {"loss": 0.5}
        assert reports[0].status == running


async def test_a_finished_task_keeps_its_result_and_drops_the_rest(url: str) -> None:
    done = replace(STATUS, phase=TaskPhase.DONE)
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", state=b"state")
        journal = store.journal(TASK)
        await asyncio.to_thread(journal.append, Record(RecordKind.SERVER_DONE, b"x"), True)
        await store.finish(done, "done", {"accuracy": 0.9}, b"archive")
        result = await store.result(done)
        assert result is not None
        assert (result.archive, result.metrics) == (b"archive", {"accuracy": 0.9})
        assert await store.checkpoint(TASK) is None
        assert await asyncio.to_thread(journal.records) == []
        assert (await store.reports(TASK))[-1].event == "done"


async def test_a_record_without_sync_is_durable_with_the_next_one(url: str) -> None:
    first = Record(RecordKind.SERVER_EPOCH, b"epoch")
    second = Record(RecordKind.SERVER_ROUND, b"round")
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        await asyncio.to_thread(journal.append, first, False)
        assert await on_disk(url) == []
        assert await asyncio.to_thread(journal.records) == [first]
        await asyncio.to_thread(journal.append, second, True)
        assert await on_disk(url) == [first, second]


async def on_disk(url: str) -> list[Record]:
    """Read what another process would find."""
    other = Database(backend_of(url), StoreSettings(), read_only=True)

    async def work(connection: AsyncConnection) -> list[Record]:
        rows = await connection.execute(select(JOURNAL.c.kind, JOURNAL.c.body))
        return [Record(RecordKind(kind), bytes(body)) for kind, body in rows]

    try:
        return await other.read(work)
    finally:
        await other.close()


async def test_slots_are_replaced_and_forgotten(url: str) -> None:
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        await asyncio.to_thread(journal.keep, "group", Secret(b"1"))
        await asyncio.to_thread(journal.keep, "group", Secret(b"2"))
        await asyncio.to_thread(journal.keep, "other", Secret(b"3"))
        await asyncio.to_thread(journal.forget, "other")
        assert await asyncio.to_thread(journal.slots) == {"group": Secret(b"2")}


async def test_a_journal_refuses_to_block_the_event_loop(url: str) -> None:
    async with open_store(url) as store:
        with pytest.raises(LocalProtocolError, match="call it from a thread"):
            store.journal(TASK).records()


async def test_commits_are_durable_and_readers_do_not_wait(tmp_path: Path) -> None:
    async def pragmas(connection: AsyncConnection) -> tuple[object, object]:
        mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        level = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
        return mode, level

    async with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        assert await store.transact(pragmas) == ("wal", 2)  # 2 is FULL


async def test_a_transaction_whose_caller_is_cancelled_is_finished(url: str) -> None:
    async with open_store(url) as store:
        adding = asyncio.create_task(store.add(ORDER, STATUS))
        await asyncio.sleep(0)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
    async with open_store(url) as store:
        assert len(await store.tasks()) == 1


async def test_a_merged_state_makes_records_of_rounds_superfluous_but_not_tells(url: str) -> None:
    round_, told = Record(RecordKind.SERVER_ROUND, b"r"), Record(RecordKind.OWNER, b"t")
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        for record in (round_, told, round_):
            await asyncio.to_thread(journal.append, record, True)
        await store.advance(STATUS, "round", state=b"state")
        assert await asyncio.to_thread(journal.records) == [told]
        await asyncio.to_thread(journal.append, round_, True)
        assert await asyncio.to_thread(journal.records) == [told, round_]


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rounds.db"
    path.write_text("something else, long enough to be looked at as a header by SQLite" * 20)
    with pytest.raises(ConfigError, match="cannot open the database"):
        async with open_store(f"sqlite:///{path}"):
            pass


async def test_one_aggregator_has_a_database_at_a_time(url: str) -> None:
    """Two would run the same tasks and mix their journals; the lease goes with its holder."""
    async with open_store(url):
        with pytest.raises(ConfigError, match="in use by another aggregator"):
            await open_store(url).__aenter__()
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_nobody_else_reads_the_database(tmp_path: Path) -> None:
    """Under an ordinary umask; SQLite gives its companions the mode of the database."""
    async with open_store(f"sqlite:///{tmp_path / 'rounds.db'}") as store:
        await store.add(ORDER, STATUS)
        modes = modes_in(tmp_path)
        assert set(modes) >= {"rounds.db", "rounds.db-wal"}
        assert set(modes.values()) == {0o600}


async def test_a_checkpoint_leaves_the_offers(url: str) -> None:
    """The next epoch's number must be above theirs, also when the clock was set back."""
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        offer = Record(RecordKind.SERVER_EPOCH, b"offer")
        for record in (offer, Record(RecordKind.SERVER_ROUND, b"start")):
            await asyncio.to_thread(journal.append, record, True)
        await store.advance(STATUS, "round", {}, b"state")
        assert await asyncio.to_thread(journal.records) == [offer]


async def test_a_checkpoint_leaves_the_faults(url: str) -> None:
    """A device that spoilt shares stays out of the task's later epochs (docs/protocol.md 11.3)."""
    fault = Record(RecordKind.SERVER_FAULTY, b"who, and why")
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        for record in (fault, Record(RecordKind.SERVER_ROUND, b"round")):
            await asyncio.to_thread(journal.append, record, True)
        await store.advance(STATUS, "round", state=b"state")
        assert await asyncio.to_thread(journal.records) == [fault]


async def test_a_checkpoint_leaves_what_the_epoch_goes_on_with() -> None:
    """The set-up and the end of the last round stay; the round itself is merged (9.8)."""
    took, done = Record(RecordKind.SERVER_TOOK, b"ready"), Record(RecordKind.SERVER_DONE, b"second")
    merged = (RecordKind.SERVER_DONE, RecordKind.SERVER_ROUND, RecordKind.SERVER_HEARD)
    async with open_store("sqlite://") as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        for record in (took, *(Record(kind, b"first") for kind in merged), done):
            await asyncio.to_thread(journal.append, record, True)
        await store.advance(STATUS, "round", state=b"state")
        assert await asyncio.to_thread(journal.records) == [took, done]


async def test_a_record_takes_the_place_of_what_it_makes_superfluous() -> None:
    """One running sum is kept; a new epoch drops the last one's records, but not the faults."""
    fault = Record(RecordKind.SERVER_FAULTY, b"who, and why")
    async with open_store("sqlite://") as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        start = Record(RecordKind.SERVER_ROUND, b"start")
        for number in range(3):
            for synced in (False, True):
                record = Record(RecordKind.SERVER_SUM, bytes([number, synced]))
                await asyncio.to_thread(journal.append, start, False)
                await asyncio.to_thread(journal.append, record, synced)
        newest = Record(RecordKind.SERVER_SUM, bytes([2, True]))
        assert await asyncio.to_thread(journal.records) == [start, newest]
        await asyncio.to_thread(journal.append, fault, True)
        offer = Record(RecordKind.SERVER_EPOCH, b"offer")
        await asyncio.to_thread(journal.append, offer, True)
        assert await asyncio.to_thread(journal.records) == [fault, offer]


def test_a_status_from_before_faults_were_found_is_read() -> None:
    named = replace(STATUS, faulty=(PartyId(b"d" * 16),))
    assert read_status(status_text(named)) == named
    row = json.loads(status_text(STATUS))
    del row["faulty"]
    assert read_status(json.dumps(row)) == STATUS
