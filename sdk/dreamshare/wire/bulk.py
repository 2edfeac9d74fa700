"""Large bytes at the end of a message: written and read without handing them to protobuf.

A masked vector has tens of megabytes. Protobuf copies such a field four times on its way in or out
and holds the interpreter meanwhile, so that an event loop in another thread stands still. The two
messages that carry vectors end with their large field, so what precedes it can be made and read
alone; everything here gives the bytes that protobuf gives, and takes only those.

Rules:
- a reader returns None where the layout is not the canonical one: `codec` then has protobuf look,
  which takes it or says what is wrong;
- copies let other threads run meanwhile (`dreamshare_crypto.transcript.copied`).
"""

from __future__ import annotations

from dreamshare.wire import limits
from dreamshare_crypto.transcript import copied

BULK = 256 * limits.KIB
"""Bytes from which a message is worth this, and worth a thread."""

_HEADER = b"\x0a\x80\x01"  # Frame.header: field 1, 128 bytes
_SIGNATURE = b"\x12\x40"  # Frame.signature: field 2, 64 bytes
_BODY = b"\x1a"  # Frame.body: field 3
_SA2 = b"\x0a"  # Body.sa2: field 1
_STAGE = b"\x08"  # Sa2.stage: field 1, a varint
_SA2_BODY = b"\x12"  # Sa2.body: field 2


def frame_head(header: bytes, signature: bytes, body: int) -> bytes:
    """Return what precedes the body in a frame; the lengths have been checked."""
    return b"".join((_HEADER, header, _SIGNATURE, signature, _BODY, _varint(body)))


def split_frame(data: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return header, signature and body of a frame."""
    at = len(_HEADER) + limits.HEADER_BYTES
    end = at + len(_SIGNATURE) + limits.SIGNATURE_BYTES
    if not data.startswith(_HEADER) or not data.startswith(_SIGNATURE, at):
        return None
    body = _last_field(data, end, _BODY)
    if body is None:
        return None
    return data[len(_HEADER) : at], data[at + len(_SIGNATURE) : end], body


def join_sa2(stage: int, body: bytes) -> bytes:
    """Return the message Body with an Sa2 in it; `stage` is below 128, and `body` is not empty."""
    inner = b"".join((_STAGE, bytes([stage]), _SA2_BODY, _varint(len(body))))
    return b"".join((_SA2, _varint(len(inner) + len(body)), inner, body))


def split_sa2(data: bytes) -> tuple[int, bytes] | None:
    """Return stage and body of an Sa2 in a Body."""
    if not data.startswith(_SA2):
        return None
    length, at = _read_varint(data, len(_SA2))
    if at + length != len(data) or not data.startswith(_STAGE, at):
        return None
    stage = data[at + 1]
    body = _last_field(data, at + 2, _SA2_BODY) if 0 < stage < 0x80 else None
    return None if body is None else (stage, body)


def _last_field(data: bytes, at: int, tag: bytes) -> bytes | None:
    """Return the bytes of the field at `at`, if it is `tag` and goes to the end."""
    if not data.startswith(tag, at):
        return None
    length, start = _read_varint(data, at + len(tag))
    if not length or start + length != len(data):
        return None
    return copied(memoryview(data)[start:])


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a length and where it ends; 0 where it is cut off or longer than it has to be."""
    value = 0
    for i, byte in enumerate(data[at : at + 5]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            canonical = byte or not i
            return (value if canonical else 0), at + i + 1
    return 0, at
