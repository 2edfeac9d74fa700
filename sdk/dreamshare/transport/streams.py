"""A Connection made of one bidirectional call, whatever library carries the call.

Rules:
- one task reads for the life of the call and feeds a bounded queue: an owner that reads slowly
  slows the peer down, and nobody ever cancels a read;
- a `send` that is cancelled still goes out, because giving a write up would give up the call;
- `close` lets what was sent arrive, then waits for the call to end; a peer that does not let go
  within the grace is left behind;
- when `close` has returned no task is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from dreamshare.errors import Unreachable
from dreamshare.transport.base import PACKET_LIMIT, check_packet

QUEUE_PACKETS = 8
"""Packets that wait for the owner of a connection."""

GRACE_S = 5.0
"""Seconds that a peer has to let go of a call that this end closes."""


class Stream(Protocol):
    """One end of a call; `StreamConnection` makes a Connection of it."""

    async def read(self) -> bytes | None:
        """Return the next message, or None at a clean end; raise Unreachable at any other."""
        ...

    async def write(self, packet: bytes) -> None:
        """Send a message; raise Unreachable."""
        ...

    async def end(self) -> None:
        """Tell the peer that this end closes; never raises."""
        ...

    async def release(self, *, broken: bool) -> None:
        """Give up what the call holds; idempotent, never raises."""
        ...


class StreamConnection:
    """A stream with its reader task; see `base.Connection`."""

    def __init__(self, stream: Stream, peer: str | None) -> None:
        self._stream = stream
        self._peer = peer
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_PACKETS)
        self._failure: Unreachable | None = None
        self._over = False
        self._closing = False
        self._writing = asyncio.Lock()  # one write at a time
        self._writes: set[asyncio.Task[None]] = set()
        self._bytes_in = 0
        self._bytes_out = 0
        self._reader = asyncio.create_task(self._read())

    @property
    def peer(self) -> str | None:
        return self._peer

    @property
    def binding(self) -> bytes:
        return b""

    @property
    def packet_limit(self) -> int:
        return PACKET_LIMIT

    @property
    def bytes_in(self) -> int:
        return self._bytes_in

    @property
    def bytes_out(self) -> int:
        return self._bytes_out

    async def send(self, packet: bytes) -> None:
        check_packet(packet, PACKET_LIMIT)
        write = asyncio.create_task(self._write(packet))
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)
        await asyncio.shield(write)

    async def packets(self) -> AsyncIterator[bytes]:
        while (packet := await self._queue.get()) is not None and not self._closing:
            self._bytes_in += len(packet)
            yield packet
        self._queue.put_nowait(None)  # whoever asks again finds the end again
        if self._failure is not None and not self._closing:
            raise self._failure

    async def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._drain()
            try:
                async with asyncio.timeout(GRACE_S), self._writing:
                    await self._stream.end()
            except TimeoutError:
                await self._stream.release(broken=True)
        await asyncio.wait({self._reader}, timeout=GRACE_S)
        if not self._reader.done():
            await self._stream.release(broken=True)
            await asyncio.wait({self._reader}, timeout=GRACE_S)

    async def _write(self, packet: bytes) -> None:
        async with self._writing:
            if self._closing or self._over:
                raise Unreachable("the connection is gone; connect again")
            await self._stream.write(packet)
        self._bytes_out += len(packet)

    async def _read(self) -> None:
        broken = True
        try:
            while (packet := await self._stream.read()) is not None:
                if len(packet) > PACKET_LIMIT:
                    raise Unreachable(f"the peer sent a packet of {len(packet)} bytes")
                if not self._closing:
                    await self._queue.put(packet)
            broken = False
        except Unreachable as error:
            self._failure = error
        finally:
            self._over = True
            await self._stream.release(broken=broken)
            if self._closing:
                self._drain()
            await self._queue.put(None)

    def _drain(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
