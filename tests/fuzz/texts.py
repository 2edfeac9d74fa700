"""Target: slots of a sum, in which devices that nobody knows have written."""

from __future__ import annotations

import hashlib

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.payloads.slots import Caption, caption_of, read_slots, slot_of
from tests.fuzz.target import Target, canonical


def forged(rest: bytes) -> bytes:
    """A slot with the right checksum over anything."""
    return hashlib.sha256(b"dreamshare text slot 1\n" + rest).digest()[:4] + rest


def _slot(raw: bytes) -> None:
    """Bytes as they are, and under a checksum that is right whatever they say."""
    one_form = canonical(caption_of, lambda caption: slot_of(caption, len(raw)), ConfigError)
    slots = (raw, forged(raw[4:]))
    for slot in slots[: len(slots) if len(raw) >= 4 else 1]:
        one_form(slot)
        sums_SB = np.frombuffer(slot, np.uint8).astype(np.int64)[None, :]
        if slot and len(found := read_slots(sums_SB).captions) > 1:
            raise AssertionError(f"one slot is read as {found!r}")


TARGETS: tuple[Target, ...] = (
    Target(
        "text-slot",
        _slot,
        lambda: [slot_of(Caption(3, "a dark shoe"), 32), slot_of(Caption(70, "un café, 日本"), 48)],
    ),
)
