"""Waiting for the first of several things, without losing an error or leaving a task behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

from dreamshare.clock import Clock
from dreamshare.errors import AbortCode, PeerProtocolError, Unreachable
from dreamshare.wire.link import Packet, decode_packet

T = TypeVar("T")

GREETING_S = 10.0
"""Seconds in which the first packet of a connection must arrive, on either side."""


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


async def until(event: asyncio.Event) -> None:
    """Return when the event is set."""
    await event.wait()


async def at_most(clock: Clock, seconds: float, work: Coroutine[None, None, None]) -> None:
    """Run `work` to its end, or for so many seconds."""
    await first_of(work, clock.sleep_until(clock.now() + seconds))


async def greeting(packets: AsyncIterator[bytes], clock: Clock) -> Packet:
    """Return the first packet of a connection.

    Raises:
        Unreachable: the connection was closed before.
        PeerProtocolError: it is no packet, or did not come within `GREETING_S`.
    """
    return await first_of(_first_packet(packets), _too_late(clock))


async def _first_packet(packets: AsyncIterator[bytes]) -> Packet:
    try:
        return decode_packet(await anext(packets))
    except StopAsyncIteration:
        raise Unreachable("the connection was closed before it greeted") from None


async def _too_late(clock: Clock) -> Packet:
    await clock.sleep_until(clock.now() + GREETING_S)
    raise PeerProtocolError(f"no greeting within {GREETING_S:.0f} s", AbortCode.UNEXPECTED)
