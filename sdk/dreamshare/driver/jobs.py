"""Background tasks of one driver: started, stopped together, and loud when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from dreamshare.driver.waiting import stop


class Jobs:
    """A set of running tasks; made inside an event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run `work` in the background."""
        job = asyncio.ensure_future(work)
        self._running.add(job)
        job.add_done_callback(self._done)
        return job

    async def until_failed(self) -> None:
        """Wait for the first job that raises, and raise that."""
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Cancel every job and wait for its end."""
        await stop(*self._running)

    def _done(self, job: asyncio.Task[None]) -> None:
        self._running.discard(job)
        error = None if job.cancelled() else job.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)
