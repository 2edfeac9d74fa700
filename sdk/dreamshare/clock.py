"""Time as an argument.

`Clock` is what shells and drivers are handed; `SystemClock` is the real one, `ManualClock` moves
only when told, so that a simulation of an hour takes no hour. Machines get `now` as a float.
This module is the only place of the project that sleeps.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since the Unix epoch, and a way to wait for a moment."""

    def now(self) -> float:
        """Return the current time in seconds since 1970-01-01 UTC."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return when `now() >= moment`; cancellable."""
        ...


class SystemClock:
    """The machine's clock: wall time at first, then advanced monotonically: never backwards."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset

    async def sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self.now()))


class ManualClock:
    """A clock that stands still until `advance_to` moves it; public, for tests and simulation."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()

    def now(self) -> float:
        return self._now

    @property
    def next_wake(self) -> float | None:
        """The earliest moment that somebody sleeps until, or None."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def sleep_until(self, moment: float) -> None:
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._ticket), waiter))
        await waiter

    def advance_to(self, moment: float) -> None:
        """Move to `moment` (never backwards) and wake everybody whose time has come."""
        self._now = max(self._now, moment)
        while (wake := self.next_wake) is not None and wake <= self._now:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)
