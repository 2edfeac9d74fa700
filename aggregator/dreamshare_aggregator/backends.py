"""The two kinds of database: how an URL becomes connections, and what their errors mean.

    sqlite:///rounds.db      sqlite:////var/lib/rounds.db      sqlite://  (in memory)
    postgresql://user:password@host:5432/name?sslmode=verify-full

Rules:
- the URL picks the backend, nothing else differs for the caller;
- a PostgreSQL URL is libpq's and goes to asyncpg as it stands; SQLAlchemy never sees it, so that a
  password is in no engine's text; `name` is what logs and errors say;
- an error is `Away` where the same work may succeed in a moment: the server is not there, ends, or
  asks to try again; everything else is final.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from dreamshare.errors import ConfigError

if TYPE_CHECKING:
    import asyncpg

_SQLITE = "sqlite://"
_POSTGRES = ("postgresql://", "postgres://")
_CONNECT_S = 10.0
_COMMAND_S = 60.0  # a server that vanished without a word is noticed then
_AGAIN = ("08", "57P", "40001", "40P01", "53300", "55P03")
"""Beginnings of SQLSTATEs: no connection, the server ends or starts, a conflict, too many."""
_WRONG = ("28", "3D", "42501")
"""Who connects is not let in, or there is no such database: waiting does not help."""


class Away(OSError):
    """The database does not answer now; the text says what it said, without a password."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the database is.

    Attributes:
        name: for logs and errors: the file, or user, host and database; never a password.
        path: the SQLite file; None for one in memory and for PostgreSQL.
        shared: whether several machines can reach it: PostgreSQL.
    """

    name: str
    path: Path | None
    shared: bool
    _url: str = field(repr=False)

    @property
    def artefacts(self) -> Path | None:
        """Where large values go unless the settings say otherwise; None: in the database."""
        if self.path is None:
            return None
        return self.path.with_name(f"{self.path.name}.artefacts")

    def engine(self, lease_s: float, read_only: bool = False) -> AsyncEngine:
        """Return an engine; nothing is connected yet.

        Args:
            lease_s: a session that is silent so long inside a transaction is ended by PostgreSQL,
                so that a machine that stopped in the middle of one does not hold the lease's row.
            read_only: take no locks and write nothing.
        """
        if self.shared:
            return _postgres(self._url, self.name, lease_s, read_only)
        return _sqlite(self._url, read_only)


def backend_of(url: str) -> Backend:
    """Return the backend that a URL names; raises ConfigError, which shows no password."""
    if url.startswith(_SQLITE):
        rest = url.removeprefix(_SQLITE)
        if rest in ("", "/", "/:memory:"):
            return Backend("in memory", None, False, "sqlite+aiosqlite://")
        if not rest.startswith("/"):
            raise ConfigError(f"store {url!r}: write sqlite:///FILE, with three slashes")
        path = Path(rest.removeprefix("/"))
        return Backend(str(path), path, False, str(path))
    if url.startswith(_POSTGRES):
        return Backend(_shown(url), None, True, url)
    scheme = url.partition(":")[0][:20]
    raise ConfigError(
        f"store: {scheme!r} is no database that is known here; write sqlite:///FILE or "
        "postgresql://USER@HOST/NAME"
    )


def away(error: DBAPIError) -> bool:
    """Return whether the work may succeed if it is done again in a moment."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or state.startswith(_AGAIN)


def said(error: DBAPIError) -> str:
    """Return what the database said, in one line."""
    return " ".join(str(error.orig).split()).removeprefix("<class 'asyncpg.exceptions.")


def exclusively(connection: Connection) -> None:
    """Let one opener at a time look at, make or migrate the tables, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(774422901)"))


def _shown(url: str) -> str:
    """Return user, host and database of a URL; never what might be part of a password."""
    parts = urlsplit(url)
    who, _, where = parts.netloc.rpartition("@")
    user = who.partition(":")[0]
    if "@" in parts.path or (":" in where and not where.rpartition(":")[2].isdigit()):
        raise ConfigError(
            "store: the PostgreSQL URL cannot be read; write the signs @ : / ? # % of a password "
            "percent-encoded, or leave it to a file (~/.pgpass)"
        )
    return f"postgresql://{user}{'@' if user else ''}{where}{parts.path}"


def _sqlite(location: str, read_only: bool) -> AsyncEngine:
    url = location
    if "://" not in location:
        mode = "ro" if read_only else "rwc"
        url = f"sqlite+aiosqlite:///file:{quote(location)}?mode={mode}&uri=true"
    # one connection, so that writers queue instead of failing; the fsync is the whole cost
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)

    def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        # transactions are begun below, because sqlite3's own begin too late and leave out DDL
        connection.isolation_level = None
        cursor = connection.cursor()
        durable = () if read_only else ("journal_mode=WAL", "synchronous=FULL")
        for pragma in ("busy_timeout=30000", *durable, "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    event.listen(engine.sync_engine, "connect", configure)
    event.listen(engine.sync_engine, "begin", begin)
    return engine


def _postgres(url: str, name: str, lease_s: float, read_only: bool) -> AsyncEngine:
    try:
        import asyncpg
    except ImportError:
        raise ConfigError("PostgreSQL needs asyncpg: pip install 'dreamshare[postgres]'") from None
    settings = {
        "application_name": "dreamshare",
        "idle_in_transaction_session_timeout": str(round(lease_s * 1000)),
        "default_transaction_read_only": "on" if read_only else "off",
    }

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                url, timeout=_CONNECT_S, command_timeout=_COMMAND_S, server_settings=settings
            )
        except asyncpg.PostgresError as error:
            if str(error.sqlstate).startswith(_WRONG):
                raise ConfigError(f"cannot open the database {name}: {error}") from None
            raise Away(f"the database {name} does not answer: {error}") from None
        except (OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Away(f"the database {name} does not answer: {reason}") from None
        except (ValueError, asyncpg.InterfaceError):  # its text may quote the URL
            raise ConfigError(
                f"store: the URL of {name} cannot be used; see docs/operations/database.md"
            ) from None

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=4, max_overflow=0
    )
