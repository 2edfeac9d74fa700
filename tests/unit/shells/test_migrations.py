"""The tables of every version become those of the present one, on both backends, or stay whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskPhase
from dreamshare_aggregator.backends import backend_of
from dreamshare_aggregator.schema import METADATA, VERSION
from dreamshare_aggregator.store import Store, open_store
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secret import Secret
from tests.postgres import Cluster
from tests.unit.shells.test_aggregator_store import ORDER, STATUS, TASK

FIXTURE = Path(__file__).parent / "stores" / "version-1.db"
"""Written by the program of version 1 before there were migrations: a task that runs after its
first sum, with a checkpoint, two records and a slot, and one that is done."""

ADDED_SINCE_1 = {
    "tasks": {"ended"},
    "checkpoints": {"artefact"},
    "results": {"artefact"},
    "journal": {"artefact"},
}
"""Columns that a version 1 does not have; tables `history` and `lease` are missing, too."""


def old_copy(folder: Path) -> Path:
    path = folder / "old.db"
    shutil.copy(FIXTURE, path)
    return path


async def shape(store: Store) -> dict[str, object]:
    """Return tables, columns and keys as the database itself describes them."""

    def look(connection: Connection) -> dict[str, object]:
        found = inspect(connection)
        shown: dict[str, object] = {}
        for table in sorted(found.get_table_names()):
            columns = [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table)]
            keys = found.get_pk_constraint(table)["constrained_columns"]
            foreign = [
                (f["constrained_columns"], f["referred_table"])
                for f in found.get_foreign_keys(table)
            ]
            shown[table] = (columns, keys, foreign)
        return shown

    async def work(connection: AsyncConnection) -> dict[str, object]:
        return await connection.run_sync(look)

    return await store.look(work)


async def test_a_database_of_version_1_goes_on(tmp_path: Path) -> None:
    path = old_copy(tmp_path)
    async with open_store(f"sqlite:///{path}") as store:
        done, running = await store.tasks()
        assert (done.order, running.order) == (ORDER, ORDER)
        assert running.status == replace(STATUS, phase=TaskPhase.RUNNING, aggregations=1)
        assert await store.checkpoint(TASK) == b"state 1"
        journal = store.journal(TASK)
        assert await asyncio.to_thread(journal.records) == [
            Record(RecordKind.SERVER_EPOCH, b"offer"),
            Record(RecordKind.SERVER_ROUND, b"start"),
        ]
        assert await asyncio.to_thread(journal.slots) == {"group": Secret(b"only an example")}
        result = await store.result(done.status)
        assert result is not None
        assert (result.status.task, result.archive) == (TaskId(bytes(range(16, 32))), b"archive")
        assert (await store.advance(running.status, "round", {}, b"state 2")).number == 3


async def test_a_migrated_database_is_like_a_new_one(tmp_path: Path) -> None:
    path = old_copy(tmp_path)
    async with open_store(f"sqlite:///{path}") as migrated, open_store("sqlite://") as new:
        assert await shape(migrated) == await shape(new)


def make_version_1(connection: Connection) -> None:
    """Make the tables as version 1 had them, in a dialect that had no version 1."""
    METADATA.create_all(connection)
    for table in ("history", "lease"):
        connection.execute(text(f"DROP TABLE {table}"))
    for table, columns in ADDED_SINCE_1.items():
        for column in columns:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    connection.execute(text("INSERT INTO schema_version VALUES (1)"))


async def test_postgresql_ends_with_the_same_tables(postgres: Cluster) -> None:
    old, new = postgres.create(), postgres.create()
    engine = backend_of(old).engine(15.0)
    async with engine.begin() as connection:
        await connection.run_sync(make_version_1)
    await engine.dispose()
    async with open_store(old) as migrated, open_store(new) as fresh:
        assert await shape(migrated) == await shape(fresh)


async def test_both_backends_have_the_tables_that_the_program_uses(postgres: Cluster) -> None:
    wanted = {
        name: ([c.name for c in table.columns], [c.name for c in table.primary_key])
        for name, table in METADATA.tables.items()
    }

    async def found(url: str) -> dict[str, object]:
        def look(connection: Connection) -> dict[str, object]:
            read = MetaData()
            read.reflect(connection)
            return {
                name: ([c.name for c in table.columns], [c.name for c in table.primary_key])
                for name, table in read.tables.items()
            }

        async with open_store(url) as store:
            return await store.look(lambda connection: connection.run_sync(look))

    assert await found("sqlite://") == wanted
    assert await found(postgres.create()) == wanted


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = old_copy(tmp_path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        ConfigError, match=f"version 99, this program reads up to version {VERSION}"
    ):
        async with open_store(f"sqlite:///{path}"):
            pass
    assert path.read_bytes() == before


KILLED = """
import asyncio, os, signal, sys
from dreamshare_aggregator import migrations, store

def killed(connection, database, whole=migrations.migrate):
    whole(connection, database)
    os.kill(os.getpid(), signal.SIGKILL)

from dreamshare_aggregator import database
database.migrate = killed
asyncio.run(store.open_store(sys.argv[1]).try_to_open())
"""
"""Dies when every step is done and nothing is committed."""


async def test_a_migration_that_is_killed_is_run_again(tmp_path: Path) -> None:
    path = old_copy(tmp_path)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, f"sqlite:///{path}"],
        env=os.environ,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT max(version) FROM schema_version").fetchone() == (1,)
    connection.close()
    async with open_store(f"sqlite:///{path}") as store:
        assert len(await store.tasks()) == 2
