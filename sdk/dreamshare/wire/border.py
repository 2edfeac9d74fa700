"""The checks that every decoder of this package shares.

Rules:
- whatever the bytes, a decoder returns a value or raises PeerProtocolError (MALFORMED, TOO_LARGE);
- sizes and numbers of parts are looked at before anything is parsed, counts before anything is
  built;
- a parsed message must be canonical: no unknown field, no field twice, no default written out, no
  other order, no number written in another way. All show as one thing: what is known, written
  again, is not what came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.wire import limits
from dreamshare.wire.parts import check_parts

AnyMessage = TypeVar("AnyMessage", bound=Message)


def refuse(text: str, code: AbortCode = AbortCode.MALFORMED) -> PeerProtocolError:
    """Return the error to raise for what a peer sent."""
    return PeerProtocolError(text, code)


def parse(kind: type[AnyMessage], data: bytes, limit: int) -> AnyMessage:
    """Return `data` parsed as `kind`, without unknown fields; see `canonical`.

    Raises:
        PeerProtocolError: longer than `limit` bytes, of too many parts, or no such message.
    """
    name = kind.__name__
    if len(data) > limit:
        raise refuse(f"{name} of {len(data)} bytes; at most {limit} are taken", AbortCode.TOO_LARGE)
    check_parts(kind.DESCRIPTOR, data)
    message: AnyMessage = kind()
    try:
        message.ParseFromString(data)
    except (DecodeError, ValueError):  # ValueError: no UTF-8, in protobuf's pure-Python form
        raise refuse(f"bytes that are no {name}") from None
    message.DiscardUnknownFields()
    return message


def canonical(message: AnyMessage, data: bytes) -> AnyMessage:
    """Return `message`, refused when `data` is not the one way to write it."""
    if message.SerializeToString(deterministic=True) != data:
        raise refuse(
            f"{type(message).__name__} with unknown, repeated, needless or disordered fields"
        )
    return message


def count(items: Sized, limit: int, what: str) -> None:
    """Refuse more than `limit` items."""
    if len(items) > limit:
        raise refuse(f"{len(items)} {what}; at most {limit} are taken", AbortCode.TOO_LARGE)


def size(data: bytes, limit: int, what: str) -> bytes:
    """Return `data`, refused when longer than `limit`."""
    count(data, limit, f"bytes of {what}")
    return data


def exactly(data: bytes, length: int, what: str) -> bytes:
    """Return `data`, refused unless it has `length` bytes."""
    if len(data) != length:
        raise refuse(f"{what} of {len(data)} bytes; it has {length}")
    return data


def text(value: str, what: str, limit: int = limits.TEXT_LIMIT) -> str:
    """Return `value`, refused when longer than `limit` bytes of UTF-8."""
    count(value.encode(), limit, f"bytes of {what}")
    return value


def name(value: str, what: str) -> str:
    """Return `value`, refused when empty or longer than a name may be."""
    if not value:
        raise refuse(f"empty {what}")
    return text(value, what, limits.NAME_LIMIT)


def unique(names: Iterable[str], what: str) -> None:
    """Refuse a name that comes twice."""
    seen: set[str] = set()
    for each in names:
        if each in seen:
            raise refuse(f"{what} {each!r} twice")
        seen.add(each)


def finite(value: float, what: str) -> float:
    """Return `value`, refused when infinite or not a number."""
    if not math.isfinite(value):
        raise refuse(f"{what} is not a finite number")
    return value


def present(message: Message, field: str) -> None:
    """Refuse a message that lacks its part `field`."""
    if not message.HasField(field):
        raise refuse(f"{type(message).__name__} without {field}")
