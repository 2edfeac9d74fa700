"""A copy of an SQLite store that was whole at one moment, and the way back.

    FOLDER/rounds.db              the database
    FOLDER/artefacts/9f/9f86….12  the large values that it names

Rules:
- a copy may be made while the aggregator runs: it is of one moment, at which nobody commits for as
  long as the files that the database names get a second name (hard links, no copies);
- what is copied is read back and checked before the copy gets its name;
- nothing is overwritten, neither by a copy nor by a restoration;
- a restored store forgets the rounds that were open: devices have gone on since, so each task goes
  on from its last merged sum, in a new epoch;
- PostgreSQL has its own tools, which are better than ours would be.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dreamshare.errors import ConfigError
from dreamshare_aggregator.artefacts import Artefacts, write_whole
from dreamshare_aggregator.backends import Backend, backend_of
from dreamshare_aggregator.lock import DatabaseLock
from dreamshare_aggregator.migrations import check_version
from dreamshare_aggregator.schema import CHECKPOINTS, JOURNAL, RESULTS
from dreamshare_crypto.secagg.events import RecordKind

_DATABASE = "rounds.db"
_ARTEFACTS = "artefacts"
_HELD = ".backup"
_LOCK_S = 30.0
_FILES_SINCE = 2  # version
_OUTLIVE = (RecordKind.OWNER, RecordKind.SERVER_EPOCH, RecordKind.SERVER_FAULTY)
"""Records that a restored task keeps: what it told devices, its epochs' numbers, who lied."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup or a restoration copied.

    Attributes:
        database: the copy.
        size: of the database in bytes.
        artefacts: how many files came along.
    """

    database: Path
    size: int
    artefacts: int


def back_up(url: str, artefacts: Path | None, into: Path) -> Copied:
    """Copy a store into a new folder; it may be in use.

    Raises:
        ConfigError: it is not SQLite, is missing or damaged, or the folder exists.
    """
    source = _file_of(url, artefacts)
    if not source.database.exists():
        raise ConfigError(f"there is no database {source.database}")
    if into.exists():
        raise ConfigError(f"{into} exists; a backup goes into a new folder")
    part = into.with_name(f"{into.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    copy = _Files(part / _DATABASE, part / _ARTEFACTS)
    held = source.artefacts / _HELD
    try:
        with closing(_connect(source.database)) as reading:
            named = _hold(source, reading, held)
            _snapshot(source.database, reading, copy.database)
        for name in named:
            write_whole(copy.artefacts / name[:2] / name, (held / name).read_bytes())
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{source.database} cannot be copied: {error}") from None
    finally:
        shutil.rmtree(held, ignore_errors=True)
    _verify(copy, named)
    part.rename(into)
    database = into / _DATABASE
    return Copied(database, database.stat().st_size, len(named))


def restore(backup: Path, url: str, artefacts: Path | None) -> Copied:
    """Put a backup in the place of a store that is not there any more.

    Raises:
        ConfigError: it is not whole, a later program wrote it, or there is a store in its place.
    """
    target = _file_of(url, artefacts)
    copy = _Files(backup / _DATABASE, backup / _ARTEFACTS)
    if not copy.database.is_file():
        raise ConfigError(f"{backup} is no backup: it holds no {_DATABASE}")
    for name in ("", "-wal", "-shm"):
        there = target.database.with_name(f"{target.database.name}{name}")
        if there.exists():
            raise ConfigError(f"{there} exists and is not overwritten; move it away first")
    with closing(_connect(copy.database)) as reading:
        named = _named(reading, copy.database)
    _verify(copy, named)
    lock = DatabaseLock(str(target.database))
    part = target.database.with_name(f"{target.database.name}.part")
    if not lock.take():
        raise ConfigError(f"{target.database} is in use; stop the aggregator first")
    try:
        for name in named:
            value = (copy.artefacts / name[:2] / name).read_bytes()
            write_whole(target.artefacts / name[:2] / name, value)
        with closing(_connect(copy.database)) as reading:
            _snapshot(copy.database, reading, part)
        _forget_open_rounds(part)
        os.replace(part, target.database)
    finally:
        part.unlink(missing_ok=True)
        lock.give()
    return Copied(target.database, target.database.stat().st_size, len(named))


@dataclass(frozen=True, slots=True)
class _Files:
    database: Path
    artefacts: Path


def _file_of(url: str, artefacts: Path | None) -> _Files:
    backend: Backend = backend_of(url)
    if backend.shared:
        raise ConfigError(
            f"{backend.name} is backed up with PostgreSQL's own tools: pg_dump --format=custom, "
            "then a copy of the artefacts' folder if one is set; see docs/operations/backup.md"
        )
    if backend.path is None:
        raise ConfigError("a store in memory has no file")
    return _Files(backend.path, artefacts or backend.artefacts or backend.path.parent)


def _hold(source: _Files, reading: sqlite3.Connection, held: Path) -> Sequence[str]:
    """Fix the moment of the copy; return the files that the database names at it.

    Nobody commits while the files get a second name, so that they outlive the aggregator's removal
    of them; `reading` goes on seeing the database as it is now.
    """
    shutil.rmtree(held, ignore_errors=True)  # of a backup that was killed
    with closing(sqlite3.connect(source.database, timeout=_LOCK_S, isolation_level=None)) as still:
        still.execute("BEGIN IMMEDIATE")
        reading.execute("BEGIN")
        named = _named(reading, source.database)
        if named:
            held.mkdir(mode=0o700)
        for name in named:
            path = source.artefacts / name[:2] / name
            try:
                os.link(path, held / name)
            except FileNotFoundError:
                raise ConfigError(
                    f"the artefact {path} is missing; `dreamshare store check` says what else is"
                ) from None
        still.execute("ROLLBACK")
    return named


def _snapshot(source: Path, reading: sqlite3.Connection, target: Path) -> None:
    """Copy what `reading` sees into one file, durably; raises ConfigError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(target)) as new:
            reading.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{source} cannot be copied: {error}") from None
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)


def _named(connection: sqlite3.Connection, database: Path) -> Sequence[str]:
    """Return the artefacts that rows name; raises ConfigError where a later program wrote them."""
    try:
        (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone()
        check_version(version, str(database))
        if version < _FILES_SINCE:
            return ()
        names = " UNION ".join(
            f"SELECT artefact FROM {table.name} WHERE artefact IS NOT NULL"  # noqa: S608
            for table in (CHECKPOINTS, JOURNAL, RESULTS)
        )
        return sorted(name for (name,) in connection.execute(names))
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{database} cannot be read: {error}") from None


def _verify(copy: _Files, named: Sequence[str]) -> None:
    try:
        with closing(_connect(copy.database)) as connection:
            told = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        told = [str(error)]
    if told != ["ok"]:
        raise ConfigError(f"{copy.database} is damaged: {told[0]}")
    damaged = Artefacts(copy.artefacts).damaged(named)
    if damaged:
        raise ConfigError(f"the artefact {copy.artefacts / damaged[0][:2] / damaged[0]} is damaged")


def _forget_open_rounds(database: Path) -> None:
    kept = ", ".join(str(int(kind)) for kind in _OUTLIVE)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"DELETE FROM journal WHERE kind NOT IN ({kept})")  # noqa: S608
        connection.execute("DELETE FROM slots")
