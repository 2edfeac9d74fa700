"""One database with one active writer: transactions, the lease, and outages.

    database = Database(backend_of(url), settings, clock)
    held = await database.take()            # None: this one is active
    value = await database.write(work)      # in one transaction, durable on return

Rules:
- whoever writes holds the lease, and each writing transaction checks that (`lease`);
- writing transactions are done one after the other and numbered: where a connection is cut during a
  commit, the number tells whether it happened, so work is done once however often it is tried;
- while the database is away, work waits and is tried again with growing pauses; after `patience_s`
  it fails, and the service ends with a clear text; the next start takes up what was committed;
- a transaction that was begun is finished, also where its caller is cancelled meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.waiting import first_of
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare_aggregator import lease
from dreamshare_aggregator.backends import Away, Backend, away, exclusively, said
from dreamshare_aggregator.lease import Grant, Held, LeaseLost
from dreamshare_aggregator.lock import DatabaseLock
from dreamshare_aggregator.migrations import check_version, migrate, version_of

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
"""What is done in a transaction; it may be done again where the transaction was not committed."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_LEASED_SINCE = 2  # version


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a store is used; the defaults suit a service.

    Attributes:
        lease_s: seconds after which a standby takes over from an aggregator that is silent, 1 or
            more; it is renewed at a third. PostgreSQL only: a file's lock goes with its holder.
        patience_s: seconds that the database may be away before the service ends, 0 or more.
        artefacts: folder for large values; None: beside an SQLite file, and in the database where
            it is PostgreSQL. On PostgreSQL every aggregator of the federation must see the folder.
        clock: times pauses and what is kept of rounds.
    """

    lease_s: float = 15.0
    patience_s: float = 300.0
    artefacts: Path | None = None
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        if not 1.0 <= self.lease_s <= 3600.0:
            raise ConfigError(f"lease_s is {self.lease_s}; it must be from 1 to 3600 seconds")
        if not self.patience_s >= 0.0:
            raise ConfigError(f"patience_s is {self.patience_s}; it must be 0 or more")


@dataclass(slots=True)
class _Attempts(Generic[T]):
    """What the last attempt that reached its commit would have returned."""

    number: int
    results: list[T] = field(default_factory=list)


class Database:
    """The connections of one process to one database; see the module.

    Attributes:
        outage: what the database's absence was told as, while it is away; None otherwise.
    """

    def __init__(self, backend: Backend, settings: StoreSettings, read_only: bool = False) -> None:
        self.backend = backend
        self.outage: str | None = None
        self._outage_changed = asyncio.Event()
        self._settings = settings
        self._clock = settings.clock
        self._read_only = read_only
        self._engine: AsyncEngine = backend.engine(settings.lease_s, read_only)
        self._lock = DatabaseLock(None if backend.path is None else str(backend.path))
        self._grant: Grant | None = None
        self._written = 0
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Future[Any]] = set()
        self._closing = asyncio.Event()
        self._lost: LeaseLost | None = None
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"

    # ---- becoming and being active ---------------------------------------------------------------

    async def take(self) -> Held | None:
        """Become active: make or migrate the tables and take the lease.

        Returns:
            Who is active where it is somebody else; None where it is this one from now on.

        Raises:
            ConfigError: the database cannot be opened, or a later program wrote it.
            Away: it does not answer.
        """
        if not self._lock.take():
            return Held("on this machine", 1.0)
        try:
            with self._opening():
                async with self._engine.begin() as connection:
                    found = await connection.run_sync(self._enter)
        except BaseException:
            self._lock.give()
            raise
        if isinstance(found, Held):
            return found
        self._grant, self._written = found, 0
        return None

    async def stand_by(self, told: Callable[[Held], None]) -> bool:
        """Wait until this one is active; an outage is waited out, too.

        Args:
            told: called with who is active, whenever that was looked up.

        Returns:
            Whether it is; False where the database was closed meanwhile.

        Raises:
            ConfigError: as `take`.
        """
        while not self._closing.is_set():
            held = await self._patiently(self.take, forever=True)
            if held is None:
                return True
            told(held)
            await self._pause(min(held.left_s, self._settings.lease_s / 3))
        return False

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """Name the database in what goes wrong while it is opened; Away stays Away."""
        cannot = f"cannot open the database {self.backend.name}"
        try:
            yield
        except DBAPIError as error:
            if away(error):
                raise Away(f"{cannot}: {said(error)}") from None
            raise ConfigError(f"{cannot}: {said(error)}") from None
        except ConnectionError as error:
            raise Away(f"{cannot}: {error}") from None

    def _enter(self, connection: Connection) -> Grant | Held:
        exclusively(connection)
        found = version_of(connection)
        check_version(found, self.backend.name)
        taking = partial(lease.take, connection, self._holder, self._settings.lease_s)
        if found >= _LEASED_SINCE:  # nobody's tables are changed while he uses them
            answer = taking(not self.backend.shared)
            if isinstance(answer, Held):
                return answer
            migrate(connection, self.backend.name)
            return answer
        migrate(connection, self.backend.name)
        return taking(not self.backend.shared)

    async def look(self) -> int:
        """Return the version of the tables, taking nothing; raises ConfigError, Away."""
        with self._opening():
            async with self._engine.connect() as connection:
                return await connection.run_sync(version_of)

    async def keep_lease(self) -> None:
        """Renew the lease at a third of its time; returns when the database is closed.

        Raises:
            LeaseLost: another aggregator is active.
        """
        if not self.backend.shared:
            await self._closing.wait()
            return
        while not await self._pause(self._settings.lease_s / 3):
            await self._patiently(self._renew, forever=True)

    async def _renew(self) -> None:
        async with self._engine.begin() as connection:
            await lease.renew(connection, self._token, self._settings.lease_s)

    @property
    def _token(self) -> int:
        if self._grant is None:
            raise LocalProtocolError("the store is not active; open it with `async with`")
        return self._grant.token

    @property
    def token(self) -> int:
        """The fencing token: it grows with every aggregator that becomes active."""
        return self._token

    async def close(self) -> None:
        """Finish what runs, give up what waits, give the lease back; idempotent."""
        self._closing.set()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._grant is not None and self._lost is None:
            try:
                async with self._engine.begin() as connection:
                    await lease.renew(connection, self._token, 0.0)
            except (DBAPIError, OSError):
                _LOG.info("the lease was not given back; it ends by itself")
        self._grant = None
        await self._engine.dispose()
        self._lock.give()

    # ---- transactions ----------------------------------------------------------------------------

    async def write(self, work: Work[T], settled: Callable[[T], None] | None = None) -> T:
        """Do `work` in one transaction: all of it is durable on return, or nothing was done.

        Args:
            work: the statements.
            settled: called with the result after the commit, before anybody else writes.

        Raises:
            LeaseLost: another aggregator is active.
            OSError: the database cannot be written, for example because the disk is full, or was
                away for longer than the settings' patience.
        """
        return await self._finish(self._write(work, settled))

    async def read(self, work: Work[T]) -> T:
        """Do `work`, which changes nothing; raises OSError as `write` does."""
        return await self._finish(self._patiently(partial(self._read_once, work)))

    async def _finish(self, work: Awaitable[T]) -> T:
        running = asyncio.ensure_future(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    async def _write(self, work: Work[T], settled: Callable[[T], None] | None) -> T:
        async with self._turn:
            attempts = _Attempts[T](self._written + 1)
            await self._patiently(partial(self._write_once, work, attempts))
            self._written = attempts.number
            result = attempts.results[-1]
            if settled is not None:
                settled(result)
            return result

    async def _write_once(self, work: Work[T], attempts: _Attempts[T]) -> None:
        if self._lost is not None:
            raise self._lost
        async with self._engine.begin() as connection:
            if await lease.count(connection, self._token, attempts.number):
                attempts.results.append(await work(connection))
            elif not attempts.results:
                text = "an earlier write ended without an answer; start the aggregator again"
                raise OSError(f"the database {self.backend.name}: {text}")

    async def _read_once(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await work(connection)

    async def _patiently(self, step: Callable[[], Awaitable[T]], forever: bool = False) -> T:
        """Do a step; where the database is away, again and again."""
        began, pause = self._clock.now(), _FIRST_PAUSE_S
        while True:
            try:
                result = await step()
            except LeaseLost as error:
                self._lost = error
                raise
            except (DBAPIError, ConnectionError, TimeoutError, Away) as error:
                reason = said(error) if isinstance(error, DBAPIError) else str(error)
                if isinstance(error, DBAPIError) and not away(error):
                    text = f"the database {self.backend.name} cannot be used: {reason}"
                    raise OSError(text) from error
                self._is_away(reason)
                over = self._clock.now() - began + pause > self._settings.patience_s
                if (over and not forever) or await self._pause(pause):
                    text = f"the database {self.backend.name} is away: {reason}"
                    raise OSError(text) from error
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._is_back()
                return result

    def _is_away(self, reason: str) -> None:
        if self.outage is None:
            _LOG.warning("the database %s is away; work waits: %s", self.backend.name, reason)
        self.outage = reason
        self._outage_changed.set()

    async def until_outage_changes(self) -> None:
        """Return when `outage` may have become something else; for one reader."""
        await self._outage_changed.wait()
        self._outage_changed.clear()

    def _is_back(self) -> None:
        if self.outage is not None:
            _LOG.warning("the database %s is back; work goes on", self.backend.name)
            self._outage_changed.set()
        self.outage = None

    async def _pause(self, seconds: float) -> bool:
        """Wait; return True at once where the database is closed."""
        if self._closing.is_set():
            return True
        moment = self._clock.now() + seconds
        await first_of(self._until_closing(), self._clock.sleep_until(moment))
        return self._closing.is_set()

    async def _until_closing(self) -> None:
        await self._closing.wait()
