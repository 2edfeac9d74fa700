"""Canonical encodings: round trips, and whatever bytes arrive only MalformedError comes out."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.transcript import Reader, Writer, copied, decode_bitmap, encode_bitmap

FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: x != 0 or math.copysign(1, x) > 0
)
MESSAGES = st.tuples(
    st.integers(0, 2**8 - 1),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    FLOATS,
    st.binary(min_size=3, max_size=3),
    st.binary(max_size=20),
    st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
    st.frozensets(st.integers(0, 10)),
)
Message = tuple[int, int, int, int, float, bytes, bytes, tuple[int, ...], frozenset[int]]


def write(m: Message) -> bytes:
    writer = Writer().u8(m[0]).u16(m[1]).u32(m[2]).u64(m[3]).f64(m[4]).raw(m[5], 3).var(m[6])
    return writer.list(m[7], Writer.u32).bitmap(m[8], 11).finish()


def read(raw: bytes) -> Message:
    r = Reader(raw)
    message = (
        r.u8(), r.u16(), r.u32(), r.u64(), r.f64(), r.raw(3), r.var(20), r.list(Reader.u32, 5),
        r.bitmap(11),
    )  # fmt: skip
    r.end()
    return message


@given(MESSAGES)
def test_round_trip(message: Message) -> None:
    assert read(write(message)) == message


@given(st.binary(max_size=80))
def test_garbage_is_malformed_or_canonical(raw: bytes) -> None:
    try:
        message = read(raw)
    except MalformedError:
        return
    assert write(message) == raw


@given(MESSAGES, st.data())
def test_no_prefix_and_no_extension_is_a_message(message: Message, data: st.DataObject) -> None:
    raw = write(message)
    cut = data.draw(st.integers(0, len(raw) - 1))
    for other in (raw[:cut], raw + b"\0"):
        with pytest.raises(MalformedError):
            read(other)


def test_layout_is_little_endian_and_fixed() -> None:
    raw = Writer().u8(1).u16(2).u32(3).u64(4).f64(1.0).var(b"ab").list((5,), Writer.u8).finish()
    fields = "01 0200 03000000 0400000000000000 000000000000f03f 02000000 6162 01000000 05"
    assert raw == bytes.fromhex(fields)


@pytest.mark.parametrize("bits", [0x8000000000000000, 0x7FF0000000000000, 0x7FF8000000000001])
def test_negative_zero_infinity_and_nan_are_not_canonical(bits: int) -> None:
    raw = bits.to_bytes(8, "little")
    with pytest.raises(MalformedError):
        Reader(raw).f64()
    with pytest.raises(ParameterError):
        Writer().f64(struct.unpack("<d", raw)[0])


def test_values_without_an_encoding_are_refused() -> None:
    for wrong in (-1, 256):
        with pytest.raises(ParameterError):
            Writer().u8(wrong)
    with pytest.raises(ParameterError):
        Writer().raw(b"abc", 2)


def test_sizes_are_capped_before_anything_is_taken() -> None:
    huge = (2**32 - 1).to_bytes(4, "little")
    calls = []
    with pytest.raises(MalformedError):
        Reader(huge).var(2**33)
    with pytest.raises(MalformedError):
        Reader(huge + bytes(8)).list(lambda r: calls.append(r.u8()), 2**33)
    with pytest.raises(MalformedError, match="at most 2"):
        Reader((3).to_bytes(4, "little") + bytes(8)).list(Reader.u8, 2)
    with pytest.raises(MalformedError, match="at most 2"):
        Reader((3).to_bytes(4, "little") + bytes(8)).var(2)
    assert calls == []


@given(
    st.integers(0, 70).flatmap(
        lambda n: st.tuples(st.just(n), st.frozensets(st.integers(0, max(n - 1, 0))))
    )
)
def test_bitmap_round_trip(case: tuple[int, frozenset[int]]) -> None:
    n, indices = case
    if n == 0:
        indices = frozenset()
    raw = encode_bitmap(indices, n)
    assert len(raw) == math.ceil(n / 8)
    assert decode_bitmap(raw, n) == indices


def test_bitmap_layout() -> None:
    """2.3: device v is bit v mod 8, least significant first, of byte v div 8."""
    assert encode_bitmap([0, 3, 8, 9], 10).hex() == "0903"
    assert encode_bitmap([], 0) == b""


@given(st.binary(max_size=4), st.integers(0, 30))
def test_bitmap_garbage(raw: bytes, n: int) -> None:
    try:
        indices = decode_bitmap(raw, n)
    except MalformedError:
        return
    assert encode_bitmap(indices, n) == raw


@pytest.mark.parametrize("raw", ["0904", "09", "090300", ""])
def test_bitmaps_with_spare_bits_or_another_length(raw: str) -> None:
    with pytest.raises(MalformedError):
        decode_bitmap(bytes.fromhex(raw), 10)


@pytest.mark.parametrize("index", [-1, 10])
def test_indices_outside_the_roster(index: int) -> None:
    with pytest.raises(ParameterError):
        encode_bitmap([index], 10)


def test_large_fields_are_copied_in_pieces() -> None:
    """Above 1 MiB, so that other threads get their turn; the bytes are the same."""
    raw = bytes(range(256)) * 9000
    reader = Reader(Writer().u8(7).var(raw).finish())
    assert reader.u8() == 7
    assert reader.var(len(raw)) == raw
    reader.end()
    assert copied(memoryview(raw)) == raw
    assert copied(memoryview(raw)[:100]) == raw[:100]
