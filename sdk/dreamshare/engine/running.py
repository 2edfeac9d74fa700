"""The asyncio half of every engine: hands pieces to places, and gives their events to one reader.

A place is a thread that waits for whatever computes: the thread itself, a process, a cluster. What
that is knows a `Backend`, which sees no event loop.

Rules:
- a place has one piece at a time; pieces begin in their order;
- at most twice as many results as there are places wait for the reader: one that is slow holds the
  work up instead of filling the memory;
- a batch ends by giving its places back, whatever ended it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self

from dreamshare.engine.batches import A, Batch, C, Event, Failed, Finished, R, Reason, Running, Told
from dreamshare.engine.calling import GivenUp
from dreamshare.errors import ConfigError, LocalProtocolError


@dataclass(frozen=True, slots=True)
class Piece(Generic[A]):
    """One piece on its way.

    Attributes:
        number: its place in the batch.
        place: where it runs.
        argument: its own.
        tell: passes on what it tells; callable from any thread.
    """

    number: int
    place: int
    argument: A
    tell: Callable[[str], None]


class Performing(Protocol[A, R]):
    """One batch on a backend."""

    def perform(self, piece: Piece[A]) -> Finished[R] | Failed:
        """Compute, and wait for it. Called in threads, one a place.

        Raises:
            GivenUp: `stop` was called.
        """
        ...

    def stop(self) -> None:
        """Have every `perform` return soon, and begin none. Called in any thread; idempotent."""
        ...

    def end(self) -> None:
        """Forget the batch; nothing of it runs any more."""
        ...


class Backend(Protocol):
    """What computes."""

    def begin(self, batch: Batch[C, A, R]) -> Performing[A, R]:
        """Take a batch on; called in a thread, as it may wait.

        Raises:
            WorkFailed: its common argument cannot be sent.
        """
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class PlacedEngine:
    """A `BatchEngine` over a backend.

    Args:
        backend: computes.
        at_once: places, >= 1.
    """

    def __init__(self, backend: Backend, at_once: int) -> None:
        if at_once < 1:
            raise ConfigError(f"{at_once} pieces of work at a time; use 1 or more")
        self._backend = backend
        self._at_once = at_once
        self._free = deque(range(at_once))
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="dreamshare-place")
        self._closed = False

    @property
    def at_once(self) -> int:
        return self._at_once

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._backend.close)
            self._threads.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def run(self, batch: Batch[C, A, R]) -> Running[R]:
        return self._run(batch)

    @asynccontextmanager
    async def _run(self, batch: Batch[C, A, R]) -> AsyncIterator[AsyncIterator[Event[R]]]:
        if self._closed:
            raise LocalProtocolError("this engine is closed; open another one")
        performing = await asyncio.to_thread(self._backend.begin, batch)
        course = _Course(batch, performing, self._free)
        try:
            course.start(self._threads, self._at_once)
            try:
                yield course.events()
            finally:
                await course.stop()
        finally:
            performing.end()


class _Course(Generic[C, A, R]):
    """One batch's way through the places."""

    def __init__(
        self, batch: Batch[C, A, R], performing: Performing[A, R], free: deque[int]
    ) -> None:
        self._batch = batch
        self._performing = performing
        self._free = free
        self._loop = asyncio.get_running_loop()
        self._left = iter(enumerate(batch.pieces))
        self._events: asyncio.Queue[Event[R]] = asyncio.Queue()
        self._room = asyncio.Semaphore(0)
        self._stopped = False
        self._begun: set[Future[Finished[R] | Failed]] = set()
        self._handing: list[asyncio.Task[None]] = []

    def start(self, threads: ThreadPoolExecutor, at_once: int) -> None:
        """Begin to hand pieces out."""
        count = min(at_once, len(self._batch.pieces))
        self._room = asyncio.Semaphore(2 * count)
        self._handing = [asyncio.ensure_future(self._hand_out(threads)) for _ in range(count)]

    async def events(self) -> AsyncIterator[Event[R]]:
        """Yield what happens until every piece has finished or failed."""
        left = len(self._batch.pieces)
        while left:
            event = await self._events.get()
            if not isinstance(event, Told):
                left -= 1
                self._room.release()
            yield event

    async def stop(self) -> None:
        """Hand out nothing more, and wait until no place computes.

        Cancelled meanwhile, it still waits: a place that is left behind would compute on.

        Raises:
            CancelledError: it was cancelled meanwhile.
        """
        self._stopped = True
        self._performing.stop()
        for future in self._begun:
            future.cancel()
        for _ in self._handing:
            self._room.release()
        cancelled = None
        while pending := [task for task in self._handing if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _hand_out(self, threads: ThreadPoolExecutor) -> None:
        for number, argument in self._left:
            await self._room.acquire()
            if self._stopped:
                return
            future = threads.submit(self._perform, number, argument)
            self._begun.add(future)
            try:
                outcome = await asyncio.wrap_future(future)
            except (GivenUp, asyncio.CancelledError):
                return
            finally:
                self._begun.discard(future)
            self._events.put_nowait(outcome)

    def _perform(self, number: int, argument: A) -> Finished[R] | Failed:
        place = self._free.popleft()  # there are as many as threads: one is free wherever this runs
        try:
            return self._performing.perform(Piece(number, place, argument, self._teller(number)))
        except Exception as error:  # noqa: BLE001 - a place's border: nobody may wait for ever
            return Failed(number, Reason.LOST, type(error).__name__, str(error))
        finally:
            self._free.append(place)

    def _teller(self, number: int) -> Callable[[str], None]:
        def tell(text: str) -> None:
            self._loop.call_soon_threadsafe(self._events.put_nowait, Told(number, text))

        return tell
