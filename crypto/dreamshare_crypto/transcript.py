"""Canonical encodings: the bytes that are hashed and signed (docs/protocol.md 2.1, 2.3, 2.8).

Rules:
- integers are little-endian and of fixed width; `var` is a u32 length and bytes, `list` a u32
  count and items; a message is its fields in order, and decoding consumes every byte or fails;
- a decoder caps sizes before it allocates, and raises MalformedError whatever the bytes are;
- an encoder raises ParameterError for values that have no encoding.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dreamshare_crypto.errors import MalformedError, ParameterError

T = TypeVar("T")

_PIECE = 1 << 20
_BITS = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))


class Writer:
    """Appends fields; each method returns the writer, so that a message reads as one expression."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def u8(self, value: int) -> Writer:
        """Append an integer of one byte."""
        return self._integer(value, 1)

    def u16(self, value: int) -> Writer:
        """Append an integer of two bytes."""
        return self._integer(value, 2)

    def u32(self, value: int) -> Writer:
        """Append an integer of four bytes."""
        return self._integer(value, 4)

    def u64(self, value: int) -> Writer:
        """Append an integer of eight bytes."""
        return self._integer(value, 8)

    def f64(self, value: float) -> Writer:
        """Append a binary64; finite and not negative zero."""
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            raise ParameterError(f"{value} has no canonical encoding: finite, no negative zero")
        self._parts.append(struct.pack("<d", value))
        return self

    def raw(self, value: bytes, length: int | None = None) -> Writer:
        """Append bytes as they are; with `length`, insist on that many."""
        if length is not None and len(value) != length:
            raise ParameterError(f"a field of {length} bytes was given {len(value)}")
        self._parts.append(value)
        return self

    def var(self, value: bytes) -> Writer:
        """Append a u32 length and the bytes."""
        return self.u32(len(value)).raw(value)

    def list(self, items: Sequence[T], encode: Callable[[Writer, T], object]) -> Writer:
        """Append a u32 count and each item, written by `encode(writer, item)`."""
        self.u32(len(items))
        for item in items:
            encode(self, item)
        return self

    def bitmap(self, indices: Iterable[int], n: int) -> Writer:
        """Append the bitmap of `indices` over a roster of `n` (2.3)."""
        return self.raw(encode_bitmap(indices, n))

    def finish(self) -> bytes:
        """Return everything that was appended."""
        return b"".join(self._parts)

    def _integer(self, value: int, width: int) -> Writer:
        if not 0 <= value < 1 << (8 * width):
            raise ParameterError(f"{value} does not fit in {8 * width} bits")
        self._parts.append(int(value).to_bytes(width, "little"))
        return self


class Reader:
    """Takes fields off the front of `data`; every method raises MalformedError when it cannot."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._at

    def u8(self) -> int:
        """Read an integer of one byte."""
        return int.from_bytes(self.raw(1), "little")

    def u16(self) -> int:
        """Read an integer of two bytes."""
        return int.from_bytes(self.raw(2), "little")

    def u32(self) -> int:
        """Read an integer of four bytes."""
        return int.from_bytes(self.raw(4), "little")

    def u64(self) -> int:
        """Read an integer of eight bytes."""
        return int.from_bytes(self.raw(8), "little")

    def f64(self) -> float:
        """Read a binary64; refuses infinities, NaN and negative zero."""
        raw = self.raw(8)
        value: float = struct.unpack("<d", raw)[0]
        if not math.isfinite(value) or raw == b"\0\0\0\0\0\0\0\x80":
            raise MalformedError("a number is not finite or is a negative zero")
        return value

    def raw(self, length: int) -> bytes:
        """Read exactly `length` bytes."""
        if length > self.remaining:
            raise MalformedError(f"a message ends {length - self.remaining} bytes too early")
        start, self._at = self._at, self._at + length
        if length <= _PIECE:
            return self._data[start : self._at]
        return copied(memoryview(self._data)[start : self._at])

    def var(self, limit: int) -> bytes:
        """Read a u32 length, at most `limit`, and that many bytes."""
        length = self.u32()
        if length > limit:
            raise MalformedError(f"a field has {length} bytes; at most {limit} are taken")
        return self.raw(length)

    def list(self, decode: Callable[[Reader], T], limit: int) -> tuple[T, ...]:
        """Read a u32 count, at most `limit`, and that many items with `decode(reader)`."""
        count = self.u32()
        if count > limit or count > self.remaining:  # an item has at least one byte
            raise MalformedError(f"a list of {count} items is too long here; at most {limit}")
        return tuple(decode(self) for _ in range(count))

    def bitmap(self, n: int) -> frozenset[int]:
        """Read the bitmap over a roster of `n` (2.3)."""
        return decode_bitmap(self.raw((n + 7) // 8), n)

    def end(self) -> None:
        """Insist that every byte was read."""
        if self.remaining:
            raise MalformedError(f"{self.remaining} bytes follow the end of a message")


def copied(view: memoryview) -> bytes:
    """Return the bytes of a view of bytes, copied so that other threads get their turn meanwhile.

    A slice of a vector, or `bytes(..)` of one, keeps an event loop waiting until all of it is
    copied. Here pieces of 1 MiB are: between two of them another thread may run, and `bytes.join`
    lets others run while it copies what are `bytes` already.
    """
    if len(view) <= _PIECE:
        return bytes(view)
    return b"".join([bytes(view[i : i + _PIECE]) for i in range(0, len(view), _PIECE)])


def encode_bitmap(indices: Iterable[int], n: int) -> bytes:
    """Return the bitmap of `indices` over a roster of `n`: ceil(n/8) bytes (2.3).

    Raises:
        ParameterError: an index is not in 0..n-1.
    """
    raw = bytearray((n + 7) // 8)
    for index in indices:
        if not 0 <= index < n:
            raise ParameterError(f"index {index} is outside a roster of {n}")
        raw[index >> 3] |= 1 << (index & 7)
    return bytes(raw)


def decode_bitmap(raw: bytes, n: int) -> frozenset[int]:
    """Return the indices that `raw` marks in a roster of `n` (2.3).

    Raises:
        MalformedError: another length than ceil(n/8), or an unused bit is set.
    """
    if len(raw) != (n + 7) // 8:
        raise MalformedError(f"a bitmap over {n} has {(n + 7) // 8} bytes, not {len(raw)}")
    if n % 8 and raw[-1] >> n % 8:
        raise MalformedError("a bitmap marks an index outside its roster")
    return frozenset(
        8 * place + bit for place, byte in enumerate(raw) if byte for bit in _BITS[byte]
    )
