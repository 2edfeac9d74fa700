"""The tables of the aggregator's database, and their version.

Rules:
- everything here is public to the aggregator's operator: sums, statuses, public results; no row
  holds a vector of one device, because the aggregator never has one;
- a change of a table is a new `VERSION` with its numbered step in `migrations`; a newer version is
  refused, never guessed at; SQLite and PostgreSQL have the same tables (docs/adr/0013);
- identifiers are 16 bytes, times are Unix seconds, small records are JSON that a person can read;
- a value above `artefacts.INLINE` bytes is a file: `artefact` names it and the value is empty.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION = 2

METADATA = MetaData()

VERSIONS = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
)


def _task() -> Column[bytes]:
    return Column("task", LargeBinary(16), ForeignKey("tasks.task"), primary_key=True)


def _artefact() -> Column[str]:
    return Column("artefact", Text)


TASKS = Table(
    "tasks",
    METADATA,
    Column("task", LargeBinary(16), primary_key=True),
    Column("submitted", Float, nullable=False),
    Column("phase", Text, nullable=False),
    Column("order", Text, nullable=False),  # JSON: what was submitted
    Column("status", Text, nullable=False),  # JSON: the latest TaskStatus
    Column("ended", Float),  # when it ended; NULL while it has not, or before version 2
)

REPORTS = Table(
    "reports",
    METADATA,
    _task(),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, ... per task
    Column("event", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("metrics", Text, nullable=False),
)

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    _task(),
    Column("state", LargeBinary, nullable=False),
    _artefact(),
)

RESULTS = Table(
    "results",
    METADATA,
    _task(),
    Column("archive", LargeBinary, nullable=False),
    Column("metrics", Text, nullable=False),
    _artefact(),
)

JOURNAL = Table(
    "journal",
    METADATA,
    _task(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _artefact(),
)

SLOTS = Table(
    "slots",
    METADATA,
    _task(),
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

HISTORY = Table(
    "history",
    METADATA,
    _task(),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 1, 2, 3, ... per task
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

LEASE = Table(
    "lease",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),  # grows with every holder
    Column("writes", BigInteger, nullable=False),  # transactions of this holder, 1, 2, 3, ...
    Column("holder", Text, nullable=False),
    Column("expires", Float, nullable=False),  # by the database's clock
)
"""Its form is the same in every version from 2 on: it is read before anything is migrated."""
