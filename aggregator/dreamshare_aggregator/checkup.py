"""What an operator asks of a database beside, or instead of, a running aggregator.

Rules:
- a check takes no lock and changes nothing; it may run while an aggregator does;
- a migration takes the lease, as a start does, and gives it back;
- what is wrong is listed in words; an empty list is a healthy store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.errors import ConfigError
from dreamshare_aggregator import lease
from dreamshare_aggregator.artefacts import Artefacts
from dreamshare_aggregator.backends import Away, Backend, backend_of
from dreamshare_aggregator.database import Database, StoreSettings
from dreamshare_aggregator.schema import METADATA, VERSION
from dreamshare_aggregator.store import Store, named_artefacts


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        database: its name, without a password.
        version: of its tables; 0 where there are none.
        rows: per table; empty where the version is another one than this program's.
        artefacts: how many files rows name.
        holder: who is, or was last, active; empty if nobody was.
        wrong: what is damaged or has to be done, in words.
    """

    database: str
    version: int
    rows: Mapping[str, int]
    artefacts: int
    holder: str
    wrong: tuple[str, ...]


async def check_store(url: str, settings: StoreSettings) -> Checked:
    """Look at a store without touching it: versions, integrity, every artefact's hash.

    Raises:
        ConfigError: it cannot be opened.
    """
    backend = _existing(url)
    database = Database(backend, settings, read_only=True)
    async with aclosing(_Closes(database)):
        version = await database.look()
        if version != VERSION:
            what = "this program is too old for it" if version > VERSION else "migrate it"
            wrong = f"version {version} instead of {VERSION}: {what}"
            return Checked(backend.name, version, {}, 0, "", (wrong,))
        rows, holder, named, wrong_rows = await database.read(_look)
        artefacts = Artefacts(settings.artefacts or backend.artefacts)
        damaged = await asyncio.to_thread(artefacts.damaged, sorted(named))
        if damaged:  # an aggregator at work may have replaced them meanwhile
            still = await database.read(named_artefacts)
            damaged = [name for name in damaged if name in still]
    wrong_files = [f"the artefact {name} is missing or damaged" for name in damaged]
    return Checked(backend.name, version, rows, len(named), holder, (*wrong_rows, *wrong_files))


async def version_in(url: str, settings: StoreSettings) -> int:
    """Return the version of a store's tables, 0 where there are none; changes nothing.

    Raises:
        ConfigError: there is no such database, or it cannot be opened.
    """
    database = Database(_existing(url), settings, read_only=True)
    async with aclosing(_Closes(database)):
        try:
            return await database.look()
        except Away as error:
            raise ConfigError(str(error)) from None


async def migrate_store(url: str, settings: StoreSettings) -> tuple[int, int]:
    """Bring the tables to this program's version; return the versions before and after.

    Raises:
        ConfigError: it cannot be opened, is in use, or a later program wrote it.
    """
    backend = _existing(url)
    database = Database(backend, settings)
    async with aclosing(_Closes(database)):
        try:
            before = await database.look()
            held = await database.take()
        except Away as error:
            raise ConfigError(str(error)) from None
        if held is not None:
            text_ = f"the database {backend.name} is in use ({held.holder}); stop that one first"
            raise ConfigError(text_)
        return before, VERSION


@asynccontextmanager
async def reading_store(url: str, settings: StoreSettings | None = None) -> AsyncIterator[Store]:
    """Open a store to read it, also beside the aggregator that uses it; takes nothing.

    Raises:
        ConfigError: it cannot be opened, or its tables are of another version.
    """
    settings = settings or StoreSettings()
    backend = _existing(url)
    database = Database(backend, settings, read_only=True)
    try:
        version = await database.look()
        if version != VERSION:
            raise ConfigError(
                f"the database {backend.name} has version {version}, this program reads version "
                f"{VERSION}; `dreamshare store migrate` brings an older one up"
            )
        yield Store(database, Artefacts(settings.artefacts or backend.artefacts), settings.clock)
    except Away as error:
        raise ConfigError(str(error)) from None
    finally:
        await database.close()


def _existing(url: str) -> Backend:
    backend = backend_of(url)
    if backend.path is not None and not backend.path.exists():
        raise ConfigError(f"there is no database {backend.name}")
    return backend


class _Closes:
    """A database for `aclosing`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def aclose(self) -> None:
        await self._database.close()


async def _look(
    connection: AsyncConnection,
) -> tuple[Mapping[str, int], str, frozenset[str], list[str]]:
    rows = {
        name: int(await connection.scalar(select(func.count()).select_from(table)) or 0)
        for name, table in METADATA.tables.items()
    }
    wrong: list[str] = []
    if connection.dialect.name == "sqlite":
        told = (await connection.execute(text("PRAGMA integrity_check"))).scalars().all()
        wrong = [f"SQLite says: {line}" for line in told if line != "ok"]
    return rows, await lease.holder_of(connection), await named_artefacts(connection), wrong
