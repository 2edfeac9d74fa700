"""Which event loop a long-running command uses, and how a signal ends what runs on one.

Rules: nothing depends on uvloop but processor time, so an installation without it is complete.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import NamedTuple, TypeVar

T = TypeVar("T")


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


async def until_stopped(work: Coroutine[object, object, T]) -> T | None:
    """Return what the work gives, or None where SIGINT or SIGTERM stopped it."""
    running = asyncio.create_task(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not running.cancelling():  # a second Ctrl-C must not cut the tidying up short
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return await running
    except asyncio.CancelledError:
        return None
