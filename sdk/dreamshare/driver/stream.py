"""One open connection: packets in, packets out, until it ends.

Rules:
- reading and writing are two tasks; the first to end ends both;
- a peer that breaks the protocol is told so with Close and its code, once;
- who finds no room for a frame is not read further, and told every `REASSURE_S` that this end is
  there, so that nobody hangs up meanwhile;
- when nothing comes or goes for `PATIENCE_S` although something waits for its acknowledgement, the
  connection is closed: the next greeting finds what was lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from dreamshare.clock import Clock
from dreamshare.driver.peering import Peering
from dreamshare.driver.waiting import at_most, first_of
from dreamshare.errors import AbortCode, PeerProtocolError, TransportError, Unreachable
from dreamshare.transport.base import Connection
from dreamshare.wire.link import (
    Ack,
    Chunk,
    Close,
    Hello,
    HelloReply,
    Packet,
    Ping,
    decode_packet,
    encode_packet,
)
from dreamshare.wire.transfer import Arrival

PATIENCE_S = 30.0
"""Seconds without any packet, while an acknowledgement is due, until a connection is given up."""

REASSURE_S = 10.0
"""Seconds between two pings to a peer whose frame waits for room."""

GOODBYE_S = 2.0
"""Seconds that a peer has to take a Close; one that stands still is not waited for."""


async def converse(
    connection: Connection,
    packets: AsyncIterator[bytes],
    peering: Peering,
    clock: Clock,
    deliver: Callable[[Arrival], None],
) -> Close | None:
    """Carry packets until the connection ends; return the peer's Close, or None without one.

    Args:
        connection: open, both ends have greeted.
        packets: its packets, behind the greeting.
        deliver: takes each complete frame at once; it is acknowledged later, by its handler.

    Raises:
        Unreachable: the connection broke, or the peer acknowledges nothing.
        PeerProtocolError: the peer broke the protocol; it has been told.
    """
    progress = _Progress(clock)
    try:
        return await first_of(
            _read(packets, peering, progress, deliver),
            _write(connection, peering, progress),
            _watch(peering, progress),
        )
    except PeerProtocolError as error:
        await say_goodbye(connection, clock, error.code, str(error))
        raise
    finally:
        peering.pause()


async def say_goodbye(
    connection: Connection, clock: Clock, code: AbortCode | None, text: str
) -> None:
    """Tell the peer why, if it still listens, and close; a peer that takes nothing is left."""
    with suppress(TransportError):
        await at_most(clock, GOODBYE_S, connection.send(encode_packet(Close(code, text[:500]))))
    await connection.close()


class _Progress:
    """When anything came in or went out last."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.last = clock.now()

    def made(self) -> None:
        self.last = self.clock.now()


async def _read(
    packets: AsyncIterator[bytes],
    peering: Peering,
    progress: _Progress,
    deliver: Callable[[Arrival], None],
) -> Close | None:
    async for raw in packets:
        packet: Packet = decode_packet(raw)
        del raw  # nothing that came is kept while the next packet is waited for
        match packet:
            case Close():
                return packet
            case Hello() | HelloReply():
                text = "a second greeting on one connection"
                raise PeerProtocolError(text, AbortCode.UNEXPECTED)
            case Chunk() | Ack() | Ping():
                progress.made()
                if not peering.admits(packet):
                    await first_of(peering.until_admitted(packet), _reassure(peering, progress))
                _take(peering, packet, deliver)
        del packet
    return None


def _take(peering: Peering, packet: Chunk | Ack | Ping, deliver: Callable[[Arrival], None]) -> None:
    arrival = peering.take(packet)
    if arrival is not None:
        deliver(arrival)


async def _reassure(peering: Peering, progress: _Progress) -> None:
    while True:
        await progress.clock.sleep_until(progress.clock.now() + REASSURE_S)
        progress.made()
        peering.reassure()


async def _write(connection: Connection, peering: Peering, progress: _Progress) -> None:
    while True:
        packet = peering.next_packet()
        if packet is None:
            await peering.until_more()
        else:
            await connection.send(encode_packet(packet))
            progress.made()


async def _watch(peering: Peering, progress: _Progress) -> None:
    while True:
        if not peering.backlog:
            progress.made()
        elif progress.clock.now() >= progress.last + PATIENCE_S:
            raise Unreachable("the peer acknowledges nothing; connect again")
        await progress.clock.sleep_until(progress.last + PATIENCE_S)
