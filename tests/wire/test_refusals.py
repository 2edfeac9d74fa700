"""Bytes that are no message of ours: one error, the right code, nothing built."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError, PeerProtocolError
from dreamshare.protocol import messages as m
from dreamshare.protocol.plan import RoundPlan
from dreamshare.wire import limits
from dreamshare.wire.codec import decode_frame, decode_message, encode_frame, encode_message
from dreamshare.wire.link import decode_packet, encode_packet
from dreamshare_crypto.envelope import Frame
from dreamshare_crypto.secagg.events import Stage
from dreamshare_protos.v1 import control_pb2, frame_pb2, round_pb2, update_pb2
from tests.wire.strategies import frames, messages, packets

TASK = bytes(16)
PLAN = round_pb2.RoundPlan(algorithm="a/1", step="s")


def plan(**parts: object) -> frame_pb2.Body:
    """A Tell whose plan has these parts."""
    made = round_pb2.RoundPlan(**{"algorithm": "a/1", "step": "s", **parts})
    return frame_pb2.Body(tell_order=round_pb2.TellOrder(number=1, plan=made))


def tensor(**parts: object) -> frame_pb2.Body:
    """A Tell with one tensor, two float32 unless these parts say otherwise."""
    usual = {"name": "x", "type": 1, "shape": [2], "data": bytes(8)}
    return plan(tensors=[update_pb2.Tensor(**{**usual, **parts})])


def status(**parts: object) -> control_pb2.TaskStatus:
    return control_pb2.TaskStatus(**{"task": TASK, "algorithm": "a/1", "phase": 1, **parts})


def reply(**arm: object) -> frame_pb2.Body:
    return frame_pb2.Body(reply=control_pb2.Reply(number=1, **arm))


def asked(**arm: object) -> frame_pb2.Body:
    return frame_pb2.Body(request=control_pb2.Request(number=1, **arm))


def submit(**parts: object) -> frame_pb2.Body:
    usual = {"algorithm": "a/1", "cohort": {"least": 3}, "deadlines": {"setup_s": 1.0}}
    asked = control_pb2.Submit(**{**usual, **parts})
    return frame_pb2.Body(request=control_pb2.Request(number=1, submit=asked))


def sa2(stage: int, body: bytes = b"x") -> frame_pb2.Body:
    return frame_pb2.Body(sa2=round_pb2.Sa2(stage=stage, body=body))


LONG = "x" * (limits.NAME_LIMIT + 1)
MALFORMED = {
    "no-message": frame_pb2.Body(),
    "stage-zero": sa2(0),
    "stage-unknown": sa2(99),
    "round-start-without-plan": sa2(Stage.ROUND_START),
    "sa2-empty": sa2(1, b""),
    "opening-without-plan": frame_pb2.Body(round_opening={"start": b"x"}),
    "opening-without-start": frame_pb2.Body(round_opening={"plan": PLAN}),
    "tell-zero": frame_pb2.Body(tell_order={"plan": PLAN}),
    "tell-without-plan": frame_pb2.Body(tell_order={"number": 1}),
    "algorithm-empty": plan(algorithm=""),
    "step-empty": plan(step=""),
    "last-tell-short": plan(last_tell=bytes(31)),
    "tensor-nameless": tensor(name=""),
    "tensor-type-zero": tensor(type=0),
    "tensor-type-unknown": tensor(type=5),
    "tensor-short": tensor(data=bytes(7)),
    "tensor-long": tensor(data=bytes(9)),
    "tensor-scalar-of-two": tensor(shape=[]),
    "tensor-of-nothing-with-data": tensor(shape=[2, 0]),
    "tensor-twice": plan(tensors=[update_pb2.Tensor(name="x", type=1, shape=[0])] * 2),
    "field-nameless": plan(fields=[{"shape": [1]}]),
    "field-of-nothing": plan(fields=[{"name": "x", "shape": [0]}]),
    "field-twice": plan(fields=[{"name": "x"}] * 2),
    "algorithm-twice": frame_pb2.Body(check_in={"algorithms": ["a/1", "a/1"]}),
    "refusal-zero": frame_pb2.Body(declined={"round": 1}),
    "refusal-unknown": frame_pb2.Body(declined={"code": 99}),
    "request-for-nothing": frame_pb2.Body(request={"number": 1}),
    "submit-without-cohort": submit(cohort=None),
    "submit-without-deadlines": submit(deadlines=None),
    "submit-endless": submit(deadlines={"collect_s": float("inf")}),
    "task-id-short": frame_pb2.Body(request={"number": 1, "watch": {"task": bytes(15)}}),
    "history-page-of-none": asked(fetch_history={"task": TASK}),
    "history-page-large": asked(fetch_history={"task": TASK, "most": 1001}),
    "history-of-half-a-task": asked(fetch_history={"task": bytes(8), "most": 1}),
    "history-outcome-zero": reply(task_history={"rounds": [{"number": 1, "step": "s"}]}),
    "history-step-empty": reply(task_history={"rounds": [{"number": 1, "outcome": 1}]}),
    "reply-of-nothing": reply(),
    "phase-zero": reply(task_status=status(phase=0)),
    "phase-unknown": reply(task_status=status(phase=99)),
    "submitted-never": reply(task_status=status(submitted=float("nan"))),
    "faulty-device-id-short": reply(task_status=status(faulty=[bytes(15)])),
    "device-id-long": reply(device_list={"devices": [{"device": bytes(17)}]}),
    "report-without-status": reply(task_report={"number": 1, "event": "done"}),
    "report-without-event": reply(task_report={"status": status()}),
    "result-without-status": reply(task_result={"archive": b"x"}),
    "metric-twice": reply(
        task_result={"status": status(), "metrics": [{"name": "x"}, {"name": "x"}]}
    ),
}
TOO_LARGE = {
    "algorithm-long": plan(algorithm=LONG),
    "config-long": plan(config=bytes(limits.CONFIG_LIMIT + 1)),
    "tensor-dimensions": tensor(shape=[1] * 9, data=bytes(4)),
    "tensor-shape-huge": tensor(shape=[2**40, 0], data=b""),
    "tensor-shape-wraps": tensor(shape=[2**63, 2], data=b""),
    "tensors-many": plan(tensors=[{"name": str(i), "type": 1, "shape": [0]} for i in range(4097)]),
    "fields-many": plan(fields=[{"name": str(i)} for i in range(4097)]),
    "field-huge": plan(fields=[{"name": "x", "shape": [2**28]}]),
    "opening-long": frame_pb2.Body(round_opening={"start": bytes(2**20 + 1), "plan": PLAN}),
    "label-long": frame_pb2.Body(check_in={"label": LONG}),
    "algorithms-many": frame_pb2.Body(check_in={"algorithms": [str(i) for i in range(257)]}),
    "tasks-many": reply(task_list={"tasks": [status()] * 10_001}),
    "rounds-many": reply(task_history={"rounds": [{"number": 1}] * 1001}),
    "history-after-far": asked(fetch_history={"task": TASK, "after": 2**63, "most": 1}),
    "devices-many": reply(device_list={"devices": [{"device": TASK}] * 10_001}),
    "metrics-many": reply(
        task_result={"status": status(), "metrics": [{"name": str(i)} for i in range(1025)]}
    ),
    "text-long": reply(control_error={"text": "x" * (limits.TEXT_LIMIT + 1)}),
    "utf8-counts": plan(step="\u20ac" * (limits.NAME_LIMIT // 3 + 1)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused(case: str) -> None:
    with pytest.raises(PeerProtocolError) as refused:
        decode_message(MALFORMED[case].SerializeToString())
    assert refused.value.code is AbortCode.MALFORMED


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_is_too_large_is_refused(case: str) -> None:
    with pytest.raises(PeerProtocolError) as refused:
        decode_message(TOO_LARGE[case].SerializeToString())
    assert refused.value.code is AbortCode.TOO_LARGE


# Field 34 (TellDone) of Body is tag 0x92 0x02, its number field tag 0x08.
TELL_DONE = b"\x92\x02\x02\x08\x05"
NOT_CANONICAL = {
    "unknown-field-of-body": TELL_DONE + b"\xfa\x06\x01x",
    "unknown-field-inside": b"\x92\x02\x04\x08\x05\x78\x01",
    "default-written-out": b"\x92\x02\x02\x08\x00",
    "field-twice": b"\x92\x02\x04\x08\x04\x08\x05",
    "message-twice": TELL_DONE + TELL_DONE,
    "long-varint": b"\x92\x02\x03\x08\x85\x00",
    "two-arms": encode_message(m.CheckIn(("a/1",))) + TELL_DONE,
    "cut-off": TELL_DONE[:-1],
    "trailing-zero": TELL_DONE + b"\x00",
    "no-utf8": b"\x92\x01\x03\x0a\x01\xff",
}


def test_the_canonical_bytes_of_this_table_are_right() -> None:
    assert encode_message(m.TellDone(5)) == TELL_DONE


@pytest.mark.parametrize("case", NOT_CANONICAL)
def test_what_is_not_canonical_is_refused(case: str) -> None:
    with pytest.raises(PeerProtocolError) as refused:
        decode_message(NOT_CANONICAL[case])
    assert refused.value.code is AbortCode.MALFORMED


def test_sizes_are_looked_at_before_anything_is_parsed() -> None:
    for decode, limit in (
        (decode_message, limits.BODY_LIMIT),
        (decode_frame, limits.FRAME_LIMIT),
        (decode_packet, limits.PACKET_MOST),
    ):
        with pytest.raises(PeerProtocolError, match=f"at most {limit} are taken") as refused:
            decode(bytes(limit + 1))
        assert refused.value.code is AbortCode.TOO_LARGE


@pytest.mark.parametrize(
    ("header", "signature", "body"), [(127, 64, 1), (129, 64, 1), (128, 63, 1), (128, 64, 0)]
)
def test_a_frame_has_fixed_parts(header: int, signature: int, body: int) -> None:
    parts = bytes(header), bytes(signature), bytes(body)
    wire = frame_pb2.Frame(header=parts[0], signature=parts[1], body=parts[2])
    with pytest.raises(PeerProtocolError):
        decode_frame(wire.SerializeToString())
    with pytest.raises(LocalProtocolError):
        encode_frame(Frame(*parts))


# ---- this side keeps the same limits -------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (m.TellDone(-1), LocalProtocolError),
        (m.TellDone(2**32), LocalProtocolError),
        (m.TaskClosed("\ud800"), LocalProtocolError),
        (m.Sa2(Stage.ROUND_START, b"x"), LocalProtocolError),
        (m.CheckIn(("",)), LocalProtocolError),
        (m.CheckIn((LONG,)), FrameTooLarge),
        (m.Sa2(Stage.SHARES, bytes(limits.BODY_LIMIT)), FrameTooLarge),
        (m.TellOrder(1, RoundPlan("a/1", "s", b"", field_names=("x",))), LocalProtocolError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_peer_takes_is_not_sent(message: m.Message, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_message(message)


def test_a_body_that_is_too_large_is_not_framed() -> None:
    with pytest.raises(FrameTooLarge):
        encode_frame(Frame(bytes(128), bytes(64), bytes(limits.BODY_LIMIT + 1)))


# ---- any bytes -----------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes with a few of them changed, left out, or put in."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        take = draw(st.integers(0, 2))
        data[place : place + take] = draw(st.binary(max_size=3))
    return bytes(data)


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.binary(max_size=200) | damaged(messages.map(encode_message)))
def test_a_decoder_of_messages_takes_or_refuses_any_bytes(data: bytes) -> None:
    try:
        message = decode_message(data)
    except PeerProtocolError:
        return
    assert len(encode_message(message)) == len(data)  # one form, up to the order of fields


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.binary(max_size=200) | damaged(packets.map(encode_packet)))
def test_a_decoder_of_packets_takes_or_refuses_any_bytes(data: bytes) -> None:
    try:
        packet = decode_packet(data)
    except PeerProtocolError:
        return
    assert decode_packet(encode_packet(packet)) == packet


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.binary(max_size=400) | damaged(frames.map(encode_frame)))
def test_a_decoder_of_frames_takes_or_refuses_any_bytes(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except PeerProtocolError:
        return
    assert len(encode_frame(frame)) == len(data)


def test_an_empty_tensor_is_a_tensor() -> None:
    empty = np.zeros((2, 0), "<f8")
    arrived = decode_message(
        encode_message(m.TellOrder(1, RoundPlan("a/1", "s", b"", tensors={"x": empty})))
    )
    assert isinstance(arrived, m.TellOrder)
    assert arrived.plan.tensors["x"].shape == (2, 0)
