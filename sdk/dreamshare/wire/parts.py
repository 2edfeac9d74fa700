"""How many parts a message has, counted before anything is built of them.

Protobuf makes an object of every nested message, and two bytes are enough for one: a body at its
size limit that holds nothing but empty messages would take gigabytes.

Rules:
- a part is a field of a message, at any depth; of packed numbers each byte counts as one;
- what is too short to have too many parts is not looked at;
- counting goes into the messages that the schema nests and nowhere else, and ends at the limit.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.wire import limits

_WHOLE = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def check_parts(kind: Descriptor, data: bytes) -> None:
    """Refuse a message of more than `limits.PARTS_LIMIT` parts.

    Raises:
        PeerProtocolError: TOO_LARGE; MALFORMED where the bytes end too early.
    """
    if len(data) <= 2 * limits.PARTS_LIMIT:  # a part has a tag and a value
        return
    parts, open_messages = 0, [(kind, 0, len(data))]
    while open_messages:
        message, at, end = open_messages.pop()
        if at == end:
            continue
        tag, at = _number(data, at)
        parts += 1
        inner: tuple[Descriptor, int, int] | None = None
        match tag & 7:
            case 0:  # varint
                _, at = _number(data, at)
            case 1:  # 64 bits
                at += 8
            case 2:  # length and bytes
                length, start = _number(data, at)
                at = start + length
                field = message.fields_by_number.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    inner = (field.message_type, start, at)
                elif field is not None and field.type not in _WHOLE:
                    parts += length  # packed numbers
            case 5:  # 32 bits
                at += 4
            case _:  # groups are not used
                raise _broken(kind)
        if at > end:
            raise _broken(kind)
        if parts > limits.PARTS_LIMIT:
            raise PeerProtocolError(
                f"{kind.name} of more than {limits.PARTS_LIMIT} parts", AbortCode.TOO_LARGE
            )
        open_messages.append((message, at, end))
        if inner is not None:
            open_messages.append(inner)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise PeerProtocolError("a number that is cut off or too long", AbortCode.MALFORMED)


def _broken(kind: Descriptor) -> PeerProtocolError:
    return PeerProtocolError(f"bytes that are no {kind.name}", AbortCode.MALFORMED)
