"""One trunk's connection: whole messages in and out, until it ends.

Rules:
- both ends prove by mutual TLS that they are the same aggregator; anybody else is hung up on;
- nothing is resumed: a trunk that breaks is over, and whoever opens another begins anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from dreamshare.driver.waiting import first_of
from dreamshare.errors import PeerProtocolError, TransportError
from dreamshare.protocol.trunk import TrunkMessage
from dreamshare.transport.base import Connection
from dreamshare.wire.trunk import Joining, packets_of


class Trunk:
    """One end of a trunk."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: deque[TrunkMessage] = deque()
        self._wake = asyncio.Event()

    def put(self, message: TrunkMessage) -> None:
        """Queue a message; what is queued when the trunk ends is gone."""
        self._waiting.append(message)
        self._wake.set()

    async def serve(self, hear: Callable[[TrunkMessage], None]) -> None:
        """Hand over what comes and send what is queued until either end hangs up."""
        with suppress(TransportError, PeerProtocolError):
            await first_of(self._read(hear), self._write())
        await self._connection.close()

    async def close(self) -> None:
        """Hang up."""
        await self._connection.close()

    async def _read(self, hear: Callable[[TrunkMessage], None]) -> None:
        joining = Joining()
        async for packet in self._connection.packets():
            message = joining.take(packet)
            if message is not None:
                hear(message)

    async def _write(self) -> None:
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                for packet in packets_of(message, self._connection.packet_limit):
                    await self._connection.send(packet)
            self._wake.clear()
            await self._wake.wait()
