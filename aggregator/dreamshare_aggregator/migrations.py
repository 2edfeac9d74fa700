"""From any earlier version of the tables to the present one, step by step.

Rules:
- a step is what changed then, in its own words: it names no table of `schema`, which goes on
  changing; a test compares what the steps make with what a new database gets, on both backends;
- all steps and the version's number are one transaction, on SQLite and PostgreSQL alike: a
  migration that is killed has changed nothing and is run again at the next start;
- a newer database is refused: an older program would misread it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
)

from dreamshare.errors import ConfigError
from dreamshare_aggregator.schema import LEASE, METADATA, VERSION, VERSIONS

Step = Callable[[Connection], None]


def version_of(connection: Connection) -> int:
    """Return the version of a database's tables; 0 where there are none."""
    if not inspect(connection).has_table(VERSIONS.name):
        return 0
    found = connection.scalar(select(func.max(VERSIONS.c.version)))
    return 0 if found is None else int(found)


def check_version(found: int, database: str) -> None:
    """Refuse a database that a later program wrote; raises ConfigError."""
    if found > VERSION:
        raise ConfigError(
            f"the database {database} has version {found}, this program reads up to version "
            f"{VERSION}; use the program that wrote it, or a backup from before"
        )


def migrate(connection: Connection, database: str) -> None:
    """Bring the tables to the present version, in the caller's transaction.

    Raises:
        ConfigError: a later program wrote them.
    """
    found = version_of(connection)
    check_version(found, database)
    if found == 0:
        METADATA.create_all(connection)
        connection.execute(insert(LEASE).values(_nobodys_lease()))
        connection.execute(insert(VERSIONS).values(version=VERSION))
        return
    for version in range(found + 1, VERSION + 1):
        STEPS[version](connection)
        connection.execute(insert(VERSIONS).values(version=version))


def _nobodys_lease() -> Mapping[str, object]:
    return {"name": "aggregator", "token": 0, "writes": 0, "holder": "", "expires": 0.0}


def _add(connection: Connection, table: str, column: str, kind: Float[float] | Text) -> None:
    name = kind.compile(connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column} {name}")


def _to_2(connection: Connection) -> None:
    """Large values as files, when tasks ended, the history of rounds, the lease."""
    _add(connection, "tasks", "ended", Float())
    for table in ("checkpoints", "results", "journal"):
        _add(connection, table, "artefact", Text())
    tables = MetaData()
    Table("tasks", tables, Column("task", LargeBinary(16), primary_key=True))
    history = Table(
        "history",
        tables,
        Column("task", LargeBinary(16), ForeignKey("tasks.task"), primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("moment", Float, nullable=False),
        Column("step", Text, nullable=False),
        Column("cycle", Integer, nullable=False),
        Column("outcome", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("roster", Integer, nullable=False),
        Column("survivors", Integer, nullable=False),
        Column("dropped", Integer, nullable=False),
        Column("bytes", BigInteger, nullable=False),
    )
    lease = Table(
        "lease",
        tables,
        Column("name", Text, primary_key=True),
        Column("token", BigInteger, nullable=False),
        Column("writes", BigInteger, nullable=False),
        Column("holder", Text, nullable=False),
        Column("expires", Float, nullable=False),
    )
    tables.create_all(connection, tables=[history, lease])
    connection.execute(insert(lease).values(_nobodys_lease()))


STEPS: Mapping[int, Step] = MappingProxyType({2: _to_2})
"""What brings the version before to the key."""
