"""Waiting for the first of several things, without losing an error or leaving a task behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from dreamshare.clock import Clock

T = TypeVar("T")


async def first_of(*work: Coroutine[None, None, T]) -> T:
    """Run all until the first ends, stop the others, and return or raise what the first did.

    Of several that ended at once, the one that was named first counts.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await stop(*tasks)
    return next(task for task in tasks if task in done).result()


async def stop(*tasks: asyncio.Task[T]) -> None:
    """Cancel tasks and wait for their end; what they raise then is of no interest any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def at_most(clock: Clock, seconds: float, work: Coroutine[None, None, None]) -> None:
    """Run `work` to its end, or for so many seconds."""
    await first_of(work, clock.sleep_until(clock.now() + seconds))
