"""Every value that may travel arrives as it was, and has one form on the wire."""

from __future__ import annotations

import typing

import hypothesis
import numpy as np
import pytest

from dreamshare.errors import AbortCode
from dreamshare.protocol import messages as m
from dreamshare.protocol.plan import DTYPES, RoundPlan
from dreamshare.wire import link as w
from dreamshare.wire.codec import decode_frame, decode_message, encode_frame, encode_message
from dreamshare.wire.link import decode_packet, encode_packet
from dreamshare_crypto.envelope import Frame
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_protos.v1 import control_pb2, link_pb2, round_pb2
from tests.wire.strategies import MESSAGES, PACKETS, frames, same


def test_every_message_and_packet_has_a_strategy() -> None:
    assert set(MESSAGES) == set(typing.get_args(m.Message))
    assert set(PACKETS) == set(typing.get_args(w.Packet))


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_a_message_arrives_as_it_was(kind: type[m.Message]) -> None:
    @hypothesis.given(MESSAGES[kind])
    def arrives(message: m.Message) -> None:
        data = encode_message(message)
        assert same(decode_message(data), message)
        assert encode_message(decode_message(data)) == data

    arrives()


@pytest.mark.parametrize("kind", PACKETS, ids=lambda kind: kind.__name__)
def test_a_packet_arrives_as_it_was(kind: type[w.Packet]) -> None:
    @hypothesis.given(PACKETS[kind])
    def arrives(packet: w.Packet) -> None:
        data = encode_packet(packet)
        assert decode_packet(data) == packet
        assert encode_packet(decode_packet(data)) == data

    arrives()


@hypothesis.given(frames)
def test_a_frame_arrives_as_it_was(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


def test_arrays_travel_little_endian_in_c_order_and_come_back_read_only() -> None:
    values = np.arange(6).reshape(2, 3)
    forms = {
        "big": values.astype(">f4"),
        "fortran": np.asfortranarray(values.astype("<f4")),
        "strided": np.repeat(values.astype("<f4"), 2, axis=1)[:, ::2],
    }
    plan = RoundPlan("a/1", "s", b"{}", tensors=forms)
    arrived = decode_message(encode_message(m.TellOrder(1, plan)))
    assert isinstance(arrived, m.TellOrder)
    assert list(arrived.plan.tensors) == list(forms)
    for array in arrived.plan.tensors.values():
        assert array.dtype.str == "<f4"
        assert (array == values).all()
        assert not array.flags.writeable
    assert arrived.plan.payload() == plan.payload()


def numbers(enum: object, prefix: str) -> dict[str, int]:
    """A protobuf enum without its prefix and its UNSPECIFIED."""
    items = typing.cast("typing.Any", enum).items()
    return {name.removeprefix(prefix): number for name, number in items if number}


def test_enums_of_the_schema_are_the_enums_of_the_program() -> None:
    assert numbers(round_pb2.Stage, "STAGE_") == {each.name: each.value for each in Stage}
    assert set(numbers(round_pb2.RefusalCode, "REFUSAL_CODE_")) == {c.value for c in RefusalCode}
    assert set(numbers(control_pb2.TaskPhase, "TASK_PHASE_")) == {p.name for p in m.TaskPhase}
    codes = {each.name: each.value for each in AbortCode}
    assert numbers(link_pb2.AbortCode, "ABORT_CODE_") == codes
    assert DTYPES == ("<f4", "<f8", "<i8", "|u1")  # TENSOR_TYPE_F32, F64, I64, U8
