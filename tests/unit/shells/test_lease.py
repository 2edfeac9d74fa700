"""One aggregator of a federation is active: the lease passes on, and nobody writes without it."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError
from dreamshare_aggregator.backends import backend_of
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.lease import Held, LeaseLost
from dreamshare_aggregator.store import Store, open_store
from tests.postgres import PASSWORD, Cluster, new_database
from tests.unit.shells.test_aggregator_store import ORDER, STATUS

SHORT = StoreSettings(lease_s=1.0, patience_s=60.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, tmp_path)


async def standing_by(store: Store, seen: list[Held]) -> None:
    assert await store.stand_by(seen.append)


async def test_a_standby_takes_over_when_the_active_one_ends(url: str) -> None:
    first, second = open_store(url, SHORT), open_store(url, SHORT)
    async with first:
        await first.add(ORDER, STATUS)
        held = await second.try_to_open()
        assert held is not None
        seen: list[Held] = []
        waiting = asyncio.create_task(standing_by(second, seen))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    await waiting
    assert seen
    assert len(await second.tasks()) == 1
    await second.close()


async def until_away(store: Store) -> None:
    for _ in range(3000):
        if store.outage is not None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the outage was not noticed")


async def test_an_active_one_stays_active_while_it_renews(postgres: Cluster) -> None:
    """Three leases long, with nothing to write; `renew` alone keeps it."""
    url = postgres.create()
    second = open_store(url, SHORT)
    async with open_store(url, SHORT) as first:
        keeping = asyncio.create_task(first.keep_lease())
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            held = await second.try_to_open()
            assert held is not None
            assert held.left_s <= 1.0
            await asyncio.sleep(0.1)
    await keeping
    await second.close()


async def test_a_paused_one_changes_nothing_after_it_was_overtaken(postgres: Cluster) -> None:
    url = postgres.create()
    first, second = open_store(url, SHORT), open_store(url, SHORT)
    assert await first.try_to_open() is None  # and renews nothing: it is paused
    await standing_by(second, [])
    with pytest.raises(LeaseLost, match="another aggregator is active now"):
        await first.add(ORDER, STATUS)
    with pytest.raises(LeaseLost):
        await first.keep_lease()
    assert list(await second.tasks()) == []
    await second.add(ORDER, STATUS)
    await first.close()
    assert len(await second.tasks()) == 1, "the one that lost it did not give it back"
    await second.close()


async def test_a_write_that_has_begun_is_done_before_the_lease_passes_on(
    postgres: Cluster,
) -> None:
    """The lease's row is locked until the commit: whoever takes over sees the write."""
    url = postgres.create()
    first, second = open_store(url, SHORT), open_store(url, SHORT)
    assert await first.try_to_open() is None
    go_on = asyncio.Event()

    async def slowly(connection: AsyncConnection) -> None:
        await go_on.wait()

    writing = asyncio.create_task(first.transact(slowly))
    waiting = asyncio.create_task(standing_by(second, []))
    await asyncio.sleep(0.5)
    go_on.set()
    await writing
    await waiting
    await first.close()
    await second.close()


async def test_a_machine_that_stopped_inside_a_transaction_does_not_hold_the_lease(
    postgres: Cluster,
) -> None:
    """PostgreSQL ends the silent session after a lease's time; the write is undone."""
    url = postgres.create()
    first, second = open_store(url, SHORT), open_store(url, SHORT)
    assert await first.try_to_open() is None

    async def never(connection: AsyncConnection) -> None:
        await asyncio.Event().wait()

    writing = asyncio.create_task(first.transact(never))
    await asyncio.sleep(0.2)
    await asyncio.wait_for(standing_by(second, []), 30)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    for task in tuple(first._database._running):
        task.cancel()
    await first.close()
    await second.close()


async def test_work_waits_for_a_database_that_is_killed_and_comes_back(
    own_postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    url = own_postgres.create()
    with caplog.at_level(logging.WARNING):
        async with open_store(url, StoreSettings(lease_s=30.0, patience_s=60.0)) as store:
            await store.add(ORDER, STATUS)
            await asyncio.to_thread(own_postgres.kill)
            stepping = asyncio.create_task(store.advance(STATUS, "round", {}, b"state"))
            await until_away(store)
            await asyncio.to_thread(own_postgres.start)
            assert (await stepping).number == 2
            assert store.outage is None
            assert await store.checkpoint(STATUS.task) == b"state"
    texts = [record.getMessage() for record in caplog.records]
    assert any("is away; work waits" in text for text in texts)
    assert any("is back; work goes on" in text for text in texts)
    assert PASSWORD not in caplog.text


async def test_a_commit_whose_answer_was_lost_is_not_done_twice(postgres: Cluster) -> None:
    """The connection is cut when the commit has happened; the count of writes tells."""
    url = postgres.create()
    name = url.rpartition("/")[2]
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        runs = 0

        async def work(connection: AsyncConnection) -> int:
            nonlocal runs
            runs += 1
            raw = (await connection.get_raw_connection()).driver_connection
            if runs == 1:
                # COMMIT goes through here, and the answer never comes
                await raw.execute("COMMIT")
                raw.terminate()
            return runs

        assert await store.transact(work) == 1
        assert runs == 1
        assert postgres.execute(name, "SELECT writes FROM lease") == "2"


async def test_patience_ends(own_postgres: Cluster) -> None:
    settings = StoreSettings(patience_s=0.3)
    async with open_store(own_postgres.create(), settings) as store:
        own_postgres.kill()
        with pytest.raises(OSError, match="is away"):
            await store.tasks()


@pytest.mark.parametrize(
    "bad", ["postgresql://tester:{}@127.0.0.1:1/x", "postgresql://nobody:{}@127.0.0.1:{}/x"]
)
async def test_no_error_shows_a_password(bad: str, postgres: Cluster) -> None:
    url = (
        bad.format("hush-hush", postgres.port) if bad.count("{}") == 2 else bad.format("hush-hush")
    )
    backend = backend_of(url)
    assert "hush" not in repr(backend)
    assert "hush" not in repr(backend.engine(15.0).url)
    with pytest.raises(ConfigError) as told:
        await open_store(url).__aenter__()
    assert "hush" not in str(told.value)
    assert "127.0.0.1" in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hu/sh@host/x",
        "postgresql://me:hu@sh@ho:st/x",
        "mysql://me:hush@host/x",
        "hush",
    ],
)
def test_an_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        backend_of(url)
    for part in ("hu/sh", "hu@sh", "me:hush"):
        assert part not in str(told.value)


def test_the_name_of_a_database_has_user_host_and_database() -> None:
    url = "postgresql://me:hush@[::1]:5433/rounds?sslmode=require&password=hush"
    assert backend_of(url).name == "postgresql://me@[::1]:5433/rounds"
    two = backend_of("postgresql://me:hush@one:5432,two:5432/rounds")
    assert two.name == "postgresql://me@one:5432,two:5432/rounds"
