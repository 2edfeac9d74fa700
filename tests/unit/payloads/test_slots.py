"""Slots of texts: what one device wrote is read, what two wrote in one place is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import ConfigError
from dreamshare.payloads.slots import (
    HEAD,
    Caption,
    caption_of,
    fits,
    read_slots,
    slot_of,
    tidy,
)
from tests.fuzz.texts import forged

ONE, OTHER = Caption(3, "a dark shoe on a table"), Caption(70, "un café d'été, 日本")
SIZE = 48


def summed(*writers: dict[int, Caption], slots: int = 16) -> np.ndarray:
    total_SB = np.zeros((slots, SIZE), np.int64)
    for written in writers:
        for place, caption in written.items():
            total_SB[place] += np.frombuffer(slot_of(caption, SIZE), np.uint8)
    return total_SB


@given(st.integers(0, 65535), st.text(max_size=60), st.integers(16, 256))
def test_what_is_written_is_read(label: int, text: str, size: int) -> None:
    line = tidy(text)
    if not line or not line.isprintable():
        with pytest.raises(ConfigError):
            Caption(label, line)
        return
    caption = Caption(label, line)
    if not fits(caption, size):
        with pytest.raises(ConfigError, match="does not fit"):
            slot_of(caption, size)
        return
    slot = slot_of(caption, size)
    assert len(slot) == size
    assert caption_of(slot) == caption


def test_a_sum_of_slots_shows_every_text_and_loses_what_collides() -> None:
    found = read_slots(summed({0: ONE, 5: OTHER}, {7: ONE}, {}))
    assert found.captions == (ONE, OTHER, ONE)
    assert found.lost == 0
    found = read_slots(summed({0: ONE, 5: OTHER}, {5: ONE, 9: OTHER}))
    assert found.captions == (ONE, OTHER)
    assert found.lost == 1


@given(st.lists(st.text("abc ", min_size=1, max_size=40), min_size=2, max_size=4))
def test_no_sum_of_several_texts_is_read_as_one(texts: list[str]) -> None:
    """Small letters add up to bytes above 127, and the checksum to another one."""
    written = [{2: Caption(0, tidy(text) or "a")} for text in texts]
    found = read_slots(summed(*written))
    assert found.captions == ()
    assert found.lost == 1


def test_bytes_that_no_slot_holds_are_lost() -> None:
    sums_SB = np.zeros((3, SIZE), np.int64)
    sums_SB[0, 4], sums_SB[1, 4], sums_SB[2] = -1, 256, 255
    assert read_slots(sums_SB).lost == 3


@pytest.mark.parametrize(
    ("slot", "words"),
    [
        (bytes(SIZE), "nobody, or more than one"),
        (b"", "a slot of 0 bytes"),
        (bytes(300), "a slot of 300 bytes"),
        (forged(b"\0\0\xff" + b"a" * 41), "longer than the slot"),
        (forged(b"\0\0\1ab" + bytes(39)), "something behind"),
        (forged(b"\0\0\2\xc3\x28" + bytes(39)), "not UTF-8"),
        (forged(b"\0\0\0" + bytes(41)), "not one tidy line"),
        (forged(b"\0\0\3a\nb" + bytes(38)), "not one tidy line"),
        (forged(b"\0\0\5" + "a\u202eb".encode() + bytes(36)), "not one tidy line"),
        (forged(b"\0\0\2a " + bytes(39)), "not one tidy line"),
    ],
)
def test_what_is_no_caption_is_refused(slot: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        caption_of(slot)


def test_what_no_caption_can_be() -> None:
    with pytest.raises(ConfigError, match="0 to 65535"):
        Caption(65536, "a")
    with pytest.raises(ConfigError, match="does not fit a slot of 8"):
        slot_of(ONE, 8)
    assert fits(Caption(0, "a" * (SIZE - HEAD)), SIZE)
    assert not fits(Caption(0, "é" * (SIZE - HEAD)), SIZE)
