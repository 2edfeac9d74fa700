"""Targets: frames, bodies and packets, and what a connection makes of a sequence of packets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dreamshare.errors import FrameTooLarge, PeerProtocolError
from dreamshare.wire.codec import decode_frame, decode_message, encode_frame, encode_message
from dreamshare.wire.enrol import (
    decode_down,
    decode_parcel,
    decode_up,
    encode_down,
    encode_parcel,
    encode_up,
)
from dreamshare.wire.link import (
    Ack,
    Chunk,
    Hello,
    HelloReply,
    Packet,
    accept,
    agree,
    decode_packet,
    encode_packet,
)
from dreamshare.wire.transfer import Arrival, Inbox, Outbox
from tests.fuzz.target import Target, canonical, refusing
from tests.wire.enrolments import DOWNS, PARCEL, UPS
from tests.wire.samples import MESSAGES, PACKETS, STANDING, frame

FRAME_LIMIT = 1 << 16
WINDOW = 1 << 17
PACKET_LIMIT = 1 << 15


def parts(raw: bytes) -> Iterator[bytes]:
    """Yield the parts of an input: each a u16 length, little-endian, and so many bytes."""
    at = 0
    while at + 2 <= len(raw):
        length = int.from_bytes(raw[at : at + 2], "little")
        yield raw[at + 2 : at + 2 + length]
        at += 2 + length


def join(packets: Sequence[Packet]) -> bytes:
    """Return the input whose parts are these packets."""
    encoded = [encode_packet(packet) for packet in packets]
    return b"".join(len(each).to_bytes(2, "little") + each for each in encoded)


def _connection(raw: bytes) -> None:
    """A peer sends packets; what is held stays bounded, and only a PeerProtocolError ends it."""
    inbox, outbox = Inbox(FRAME_LIMIT, WINDOW), Outbox(birth=3)
    outbox.put(bytes(1000))
    try:
        for part in parts(raw):
            _take(inbox, outbox, decode_packet(part))
    except (PeerProtocolError, FrameTooLarge):
        return


def _take(inbox: Inbox, outbox: Outbox, packet: Packet) -> None:
    match packet:
        case Hello(standing) | HelloReply(standing, _):
            agree(packet) if isinstance(packet, Hello) else accept(packet)
            inbox.connected(standing)
            outbox.connected(standing, PACKET_LIMIT)
        case Chunk():
            taken = inbox.take(packet)
            if isinstance(taken, Arrival) and taken.transfer % 2:
                inbox.acknowledge(taken.birth, taken.transfer)
        case Ack():
            outbox.acknowledged(packet)
        case _:
            pass
    for _ in range(4):
        chunk = outbox.next_chunk()
        if chunk is not None:
            encode_packet(chunk)
    held = sum(inbox._held.values()) + len(inbox._partial)
    if held > FRAME_LIMIT + WINDOW:
        raise AssertionError(f"{held} bytes are held for a peer")


def _conversations() -> Sequence[bytes]:
    hello = Hello(STANDING)
    data = bytes(range(100))
    chunks = [Chunk(4, 17, at, 100, data[at : at + 50]) for at in (0, 50)]
    later = [Chunk(4, 18, 0, 100, data), Chunk(4, 17, 0, 100, data)]
    return [join([hello, *chunks, *later]), join([hello, *later, *chunks]), join([hello])]


TARGETS: tuple[Target, ...] = (
    Target(
        "frame",
        canonical(decode_frame, encode_frame, PeerProtocolError),
        lambda: [frame(message) for message in MESSAGES.values()],
    ),
    Target(
        "body",
        canonical(decode_message, encode_message, PeerProtocolError),
        lambda: [encode_message(message) for message in MESSAGES.values()],
    ),
    Target(
        "packet",
        refusing(decode_packet, PeerProtocolError),
        lambda: [encode_packet(packet) for packet in PACKETS.values()],
    ),
    Target("connection", _connection, _conversations),
    Target(
        "enrol-up", refusing(decode_up, PeerProtocolError), lambda: [*map(encode_up, UPS.values())]
    ),
    Target(
        "enrol-down",
        refusing(decode_down, PeerProtocolError),
        lambda: [*map(encode_down, DOWNS.values())],
    ),
    Target(
        "enrol-parcel",
        canonical(decode_parcel, encode_parcel, PeerProtocolError),
        lambda: [encode_parcel(PARCEL)],
    ),
)
