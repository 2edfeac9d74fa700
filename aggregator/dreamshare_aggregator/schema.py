"""The tables of the aggregator's database, and their version.

Rules:
- everything here is public to the aggregator's operator: sums, statuses, public results; no row
  holds a vector of one device, because the aggregator never has one;
- a change of a table is a new `VERSION` with its numbered step in `store`; an unknown version is
  refused, never guessed at;
- identifiers are 16 bytes, times are Unix seconds, small records are JSON that a person can read.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION = 1

METADATA = MetaData()

VERSIONS = Table("schema_version", METADATA, Column("version", Integer, primary_key=True))


def _task() -> Column[bytes]:
    return Column("task", LargeBinary(16), ForeignKey("tasks.task"), primary_key=True)


TASKS = Table(
    "tasks",
    METADATA,
    Column("task", LargeBinary(16), primary_key=True),
    Column("submitted", Float, nullable=False),
    Column("phase", Text, nullable=False),
    Column("order", Text, nullable=False),  # JSON: what was submitted
    Column("status", Text, nullable=False),  # JSON: the latest TaskStatus
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

CHECKPOINTS = Table("checkpoints", METADATA, _task(), Column("state", LargeBinary, nullable=False))

RESULTS = Table(
    "results",
    METADATA,
    _task(),
    Column("archive", LargeBinary, nullable=False),
    Column("metrics", Text, nullable=False),
)

JOURNAL = Table(
    "journal",
    METADATA,
    _task(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

SLOTS = Table(
    "slots",
    METADATA,
    _task(),
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
