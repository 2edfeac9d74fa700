"""One alarm that can be moved: what turns a machine's `deadline` into `Ticked`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dreamshare.clock import Clock


class Timer:
    """Calls `due` when the moment that was set last has come.

    Args:
        clock: what time it is.
        due: called once per alarm, in the event loop; it may set the next one.
    """

    def __init__(self, clock: Clock, due: Callable[[], None]) -> None:
        self._clock = clock
        self._due = due
        self._moment: float | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, moment: float | None) -> None:
        """Move the alarm, or switch it off with None."""
        if moment == self._moment:
            return
        self.cancel()
        self._moment = moment
        if moment is not None:
            self._task = asyncio.ensure_future(self._wait(moment))

    def cancel(self) -> None:
        """Switch the alarm off."""
        self._moment = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _wait(self, moment: float) -> None:
        await self._clock.sleep_until(moment)
        self._task = None
        self._moment = None
        self._due()
