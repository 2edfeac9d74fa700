"""The wire format of protobuf, read field by field: what a graph is looked at with.

Rules:
- nothing is copied: values are views of the file;
- a message has the fields that the caller names and no other; what may occur once occurs once, so
  that nothing is merged or overridden in a parser and seen otherwise here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dreamshare.learning.onnx.errors import BundleError

Value = int | memoryview
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        values: by field number, in the file's order.
    """

    values: Mapping[int, list[Value]]

    def messages(self, number: int) -> Iterator[memoryview]:
        """Yield a repeated field of texts, bytes or messages."""
        for value in self.values.get(number, []):
            if isinstance(value, int):
                raise _damaged(f"field {number} is a number")
            yield value

    def text(self, number: int) -> str:
        """Return a text, "" where it is left out."""
        try:
            return "".join(str(value, "utf-8") for value in self.messages(number))
        except UnicodeDecodeError:
            raise _damaged(f"field {number} is no text") from None

    def number(self, number: int) -> int:
        """Return a whole number, 0 where it is left out."""
        return next(iter(self.numbers(number)), 0)

    def numbers(self, number: int) -> list[int]:
        """Return a repeated whole number, packed or not."""
        found: list[int] = []
        for value in self.values.get(number, []):
            if isinstance(value, int):
                found.append(_signed(value))
                continue
            at = 0
            while at < len(value):
                each, at = _varint(value, at)
                found.append(_signed(each))
        return found


def read_message(content: memoryview, once: frozenset[int], repeated: frozenset[int]) -> Message:
    """Return a message that has these fields and no other.

    Raises:
        BundleError: it is damaged, has another field, or one of `once` twice.
    """
    values: dict[int, list[Value]] = {}
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        value: Value
        match kind:
            case 0:
                value, at = _varint(content, at)
            case 1 | 5 | 2:
                size = 8 if kind == FIXED64 else 4
                if kind == BYTES:
                    size, at = _varint(content, at)
                if size > len(content) - at:
                    raise _damaged("it is cut")
                value, at = content[at : at + size], at + size
            case _:
                raise _damaged(f"a field of kind {kind}")
        if number not in once and number not in repeated:
            raise _damaged(f"the unknown field {number}")
        if number in once and number in values:
            raise _damaged(f"field {number} twice")
        values.setdefault(number, []).append(value)
    return Message(values)


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    result = 0
    for place in range(10):
        if at + place >= len(content):
            raise _damaged("it is cut")
        byte = content[at + place]
        result |= (byte & 127) << (7 * place)
        if byte < 128:
            return result & (2**64 - 1), at + place + 1
    raise _damaged("a number of more than ten bytes")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _damaged(what: str) -> BundleError:
    return BundleError(f"a graph of the bundle is not one of ours ({what}); export the model again")
