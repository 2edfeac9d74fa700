"""A Connection made of one bidirectional call, whatever library carries the call.

Rules:
- one task reads for the life of the call, ahead of its owner by `AHEAD_BYTES` or by one packet: an
  owner that reads slowly slows the peer down, thousands of them hold little, a peer's close is
  noticed by an owner who is busy, and nobody ever cancels a read;
- a `send` that is cancelled still goes out, because giving a write up would give up the call;
- `close` lets what was sent arrive, then waits for the call to end; a peer that does not let go
  within the grace is left behind;
- when `close` has returned no task is left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from dreamshare.errors import Unreachable
from dreamshare.transport.base import PACKET_LIMIT, check_packet

AHEAD_BYTES = 4096
"""Of packets that wait for the owner of a connection: more are read when these are taken."""

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
    """A stream with its reader task; see `base.Connection`.

    Args:
        stream: one end of a call.
        peer: see `base.Connection`.
        packet_limit: largest packet that the peer is asked to send, and is sent; bytes.
    """

    def __init__(self, stream: Stream, peer: str | None, packet_limit: int = PACKET_LIMIT) -> None:
        self._stream = stream
        self._peer = peer
        self._packet_limit = packet_limit
        self._packets: deque[bytes] = deque()
        self._news = asyncio.Event()  # a packet came, or none comes any more
        self._ended = False
        self._waiting = 0  # bytes of `_packets`
        self._room = asyncio.Event()
        self._to_the_end = False
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
        return self._packet_limit

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
        write.add_done_callback(self._written)
        await asyncio.shield(write)

    async def packets(self) -> AsyncIterator[bytes]:
        while await self._until_packet() and not self._closing:
            self._bytes_in += len(self._packets[0])
            self._waiting -= len(self._packets[0])
            self._room.set()
            yield self._packets.popleft()  # not kept here while its reader works on it
        if self._failure is not None and not self._closing:
            raise self._failure

    async def _until_packet(self) -> bool:
        """Say whether a packet is there, once one is or none comes any more."""
        while not self._packets and not self._ended:
            self._news.clear()
            await self._news.wait()
        return bool(self._packets)

    def call_ended(self) -> None:
        """The call is over: its end is read, whatever waits."""
        self._to_the_end = True
        self._room.set()

    async def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.call_ended()
            try:
                async with asyncio.timeout(GRACE_S), self._writing:
                    await self._stream.end()
            except TimeoutError:
                await self._stream.release(broken=True)
        await asyncio.wait({self._reader}, timeout=GRACE_S)
        if not self._reader.done():
            await self._stream.release(broken=True)
            await asyncio.wait({self._reader}, timeout=GRACE_S)

    def _written(self, write: asyncio.Task[None]) -> None:
        self._writes.discard(write)
        if not write.cancelled():
            write.exception()  # `send` raises it, where it was not cancelled meanwhile

    async def _write(self, packet: bytes) -> None:
        async with self._writing:
            if self._closing or self._over:
                raise Unreachable("the connection is gone; connect again")
            await self._stream.write(packet)
        self._bytes_out += len(packet)

    async def _read(self) -> None:
        broken = True
        try:
            while (packet := await self._read_with_room()) is not None:
                if len(packet) > PACKET_LIMIT:
                    raise Unreachable(f"the peer sent a packet of {len(packet)} bytes")
                if not self._closing:
                    self._packets.append(packet)
                    self._waiting += len(packet)
                    self._news.set()
                del packet  # it is its reader's alone
            broken = False
        except Unreachable as error:
            self._failure = error
        finally:
            self._over = True
            await self._stream.release(broken=broken)
            self._ended = True
            self._news.set()

    async def _read_with_room(self) -> bytes | None:
        """Return the next packet once little waits, or this end closes and reads past it."""
        while self._waiting >= AHEAD_BYTES and not self._to_the_end:
            self._room.clear()
            await self._room.wait()
        return await self._stream.read()
