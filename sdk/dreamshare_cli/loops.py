"""Which event loop a long-running command uses, and how a signal ends what runs on one.

Rules:
- nothing depends on uvloop but processor time, so an installation without it is complete;
- the first SIGINT or SIGTERM stops; what an impatient person sends then cuts no tidying up short.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import NamedTuple, TypeVar

T = TypeVar("T")
STOPS = (signal.SIGINT, signal.SIGTERM)


class Loop(NamedTuple):
    """An event loop to run on.

    Attributes:
        name: "uvloop" or "asyncio", for the log.
        why: why it is not uvloop, for the log; "" where it is.
        factory: for `asyncio.Runner`.
    """

    name: str
    why: str
    factory: Callable[[], asyncio.AbstractEventLoop]


def choose_loop(*, uvloop_wanted: bool) -> Loop:
    """Return uvloop where it is wanted and installed, asyncio's own loop otherwise."""
    if not uvloop_wanted:
        return Loop("asyncio", "uvloop is switched off", asyncio.new_event_loop)
    if find_spec("uvloop") is None:
        return Loop("asyncio", "uvloop is not installed", asyncio.new_event_loop)
    from uvloop import new_event_loop

    return Loop("uvloop", "", new_event_loop)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt as Ctrl-C does, outside of a loop, too."""
    before = [signal.getsignal(number) for number in STOPS]

    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore()
        raise KeyboardInterrupt

    for number in STOPS:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in zip(STOPS, before, strict=True):
            signal.signal(number, handler)


async def until_stopped(work: Coroutine[object, object, T]) -> T | None:
    """Return what the work gives, or None where SIGINT or SIGTERM stopped it."""
    running = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    before = [signal.getsignal(number) for number in STOPS]

    def stop() -> None:
        if not running.cancelling():
            running.cancel()

    for number in STOPS:
        loop.add_signal_handler(number, stop)
    try:
        return await running
    except asyncio.CancelledError:
        return None
    finally:
        for number, handler in zip(STOPS, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        if running.cancelling():
            _ignore()


def _ignore() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
