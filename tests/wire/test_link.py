"""Greetings of other versions, and packets that no peer may send."""

from __future__ import annotations

import pytest

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError, PeerProtocolError
from dreamshare.wire import limits
from dreamshare.wire.link import (
    VERSION_LEAST,
    VERSION_MOST,
    Ack,
    Chunk,
    Close,
    Hello,
    HelloReply,
    Ping,
    Received,
    Standing,
    accept,
    agree,
    decode_packet,
    encode_packet,
)
from dreamshare_protos.v1 import link_pb2 as pb

STANDING = Standing(bytes(218), birth=1)
LATER = b"\xfa\x06\x01x"  # field 111, bytes "x": what a later version may add


def nested(tag: int, body: bytes) -> bytes:
    """A Packet whose arm `tag` holds these bytes (all lengths here need two bytes at most)."""
    length = (
        bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    )
    return bytes([tag << 3 | 2]) + length + body


def inner(packet: Hello | HelloReply | Chunk | Ack | Close | Ping) -> tuple[int, bytes]:
    """The arm's number and its bytes."""
    wire = pb.Packet.FromString(encode_packet(packet))
    arm = wire.WhichOneof("packet")
    assert arm is not None
    number = pb.Packet.DESCRIPTOR.fields_by_name[arm].number
    return number, getattr(wire, arm).SerializeToString()


# ---- versions ------------------------------------------------------------------------------------


def test_this_release_speaks_one_version() -> None:
    assert (VERSION_LEAST, VERSION_MOST) == (1, 1)


@pytest.mark.parametrize(("least", "most"), [(1, 1), (0, 1), (1, 9), (0, 9)])
def test_the_highest_common_version_is_taken(least: int, most: int) -> None:
    assert agree(Hello(STANDING, least, most)) == 1


@pytest.mark.parametrize(
    ("least", "most", "older"), [(2, 9, "this side"), (0, 0, "the peer"), (3, 2, "this side")]
)
def test_without_a_common_version_somebody_has_to_update(least: int, most: int, older: str) -> None:
    with pytest.raises(PeerProtocolError, match=f"update {older}") as refused:
        agree(Hello(STANDING, least, most))
    assert refused.value.code is AbortCode.UNSUPPORTED_VERSION


def test_a_version_that_was_not_offered_is_refused() -> None:
    assert accept(HelloReply(STANDING, 1)) == 1
    with pytest.raises(PeerProtocolError) as refused:
        accept(HelloReply(STANDING, 2))
    assert refused.value.code is AbortCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("packet", [Hello(STANDING), HelloReply(STANDING, 1), Close(None, "bye")])
def test_greetings_and_close_may_say_more_than_this_version_knows(
    packet: Hello | HelloReply | Close,
) -> None:
    number, body = inner(packet)
    assert decode_packet(nested(number, body + LATER)) == packet


@pytest.mark.parametrize(
    "packet", [Chunk(1, 1, 0, 1, b"x"), Ack(Received()), Ping(1)], ids=lambda p: type(p).__name__
)
def test_other_packets_may_not(packet: Chunk | Ack | Ping) -> None:
    number, body = inner(packet)
    assert decode_packet(nested(number, body)) == packet
    with pytest.raises(PeerProtocolError):
        decode_packet(nested(number, body + LATER))


def test_a_close_code_of_a_later_version_still_says_that_something_is_wrong() -> None:
    packet = pb.Packet(close=pb.Close(code=pb.AbortCode.ValueType(77), text="later"))
    assert decode_packet(packet.SerializeToString()) == Close(AbortCode.REFUSED, "later")


# ---- what no peer may send -----------------------------------------------------------------------


def hello(**parts: object) -> pb.Packet:
    usual = {
        "packet_limit": limits.PACKET_LEAST,
        "frame_limit": 1,
        "window": 1,
        "certificate": bytes(218),
        "birth": 1,
        "first": 1,
        "received": pb.Received(transfer=1),
    }
    return pb.Packet(hello=pb.Hello(max_version=1, standing=pb.Standing(**{**usual, **parts})))


def chunk(**parts: object) -> pb.Packet:
    usual = {"birth": 1, "transfer": 1, "offset": 0, "total": 2, "data": b"xy"}
    return pb.Packet(chunk=pb.Chunk(**{**usual, **parts}))


def ack(**parts: object) -> pb.Packet:
    return pb.Packet(ack=pb.Ack(received=pb.Received(**parts)))


REFUSED = {
    "nothing": pb.Packet(),
    "hello-without-standing": pb.Packet(hello=pb.Hello(max_version=1)),
    "reply-without-standing": pb.Packet(hello_reply=pb.HelloReply(version=1)),
    "standing-without-position": hello(received=None),
    "certificate-short": hello(certificate=bytes(217)),
    "certificate-long": hello(certificate=bytes(219)),
    "packets-too-small": hello(packet_limit=limits.PACKET_LEAST - 1),
    "no-birth": hello(birth=0),
    "no-first": hello(first=0),
    "no-frames": hello(frame_limit=0),
    "no-window": hello(window=0),
    "position-of-nobody": hello(received=pb.Received(transfer=2)),
    "chunk-without-birth": chunk(birth=0),
    "chunk-without-transfer": chunk(transfer=0),
    "chunk-without-data": chunk(data=b""),
    "chunk-past-the-end": chunk(offset=1),
    "chunk-of-a-huge-frame": chunk(total=limits.FRAME_LIMIT + 1),
    "chunk-that-wraps": chunk(offset=2**64 - 1),
    "ack-without-position": pb.Packet(ack=pb.Ack()),
    "ack-of-what-has-not-arrived": ack(birth=1, acknowledged=1, transfer=1),
    "ack-of-transfer-zero": ack(birth=1),
    "close-long": pb.Packet(close=pb.Close(text="x" * (limits.TEXT_LIMIT + 1))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_peer_may_send_is_refused(case: str) -> None:
    with pytest.raises(PeerProtocolError):
        decode_packet(REFUSED[case].SerializeToString())


def test_the_usual_forms_of_these_tables_are_taken() -> None:
    for packet in (hello(), chunk(), ack(birth=1, transfer=1)):
        decode_packet(packet.SerializeToString())


@pytest.mark.parametrize(
    "packet",
    [
        Hello(Standing(bytes(217), 1)),
        Hello(Standing(bytes(218), 0)),
        Chunk(1, 1, 0, 1, b""),
        Chunk(1, -1, 0, 1, b"x"),
        Ack(Received(1, 5, 5)),
        Ping(2**64),
        Close(None, "\ud800"),
    ],
    ids=lambda p: type(p).__name__,
)
def test_what_no_peer_takes_is_not_sent(packet: Hello | Chunk | Ack | Ping | Close) -> None:
    with pytest.raises(LocalProtocolError):
        encode_packet(packet)


def test_a_packet_over_every_limit_is_not_sent() -> None:
    data = bytes(limits.PACKET_MOST)
    with pytest.raises(FrameTooLarge):
        encode_packet(Chunk(1, 1, 0, len(data), data))


def test_a_greeting_fits_the_smallest_packet() -> None:
    most = 2**64 - 1
    wide = Standing(
        bytes(218), most, most, Received(most, most - 1, most, most), 2**32 - 1, most, most
    )
    assert len(encode_packet(Hello(wide, 2**32 - 1, 2**32 - 1))) < limits.PACKET_LEAST
