"""Somebody who watches the packets of a link or a listener: byte counts, captures for debugging.

    counter = ByteCounter()
    link = TappedLink(GrpcLink(...), counter)

Rules:
- a tap sees packets as they travel and changes nothing;
- it is called on the event loop for every packet, so it must be quick and must not block.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import AsyncIterator
from typing import Protocol

from dreamshare.transport.base import Connection, Link, Listener, Place, Spreads


class Tap(Protocol):
    """Sees packets; `peer` is what the transport proved about the other end, "" where nothing."""

    def received(self, peer: str, packet: bytes) -> None:
        """A packet arrived from `peer`."""
        ...

    def sent(self, peer: str, packet: bytes) -> None:
        """A packet was handed over to the transport for `peer`."""
        ...


class ByteCounter:
    """Counts the bytes of packets in both directions, in all and by peer."""

    def __init__(self) -> None:
        self.bytes_received = 0
        self.bytes_sent = 0
        self._received: Tally[str] = Tally()
        self._sent: Tally[str] = Tally()

    def received(self, peer: str, packet: bytes) -> None:
        self.bytes_received += len(packet)
        self._received[peer] += len(packet)

    def sent(self, peer: str, packet: bytes) -> None:
        self.bytes_sent += len(packet)
        self._sent[peer] += len(packet)

    def received_from(self, peer: str) -> int:
        """Bytes that came from this peer, over all its connections."""
        return self._received[peer]

    def sent_to(self, peer: str) -> int:
        """Bytes that went to this peer, over all its connections."""
        return self._sent[peer]


class TappedConnection:
    """A connection with taps."""

    def __init__(self, connection: Connection, taps: tuple[Tap, ...]) -> None:
        self._connection = connection
        self._taps = taps

    @property
    def peer(self) -> str | None:
        return self._connection.peer

    @property
    def binding(self) -> bytes:
        return self._connection.binding

    @property
    def packet_limit(self) -> int:
        return self._connection.packet_limit

    @property
    def bytes_in(self) -> int:
        return self._connection.bytes_in

    @property
    def bytes_out(self) -> int:
        return self._connection.bytes_out

    async def send(self, packet: bytes) -> None:
        await self._connection.send(packet)
        for tap in self._taps:
            tap.sent(self._connection.peer or "", packet)

    async def packets(self) -> AsyncIterator[bytes]:
        async for packet in self._connection.packets():
            for tap in self._taps:
                tap.received(self._connection.peer or "", packet)
            yield packet

    async def close(self) -> None:
        await self._connection.close()


class TappedLink:
    """A link whose connections have taps."""

    def __init__(self, link: Link, *taps: Tap) -> None:
        self._link = link
        self._taps = taps

    async def connect(self) -> Connection:
        return TappedConnection(await self._link.connect(), self._taps)

    def __str__(self) -> str:
        return str(self._link)


class TappedListener:
    """A listener whose connections have taps."""

    def __init__(self, listener: Listener, *taps: Tap) -> None:
        self._listener = listener
        self._taps = taps

    async def start(self) -> None:
        await self._listener.start()

    async def connections(self) -> AsyncIterator[Connection]:
        async for connection in self._listener.connections():
            yield TappedConnection(connection, self._taps)

    async def close(self) -> None:
        await self._listener.close()

    def __str__(self) -> str:
        return str(self._listener)

    def spread(self, place: Place) -> None:
        if isinstance(self._listener, Spreads):
            self._listener.spread(place)

    def invite(self, party: str, opener: bytes) -> None:
        if isinstance(self._listener, Spreads):
            self._listener.invite(party, opener)
