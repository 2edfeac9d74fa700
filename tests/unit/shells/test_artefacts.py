"""Large values are files with their hash: whole before a row names them, gone when none does."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import TaskPhase
from dreamshare_aggregator.artefacts import INLINE
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.secagg.events import Record, RecordKind
from tests.postgres import new_database
from tests.unit.shells.test_aggregator_store import ORDER, STATUS, TASK

LARGE = b"large " * INLINE
LARGER = b"larger" * INLINE


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_database(request, tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(artefacts=tmp_path / "artefacts")


def files(folder: Path) -> dict[str, int]:
    """Return the files under a folder, by the hash in their name, with their mode."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    for path in found:
        digest = path.name.partition(".")[0]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        assert path.parent.name == digest[:2]
    return {path.name.partition(".")[0]: path.stat().st_mode & 0o777 for path in found}


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


async def test_a_large_state_is_a_file_and_a_small_one_is_not(
    url: str, settings: StoreSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "artefacts"
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, b"s" * INLINE)
        assert files(folder) == {}
        await store.advance(STATUS, "round", {}, LARGE)
        assert files(folder) == {digest(LARGE): 0o600}
        assert await store.checkpoint(TASK) == LARGE
        await store.advance(STATUS, "round", {}, LARGER)
        assert files(folder) == {digest(LARGER): 0o600}, "what no row names is removed"
        await store.advance(STATUS, "round", {}, LARGER)
        assert await store.checkpoint(TASK) == LARGER
    async with open_store(url, settings) as store:
        assert await store.checkpoint(TASK) == LARGER
        done = replace(STATUS, phase=TaskPhase.DONE)
        await store.finish(done, "done", {}, LARGE)
        assert files(folder) == {digest(LARGE): 0o600}
        result = await store.result(done)
        assert result is not None
        assert result.archive == LARGE


async def test_large_records_of_a_journal_are_files(url: str, settings: StoreSettings) -> None:
    folder = settings.artefacts
    assert folder is not None
    small, large = Record(RecordKind.SERVER_TOOK, b"r"), Record(RecordKind.SERVER_TOOK, LARGE)
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        journal = store.journal(TASK)
        await asyncio.to_thread(journal.append, large, False)
        await asyncio.to_thread(journal.append, small, True)
        assert set(files(folder)) == {digest(LARGE)}
        assert await asyncio.to_thread(journal.records) == [large, small]
        await store.finish(replace(STATUS, phase=TaskPhase.FAILED), "failed")
        assert files(folder) == {}


async def test_beside_sqlite_and_inside_postgresql_unless_a_folder_is_named(
    url: str, tmp_path: Path
) -> None:
    async with open_store(url) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
        assert await store.checkpoint(TASK) == LARGE
    beside = files(tmp_path / "rounds.db.artefacts")
    assert set(beside) == ({digest(LARGE)} if url.startswith("sqlite") else set())


async def test_a_damaged_file_is_not_taken_for_the_value(url: str, settings: StoreSettings) -> None:
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
        assert settings.artefacts is not None
        (path,) = settings.artefacts.glob("??/*")
        path.write_bytes(LARGE[:-1] + b"!")
        with pytest.raises(ConfigError, match="is damaged; restore it from a backup"):
            await store.checkpoint(TASK)


async def test_a_folder_that_is_not_mounted_is_noticed_at_the_start(
    url: str, settings: StoreSettings, tmp_path: Path
) -> None:
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
    elsewhere = StoreSettings(artefacts=tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="1 of 1 artefacts are not in .*elsewhere"):
        async with open_store(url, elsewhere):
            pass
    async with open_store(url, settings) as store:
        assert await store.checkpoint(TASK) == LARGE


async def test_what_a_killed_one_left_is_removed_and_what_rows_name_stays(
    url: str, settings: StoreSettings
) -> None:
    folder = settings.artefacts
    assert folder is not None
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
    (named,) = folder.glob("??/*")
    orphan = folder / digest(b"x")[:2] / f"{digest(b'x')}.1"
    torn = named.with_name(f"{named.name}.part")
    for path in (orphan, torn):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    async with open_store(url, settings):
        assert [path for path in folder.rglob("*") if path.is_file()] == [named]


async def test_a_file_of_a_later_holder_is_left_to_it(url: str, settings: StoreSettings) -> None:
    """One that was overtaken and wakes up must not remove what the active one is about to name."""
    folder = settings.artefacts
    assert folder is not None
    later = folder / digest(b"x")[:2] / f"{digest(b'x')}.99"
    later.parent.mkdir(parents=True)
    later.write_bytes(b"x")
    async with open_store(url, settings) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, LARGE)
        await store.advance(STATUS, "round", {}, LARGER)
        assert later.exists()


FULL = """
import asyncio, resource, sys
from dreamshare_aggregator.store import open_store
from tests.unit.shells.test_aggregator_store import ORDER, STATUS
from tests.unit.shells.test_artefacts import LARGE

async def main():
    async with open_store(sys.argv[1]) as store:
        await store.add(ORDER, STATUS)
        await store.advance(STATUS, "round", {}, b"small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            await store.advance(STATUS, "round", {}, LARGE)
        except OSError as error:
            print(error)

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""
"""No file may grow over a megabyte: what a full disk does to a write."""


async def test_a_full_disk_leaves_the_state_before(tmp_path: Path) -> None:
    assert len(LARGE) > 1_000_000
    url = f"sqlite:///{tmp_path / 'rounds.db'}"
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FULL, url],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "cannot be written: File too large" in ended.stdout
    async with open_store(url) as store:
        assert await store.checkpoint(TASK) == b"small"
        assert files(tmp_path / "rounds.db.artefacts") == {}


def test_the_limit_of_this_test_is_not_the_processes() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
