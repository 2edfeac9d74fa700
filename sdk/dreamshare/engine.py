"""Where batches of work run: in this task, or in a thread of their own.

Rules:
- work is a plain call without arguments; it knows nothing of asyncio;
- one engine does one thing at a time, in order: a learner is never used by two pieces of work;
- a piece of work that nobody waits for any more runs to its end before the next one starts.
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
    """Runs work in one thread, so that the event loop goes on answering."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dreamshare-work")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
