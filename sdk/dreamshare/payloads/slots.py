"""Texts in a sum: each in a slot of bytes that nobody else writes, by luck.

    slots_SB[place] = np.frombuffer(slot_of(Caption(3, "a dark shoe"), 64), np.uint8)
    found = read_slots(sums_SB)                    # of everybody's slots, added up

A slot holds a checksum of the rest (4 bytes), a class (2, little-endian), the length of the text
(1), the text in UTF-8, and zeros to its end. A slot that nobody wrote is zeros.

Shape legend: S slots, B bytes of a slot.

Rules:
- two texts in one slot add up to bytes that the checksum finds wrong (but for one in 2^32), or to
  more than a byte holds: both are lost;
- whoever reads trusts nothing: sizes first, one form for each text, printable characters alone, so
  that no line end and no change of direction comes along; `caption_of` raises ConfigError and
  nothing else.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError

HEAD = 7
"""Bytes of a slot before its text."""

LEAST_BYTES, MOST_BYTES = 16, 256
"""Of a slot."""

_TAG = b"dreamshare text slot 1\n"
_HEAD = struct.Struct("<HB")
_CHECK = 4


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said of a picture.

    Attributes:
        label: its class, 0 to 65,535.
        text: one line of printable characters, without spaces at its ends or two in a row.
    """

    label: int
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.label < 1 << 16:
            raise ConfigError(f"a caption's class is {self.label}; it must be 0 to 65535")
        if not self.text or not self.text.isprintable() or tidy(self.text) != self.text:
            raise ConfigError(f"the caption {self.text!r} is empty or not one tidy line")


@dataclass(frozen=True, slots=True)
class Found:
    """What a sum of slots holds.

    Attributes:
        captions: that could be read, by place.
        lost: slots that were written and could not.
    """

    captions: tuple[Caption, ...]
    lost: int


def tidy(text: str) -> str:
    """Return a text with single spaces, and none at its ends."""
    return " ".join(text.split())


def fits(caption: Caption, size: int) -> bool:
    """Say whether a slot of `size` bytes can hold it."""
    return len(caption.text.encode()) <= size - HEAD


def slot_of(caption: Caption, size: int) -> bytes:
    """Return the bytes of a slot; raises ConfigError for a text that does not fit it."""
    text = caption.text.encode()
    if not LEAST_BYTES <= size <= MOST_BYTES or len(text) > size - HEAD:
        raise ConfigError(f"a caption of {len(text)} bytes does not fit a slot of {size}")
    rest = _HEAD.pack(caption.label, len(text)) + text
    rest += bytes(size - _CHECK - len(rest))
    return _sum_of(rest) + rest


def caption_of(slot: bytes) -> Caption:
    """Return what a slot holds; the inverse of `slot_of`.

    Raises:
        ConfigError: nothing, two texts at once, or what is no caption.
    """
    if not LEAST_BYTES <= len(slot) <= MOST_BYTES:
        raise ConfigError(f"a slot of {len(slot)} bytes; it has {LEAST_BYTES} to {MOST_BYTES}")
    check, rest = slot[:_CHECK], slot[_CHECK:]
    if check != _sum_of(rest):
        raise ConfigError("the checksum of a slot is wrong: nobody, or more than one, wrote it")
    label, length = _HEAD.unpack_from(rest)
    text, padding = rest[_HEAD.size : _HEAD.size + length], rest[_HEAD.size + length :]
    if len(text) < length or any(padding):
        raise ConfigError("a slot's text is longer than the slot, or has something behind it")
    try:
        return Caption(label, text.decode())
    except UnicodeDecodeError:
        raise ConfigError("a slot's text is not UTF-8") from None


def read_slots(sums_SB: NDArray[np.int64]) -> Found:
    """Return every text of a sum of slots; what cannot be read is counted and left."""
    captions: list[Caption] = []
    written = sums_SB.any(axis=1)
    for slot_B in sums_SB[written]:
        if slot_B.min() < 0 or slot_B.max() > 255:
            continue
        try:
            captions.append(caption_of(slot_B.astype(np.uint8).tobytes()))
        except ConfigError:
            continue
    return Found(tuple(captions), int(written.sum()) - len(captions))


def _sum_of(rest: bytes) -> bytes:
    return hashlib.sha256(_TAG + rest).digest()[:_CHECK]
