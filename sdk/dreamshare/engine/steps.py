"""Where work runs that takes a while: in this task, or in threads of its own.

Rules:
- work is a plain call without arguments; it knows nothing of asyncio;
- an engine does one thing at a time, in order: a learner is never used by two pieces of work. Only
  one that is given several threads does more; who uses it waits for each piece where order counts;
- a piece of work that nobody waits for any more runs to its end; with one thread, before the next
  one starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Engine(Protocol):
    """Runs work and returns what it returned."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` to its end; raises what it raises."""
        ...

    def close(self) -> None:
        """Give the engine's threads back; running work is waited for. Idempotent."""
        ...


class InlineEngine:
    """Runs work where it is asked for: simulations, and tests that want one order of events."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    def close(self) -> None:
        """Nothing to give back."""


class ThreadEngine:
    """Runs work in threads, so that the event loop goes on answering.

    Args:
        threads: how many pieces of work at a time, >= 1.
    """

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dreamshare-work")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
