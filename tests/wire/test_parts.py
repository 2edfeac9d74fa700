"""Bodies of two-byte parts: refused before protobuf makes an object of each."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.protocol.messages import TellOrder
from dreamshare.protocol.plan import RoundPlan
from dreamshare.wire import limits
from dreamshare.wire.codec import decode_message, encode_message
from dreamshare.wire.parts import check_parts
from dreamshare_protos.v1 import frame_pb2, round_pb2, update_pb2

LIMIT = 20_000
MANY = LIMIT + 1
BODY = frame_pb2.Body.DESCRIPTOR


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lower limit shows the same in less time."""
    monkeypatch.setattr(limits, "PARTS_LIMIT", LIMIT)


def number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def nested(place: int, inner: bytes) -> bytes:
    """Return field `place` of a message: length and bytes."""
    return number(place << 3 | 2) + number(len(inner)) + inner


def place(kind: object, name: str) -> int:
    return int(kind.DESCRIPTOR.fields_by_name[name].number)  # type: ignore[attr-defined]


def order(plan: bytes) -> bytes:
    """Return a Tell whose plan has these bytes."""
    return nested(
        place(frame_pb2.Body, "tell_order"), nested(place(round_pb2.TellOrder, "plan"), plan)
    )


TENSOR = place(round_pb2.RoundPlan, "tensors")
SHAPE = place(update_pb2.Tensor, "shape")
NAMES = place(round_pb2.CheckIn, "algorithms")
BOMBS = {
    "empty-tensors": order(nested(TENSOR, b"") * MANY),
    "one-long-shape": order(nested(TENSOR, nested(SHAPE, b"\1" * 2 * MANY))),
    "empty-names": nested(place(frame_pb2.Body, "check_in"), nested(NAMES, b"") * MANY),
    "unknown-fields": (number(1000 << 3) + b"\1") * MANY,
}


@pytest.mark.parametrize("name", BOMBS)
def test_too_many_parts(name: str) -> None:
    """The bytes are below every other limit; what is refused was never built."""
    data = BOMBS[name]
    assert len(data) < limits.BODY_LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(PeerProtocolError, match="parts") as error:
            decode_message(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.value.code is AbortCode.TOO_LARGE
    assert peak < 64 * limits.KIB


FILLER = nested(TENSOR, b"\0" * 2 * MANY)
TORN = {
    "cut-length": number(1 << 3 | 2) + b"\xff" * 2 * MANY,
    "past-the-end": FILLER + number(TENSOR << 3 | 2) + b"\5",
    "group": FILLER + number(TENSOR << 3 | 3),
    "fixed-past-the-end": FILLER + number(1 << 3 | 1) + b"\0",
}


@pytest.mark.parametrize("name", TORN)
def test_torn(name: str) -> None:
    with pytest.raises(PeerProtocolError) as error:
        check_parts(BODY, TORN[name])
    assert error.value.code is AbortCode.MALFORMED


def test_fixed_numbers_are_parts() -> None:
    check_parts(BODY, FILLER + number(9 << 3 | 1) + bytes(8) + number(9 << 3 | 5) + bytes(4))


def test_large_tensors_are_few_parts() -> None:
    tensors = {f"t{i}": np.zeros(10_000, np.float32) for i in range(8)}
    message = TellOrder(1, RoundPlan("a/1", "tell", b"{}", tensors=tensors))
    data = encode_message(message)
    assert len(data) > 2 * LIMIT
    assert isinstance(decode_message(data), TellOrder)
