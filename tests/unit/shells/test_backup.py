"""`dreamshare store`: copies that are whole while the store is in use, checks, and the way back."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.protocol.history import EndedRound, RoundOutcome
from dreamshare.protocol.messages import TaskPhase
from dreamshare_aggregator.backup import back_up, restore
from dreamshare_aggregator.checkup import check_store, migrate_store
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.schema import VERSION
from dreamshare_aggregator.store import open_store
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit
from dreamshare_crypto.secagg.events import Record, RecordKind
from tests.postgres import PASSWORD, new_database
from tests.unit.shells.test_aggregator_store import ORDER, STATUS, TASK
from tests.unit.shells.test_artefacts import LARGE, LARGER
from tests.unit.shells.test_migrations import FIXTURE

SUM = EndedRound("gradient", 1, RoundOutcome.SUM, "", 8, 6, 4000)
GIVEN_UP = EndedRound("gradient", 2, RoundOutcome.ABANDONED, "no quorum", 8, 0, 900)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, tmp_path)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'rounds.db'}"


async def test_a_backup_of_a_running_store_is_whole_and_comes_back(
    tmp_path: Path, file_url: str
) -> None:
    offer, round_ = Record(RecordKind.SERVER_EPOCH, b"offer"), Record(RecordKind.SERVER_ROUND, b"r")
    async with open_store(file_url) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
        journal = store.journal(TASK)
        for record in (offer, round_):
            await asyncio.to_thread(journal.append, record, True)
        copied = await asyncio.to_thread(back_up, file_url, None, tmp_path / "copy")
        assert copied.artefacts == 1
        await store.advance(STATUS, "round", {}, LARGER)
    assert {path.stat().st_mode & 0o77 for path in (tmp_path / "copy").rglob("*")} == {0}

    again = tmp_path / "again"
    again.mkdir()
    new = f"sqlite:///{again / 'rounds.db'}"
    restore(tmp_path / "copy", new, None)
    async with open_store(new) as store:
        assert await store.checkpoint(TASK) == LARGE
        records = await asyncio.to_thread(store.journal(TASK).records)
        assert records == [offer], "rounds that were open then are forgotten"
    async with open_store(file_url) as store:
        assert await store.checkpoint(TASK) == LARGER


async def test_backups_while_states_change_are_all_whole(tmp_path: Path, file_url: str) -> None:
    """Each state is a new file and the one before is removed: a copy must not fall between."""
    async with open_store(file_url) as store:
        await store.add(ORDER, STATUS)
        going = True

        async def advance() -> None:
            number = 0
            while going:
                await store.advance(STATUS, "round", {}, LARGE + number.to_bytes(4, "big"))
                number += 1

        writing = asyncio.create_task(advance())
        for number in range(4):
            await asyncio.sleep(0.05)
            into = tmp_path / f"copy-{number}"
            await asyncio.to_thread(back_up, file_url, None, into)
            found = await check_store(
                f"sqlite:///{into / 'rounds.db'}", StoreSettings(artefacts=into / "artefacts")
            )
            assert found.wrong == ()
        going = False
        await writing


def test_nothing_is_overwritten(tmp_path: Path, file_url: str) -> None:
    async def fill() -> None:
        async with open_store(file_url) as store:
            await store.add(ORDER, STATUS)

    asyncio.run(fill())
    back_up(file_url, None, tmp_path / "copy")
    with pytest.raises(ConfigError, match="exists; a backup goes into a new folder"):
        back_up(file_url, None, tmp_path / "copy")
    with pytest.raises(ConfigError, match="exists and is not overwritten; move it away"):
        restore(tmp_path / "copy", file_url, None)
    (tmp_path / "rounds.db").unlink()
    (tmp_path / "rounds.db-wal").write_bytes(b"of the store that was lost")
    with pytest.raises(ConfigError, match="rounds.db-wal exists"):
        restore(tmp_path / "copy", file_url, None)


async def test_a_damaged_backup_is_not_restored(tmp_path: Path, file_url: str) -> None:
    async with open_store(file_url) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
    back_up(file_url, None, tmp_path / "copy")
    (path,) = (tmp_path / "copy" / "artefacts").glob("??/*")
    path.write_bytes(b"something else")
    new = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(ConfigError, match="is damaged"):
        restore(tmp_path / "copy", new, None)
    assert not (tmp_path / "new.db").exists()
    with pytest.raises(ConfigError, match="is no backup"):
        restore(tmp_path / "elsewhere", new, None)


def test_postgresql_has_its_own_tools() -> None:
    with pytest.raises(ConfigError, match="pg_dump") as told:
        back_up("postgresql://me:hush@host/x", None, Path("copy"))
    assert "hush" not in str(told.value)


async def test_a_check_takes_nothing_and_names_what_is_wrong(url: str, tmp_path: Path) -> None:
    settings = StoreSettings(artefacts=tmp_path / "artefacts")
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
        found = await check_store(url, settings)
        assert (found.version, found.rows["tasks"], found.artefacts) == (VERSION, 1, 1)
        assert "process" in found.holder
        assert found.wrong == ()
        assert PASSWORD not in repr(found)
    (path,) = (tmp_path / "artefacts").glob("??/*")
    path.write_bytes(b"x")
    (wrong,) = (await check_store(url, settings)).wrong
    assert path.name in wrong


async def test_a_migration_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    shutil.copy(FIXTURE, path)
    url = f"sqlite:///{path}"
    assert (await check_store(url, StoreSettings())).wrong == (
        f"version 1 instead of {VERSION}: migrate it",
    )
    assert await migrate_store(url, StoreSettings()) == (1, VERSION)
    assert await migrate_store(url, StoreSettings()) == (VERSION, VERSION)
    async with open_store(url):
        with pytest.raises(ConfigError, match="is in use"):
            await migrate_store(url, StoreSettings())


def test_the_verbs_speak_json(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        async with open_store(url) as store:
            await store.add(ORDER, STATUS)
            await store.advance(STATUS, "round", {}, b"state", SUM)
            await store.advance(STATUS, "abandoned", {}, None, GIVEN_UP)
            await store.finish(replace(STATUS, phase=TaskPhase.DONE), "done", {}, b"archive")

    def told(*arguments: str, code: Exit = Exit.OK) -> list[dict[str, object]]:
        assert execute([*arguments, "--store", url, "--json"]) == code
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    asyncio.run(fill())
    (checked,) = told("store", "check")
    assert checked["wrong"] == []
    assert told("store", "migrate") == [{"before": VERSION, "after": VERSION}]
    first, second = told("history", TASK.hex()[:6])
    assert {**first, "moment": 0} == {
        "number": 1,
        "moment": 0,
        "step": "gradient",
        "cycle": 1,
        "outcome": "sum",
        "reason": "",
        "roster": 8,
        "survivors": 6,
        "dropped": 2,
        "bytes": 4000,
    }
    assert second["reason"] == "no quorum"
    assert told("history", TASK.hex(), "--after", "1") == [second]
    assert execute(["history", "ffff", "--store", url]) == Exit.USAGE
    assert "no task begins with 'ffff'" in capsys.readouterr().err
    if url.startswith("sqlite"):
        (copied,) = told("store", "backup", str(tmp_path / "copy"))
        assert copied["artefacts"] == 0
        new = f"sqlite:///{tmp_path / 'new.db'}"
        assert execute(["store", "restore", str(tmp_path / "copy"), "--store", new]) == Exit.OK
        assert execute(["history", TASK.hex(), "--store", new]) == Exit.OK
        shown = capsys.readouterr().out
        assert "gradient 1: sum of 6 of 8, 4000 B" in shown
        assert "gradient 2: abandoned: no quorum, 900 B" in shown


def test_a_store_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = f"sqlite:///{tmp_path / 'none.db'}"
    for verb in (["store", "check"], ["store", "backup", str(tmp_path / "x")], ["history", "a"]):
        assert execute([*verb, "--store", missing]) == Exit.USAGE
        assert "none.db" in capsys.readouterr().err
    assert execute(["store", "check", "-f", str(tmp_path / "nowhere")]) == Exit.USAGE
    assert "there is no federation" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
