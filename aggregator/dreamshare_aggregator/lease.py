"""The lease: one aggregator of a federation is active, and a paused one cannot write any more.

Rules:
- a lease is a row: who holds it, until when by the database's clock, and a token that grows with
  every holder (docs/adr/0013);
- every writing transaction begins by counting itself in that row, where the token is still its
  own: a holder that was overtaken changes nothing, whenever it wakes up;
- the count tells, after a connection was cut during a commit, whether the commit happened;
- in a file of SQLite the operating system's lock decides who is active, and goes with its holder:
  the row then never expires by time.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Float, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare_aggregator.schema import LEASE

_NAME = "aggregator"
_MINE = LEASE.c.name == _NAME


class LeaseLost(OSError):
    """Another aggregator is active now; this one has stopped writing."""


@dataclass(frozen=True, slots=True)
class Grant:
    """This aggregator is active.

    Attributes:
        token: its own, above every earlier holder's.
    """

    token: int


@dataclass(frozen=True, slots=True)
class Held:
    """Another aggregator is active.

    Attributes:
        holder: who, in words.
        left_s: seconds until its lease ends unless it is renewed.
    """

    holder: str
    left_s: float


def take(connection: Connection, holder: str, lease_s: float, alone: bool) -> Grant | Held:
    """Take the lease, unless somebody else holds it.

    Args:
        holder: who this is, in words.
        lease_s: how long it lasts unless renewed, seconds.
        alone: nobody else can have the database open: a file whose lock is held here.
    """
    row = connection.execute(
        select(LEASE.c.token, LEASE.c.holder, LEASE.c.expires, _now(connection).label("now"))
        .where(_MINE)
        .with_for_update()
    ).one()
    if not alone and row.expires > row.now:
        return Held(row.holder, row.expires - row.now)
    token = row.token + 1
    connection.execute(
        update(LEASE)
        .where(_MINE)
        .values(token=token, writes=0, holder=holder, expires=row.now + lease_s)
    )
    return Grant(token)


async def renew(connection: AsyncConnection, token: int, lease_s: float) -> None:
    """Let the lease last `lease_s` seconds from now; 0 gives it back. Raises LeaseLost."""
    expires = _now(connection.sync_connection) + lease_s
    done = await connection.execute(
        update(LEASE).where(_MINE, LEASE.c.token == token).values(expires=expires)
    )
    if not done.rowcount:
        raise lost(await holder_of(connection))


async def count(connection: AsyncConnection, token: int, number: int) -> bool:
    """Count the holder's transaction of this number; the row is locked until the commit.

    Returns:
        False where it was counted, and thus committed, before.

    Raises:
        LeaseLost: the token is another one.
    """
    here = (LEASE.c.token == token) & (LEASE.c.writes == number - 1)
    done = await connection.execute(update(LEASE).where(_MINE, here).values(writes=number))
    if done.rowcount:
        return True
    row = (
        await connection.execute(select(LEASE.c.token, LEASE.c.writes, LEASE.c.holder).where(_MINE))
    ).one()
    if (row.token, row.writes) == (token, number):
        return False
    raise lost(row.holder)


async def holder_of(connection: AsyncConnection) -> str:
    """Return who holds, or held, the lease."""
    return str(await connection.scalar(select(LEASE.c.holder).where(_MINE)))


def lost(holder: str) -> LeaseLost:
    """Return what is raised where another one is active."""
    return LeaseLost(
        f"another aggregator is active now ({holder}); this one has stopped writing and ends. "
        "Started again, it stands by"
    )


def _now(connection: Connection | None) -> ColumnElement[float]:
    """Return the database's clock, as SQL: Unix seconds, also inside a long transaction."""
    if connection is not None and connection.dialect.name == "postgresql":
        return literal_column(
            "CAST(extract(epoch FROM clock_timestamp()) AS double precision)", Float
        )
    return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
