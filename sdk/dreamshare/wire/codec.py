"""Messages and frames to bytes and back; with `link`, the whole surface of this package.

Rules:
- `decode_*` return a value or raise PeerProtocolError, whatever the bytes;
- `encode_*` keep the decoder's limits: what they return, a peer of this version takes;
- a frame's body is opaque here; the protocol verifies a frame before anybody decodes its body.
"""

from __future__ import annotations

from typing import TypeGuard

from google.protobuf.message import EncodeError

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError, PeerProtocolError
from dreamshare.protocol.messages import (
    CheckIn,
    Declined,
    Message,
    NotNeeded,
    Reply,
    Request,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.wire import bulk, control, limits, rounds
from dreamshare.wire.border import canonical, exactly, parse, refuse, size
from dreamshare_crypto.envelope import Frame
from dreamshare_crypto.secagg.events import Stage
from dreamshare_protos.v1 import frame_pb2 as pb

_STAGES = frozenset(Stage) - {Stage.ROUND_START}  # what travels as Sa2


def encode_message(message: Message) -> bytes:
    """Return the canonical bytes of a message, the body of a frame.

    Raises:
        FrameTooLarge: more than `limits.BODY_LIMIT` bytes, or a part over its own limit.
        LocalProtocolError: a value that no peer would take (an empty name, a number out of range).
    """
    if _is_bulk(message):
        data = bulk.join_sa2(message.stage, message.body)
        if len(data) <= limits.BODY_LIMIT:
            return data
    return _encode_small(message)


def _is_bulk(message: Message) -> TypeGuard[Sa2]:
    return (
        isinstance(message, Sa2)
        and len(message.body) >= bulk.BULK
        and message.stage is not Stage.ROUND_START
    )


def _encode_small(message: Message) -> bytes:
    what = type(message).__name__
    try:
        wire = _to_wire(message)
        data: bytes = wire.SerializeToString(deterministic=True)
        size(data, limits.BODY_LIMIT, what)
        _from_wire(wire)
    except PeerProtocolError as error:
        if error.code is AbortCode.TOO_LARGE:
            raise FrameTooLarge(f"{what} is too large to send: {error}") from None
        raise LocalProtocolError(f"{what} that no peer takes: {error}") from None
    except (TypeError, ValueError, EncodeError) as error:
        raise LocalProtocolError(f"{what} that cannot be encoded: {error}") from error
    return data


def decode_message(data: bytes) -> Message:
    """Return the message that `data` encodes.

    Raises:
        PeerProtocolError: MALFORMED or TOO_LARGE.
    """
    if bulk.BULK <= len(data) <= limits.BODY_LIMIT:
        parts = bulk.split_sa2(data)
        if parts is not None and parts[0] in _STAGES:
            return Sa2(Stage(parts[0]), parts[1])
    return _from_wire(canonical(parse(pb.Body, data, limits.BODY_LIMIT), data))


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame; errors as `frame_parts`."""
    return b"".join(frame_parts(frame))


def frame_parts(frame: Frame) -> tuple[bytes, bytes]:
    """Return the bytes of a frame in two pieces, the second of which is its body, not copied.

    Raises:
        FrameTooLarge: the body has more than `limits.BODY_LIMIT` bytes.
        LocalProtocolError: header or signature of a wrong length, or no body.
    """
    header, signature, body = len(frame.header), len(frame.signature), len(frame.body)
    if body > limits.BODY_LIMIT:
        raise FrameTooLarge(f"a body of {body} bytes; at most {limits.BODY_LIMIT} travel")
    if header != limits.HEADER_BYTES or signature != limits.SIGNATURE_BYTES or not body:
        raise LocalProtocolError(
            f"a frame has a header of {limits.HEADER_BYTES} bytes, a signature of "
            f"{limits.SIGNATURE_BYTES} and a body; got {header}, {signature} and {body}"
        )
    return bulk.frame_head(frame.header, frame.signature, body), frame.body


def decode_frame(data: bytes) -> Frame:
    """Return the frame that `data` encodes; nothing is verified yet.

    Raises:
        PeerProtocolError: MALFORMED or TOO_LARGE.
    """
    if bulk.BULK <= len(data) <= limits.FRAME_LIMIT:
        parts = bulk.split_frame(data)
        if parts is not None and len(parts[2]) <= limits.BODY_LIMIT:
            return Frame(*parts)
    wire = canonical(parse(pb.Frame, data, limits.FRAME_LIMIT), data)
    body = size(wire.body, limits.BODY_LIMIT, "a body")
    if not body:
        raise refuse("a frame without a body")
    return Frame(
        exactly(wire.header, limits.HEADER_BYTES, "header"),
        exactly(wire.signature, limits.SIGNATURE_BYTES, "signature"),
        body,
    )


def _to_wire(message: Message) -> pb.Body:
    match message:
        case Sa2():
            return pb.Body(sa2=rounds.sa2_to_wire(message))
        case RoundOpening():
            return pb.Body(round_opening=rounds.opening_to_wire(message))
        case TellOrder():
            return pb.Body(tell_order=rounds.tell_to_wire(message))
        case TaskClosed():
            return pb.Body(task_closed=rounds.closed_to_wire(message))
        case NotNeeded():
            return pb.Body(not_needed=rounds.not_needed_to_wire(message))
        case CheckIn():
            return pb.Body(check_in=rounds.check_in_to_wire(message))
        case Declined():
            return pb.Body(declined=rounds.declined_to_wire(message))
        case TellDone():
            return pb.Body(tell_done=rounds.tell_done_to_wire(message))
        case Request():
            return pb.Body(request=control.request_to_wire(message))
        case Reply():
            return pb.Body(reply=control.reply_to_wire(message))


def _from_wire(body: pb.Body) -> Message:
    match body.WhichOneof("message"):
        case "sa2":
            return rounds.sa2_from_wire(body.sa2)
        case "round_opening":
            return rounds.opening_from_wire(body.round_opening)
        case "tell_order":
            return rounds.tell_from_wire(body.tell_order)
        case "task_closed":
            return rounds.closed_from_wire(body.task_closed)
        case "not_needed":
            return rounds.not_needed_from_wire(body.not_needed)
        case "check_in":
            return rounds.check_in_from_wire(body.check_in)
        case "declined":
            return rounds.declined_from_wire(body.declined)
        case "tell_done":
            return rounds.tell_done_from_wire(body.tell_done)
        case "request":
            return control.request_from_wire(body.request)
        case "reply":
            return control.reply_from_wire(body.reply)
        case _:
            raise refuse("a body without a message")
