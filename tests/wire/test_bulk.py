"""What bypasses protobuf has protobuf's bytes, and is refused where protobuf refuses it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.protocol.messages import Message, Sa2
from dreamshare.wire import bulk, codec, limits
from dreamshare_crypto.envelope import Frame
from dreamshare_crypto.secagg.events import Stage
from dreamshare_protos.v1 import frame_pb2, round_pb2

# Lengths have varints of 1 to 4 bytes; each size is beside a boundary of its own or of its parent.
SIZES = [1, 100, 123, 124, 127, 128, 16_377, 16_384, 2_097_140, 2_097_152]
HEADER, SIGNATURE = bytes(range(128)), bytes(range(64))
NEVER = 1 << 40


def body_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_are_protobufs(size: int) -> None:
    body = body_of(size)
    inner = round_pb2.Sa2(stage=round_pb2.STAGE_MASKED_INPUT, body=body)
    message = frame_pb2.Body(sa2=inner).SerializeToString()
    assert bulk.join_sa2(Stage.MASKED_INPUT, body) == message
    assert bulk.split_sa2(message) == (Stage.MASKED_INPUT, body)
    frame = frame_pb2.Frame(header=HEADER, signature=SIGNATURE, body=body).SerializeToString()
    assert bulk.frame_head(HEADER, SIGNATURE, size) + body == frame
    assert bulk.split_frame(frame) == (HEADER, SIGNATURE, body)


def outcome(kind: str, data: bytes, from_size: int) -> Message | Frame | AbortCode:
    """Return what decoding gives when the short cut is taken from so many bytes on."""
    decode = {"message": codec.decode_message, "frame": codec.decode_frame}[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BULK", from_size)
        try:
            return decode(data)
        except PeerProtocolError as error:
            return error.code


FRAME = codec.encode_frame(Frame(HEADER, SIGNATURE, b"body"))
MESSAGE = codec.encode_message(Sa2(Stage.AGREE, b"body"))


@pytest.mark.parametrize("kind", ["message", "frame"])
@given(
    at=st.integers(0, 210),
    new=st.binary(max_size=4),
    cut=st.integers(0, 4),
)
def test_both_ways_take_and_refuse_the_same(kind: str, at: int, new: bytes, cut: int) -> None:
    """Bytes replaced, put in or taken out anywhere in a frame of 206 bytes and a message of 10."""
    whole = FRAME if kind == "frame" else MESSAGE
    at %= len(whole) + 1
    data = whole[:at] + new + whole[at + cut :]
    assert outcome(kind, data, 0) == outcome(kind, data, NEVER)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("frame", FRAME[:199] + b"\x84\x00body"),  # a length in more bytes than it needs
        ("frame", FRAME + b"\x1a\x04more"),  # the body twice
        ("frame", FRAME[:198]),  # no body
        ("message", b"\x0a\x07\x08\x0b\x12\x84\x80"),  # a length that ends nowhere
        ("message", b"\x0a\x04\x08\x08\x12\x00"),  # an empty body
        ("message", b"\x0a\x05\x08\x08\x12\x01x"),  # RoundStart without its plan
        ("message", b"\x0a\x05\x08\x7f\x12\x01x"),  # a stage that nobody knows
    ],
)
def test_what_is_not_canonical_is_refused_either_way(kind: str, data: bytes) -> None:
    assert outcome(kind, data, 0) is AbortCode.MALFORMED
    assert outcome(kind, data, NEVER) is AbortCode.MALFORMED


def test_a_large_message_travels_and_one_over_the_limit_does_not() -> None:
    message = Sa2(Stage.MASKED_INPUT, body_of(bulk.BULK + 3))
    assert codec.decode_message(codec.encode_message(message)) == message
    frame = Frame(HEADER, SIGNATURE, codec.encode_message(message))
    assert codec.decode_frame(codec.encode_frame(frame)) == frame
    assert b"".join(codec.frame_parts(frame)) == codec.encode_frame(frame)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "BODY_LIMIT", bulk.BULK + 5)
        with pytest.raises(PeerProtocolError) as refused:
            codec.decode_message(frame.body)
    assert refused.value.code is AbortCode.TOO_LARGE
