"""Messages of an enrolment: they arrive as they were, and nothing else is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import ConfigError, PeerProtocolError
from dreamshare.wire import limits
from dreamshare.wire.enrol import (
    Ask,
    Parcel,
    Refusal,
    RefusalReason,
    decode_down,
    decode_parcel,
    decode_up,
    encode_down,
    encode_parcel,
    encode_up,
)
from dreamshare_protos.v1 import enrol_pb2 as pb
from tests.wire.enrolments import DOWNS, PARCEL, UPS

GOLDEN = Path(__file__).with_name("golden-enrol")
BYTES = {
    **{f"v1-up-{name}.bin": encode_up(one) for name, one in UPS.items()},
    **{f"v1-down-{name}.bin": encode_down(one) for name, one in DOWNS.items()},
    "v1-parcel.bin": encode_parcel(PARCEL),
}


def test_version_1_is_read_and_written_as_it_was() -> None:
    assert {path.name: path.read_bytes() for path in GOLDEN.iterdir()} == BYTES


def test_they_arrive_as_they_were() -> None:
    assert {name: decode_up(encode_up(one)) for name, one in UPS.items()} == UPS
    assert {name: decode_down(encode_down(one)) for name, one in DOWNS.items()} == DOWNS
    assert decode_parcel(encode_parcel(PARCEL)) == PARCEL


@pytest.mark.parametrize("decode", [decode_up, decode_down, decode_parcel])
def test_garbage(decode: object) -> None:
    @given(st.binary(max_size=300))
    def refused_or_read(raw: bytes) -> None:
        try:
            decode(raw)  # type: ignore[operator]
        except PeerProtocolError:
            return

    refused_or_read()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        pb.EnrolUp(ask=pb.Ask()).SerializeToString(),
        encode_up(Ask(b"x")) + b"\x18\x01",
        encode_up(Ask(b"x" * limits.ENROL_UP_LIMIT)),
    ],
)
def test_what_is_no_message_up(raw: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        decode_up(raw)


@pytest.mark.parametrize(
    "wire",
    [
        pb.EnrolDown(),
        pb.EnrolDown(waiting=pb.Waiting()),
        pb.EnrolDown(answer=pb.Answer()),
        pb.EnrolDown(answer=pb.Answer(reply=b"x" * limits.ENROL_DOWN_LIMIT)),
        pb.EnrolDown(welcome=pb.Welcome(tls_root=b"x" * (limits.TEXT_LIMIT + 1))),
        pb.EnrolDown(welcome=pb.Welcome(links=["x"] * 17)),
        pb.EnrolDown(welcome=pb.Welcome(links=[""])),
        pb.EnrolDown(refusal=pb.Refusal(text="x" * (limits.TEXT_LIMIT + 1))),
    ],
)
def test_what_is_no_message_down(wire: pb.EnrolDown) -> None:
    with pytest.raises(PeerProtocolError):
        decode_down(wire.SerializeToString())


@pytest.mark.parametrize(
    "wire",
    [
        pb.Parcel(federation=b"short"),
        pb.Parcel(federation=b"F" * 16, decisions=[pb.Decision(request_hash=b"h" * 32)]),
        pb.Parcel(federation=b"F" * 16, decisions=[pb.Decision(request_hash=b"h", reply=b"r")]),
        pb.Parcel(federation=b"F" * 16, requests=[b"x" * (limits.ENROL_UP_LIMIT + 1)]),
        pb.Parcel(federation=b"F" * 16, requests=[b""] * (limits.PARCEL_ITEMS_LIMIT + 1)),
    ],
)
def test_what_is_no_parcel(wire: pb.Parcel) -> None:
    with pytest.raises(PeerProtocolError):
        decode_parcel(wire.SerializeToString())


def test_a_refusal_of_a_later_version_is_a_refusal() -> None:
    wire = pb.EnrolDown(refusal=pb.Refusal(reason=99, text="?"))  # type: ignore[arg-type]
    assert decode_down(wire.SerializeToString()) == Refusal(RefusalReason.REFUSED, "?")


def test_a_parcel_that_nobody_would_read_is_not_made() -> None:
    with pytest.raises(ConfigError, match="at most"):
        encode_parcel(Parcel(b"F" * 16, (b"x",) * (limits.PARCEL_ITEMS_LIMIT + 1)))
