"""What of a device's captions may be disclosed, and where it stands in a sum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.captioned import (
    CaptionedData,
    captioned_of,
    disclosable,
    load_captions,
)
from dreamshare.learning.data import ArrayData
from dreamshare.learning.public import SharingData
from dreamshare.payloads.slots import Caption
from dreamshare_crypto.entropy import SeededEntropy, SystemEntropy
from dreamshare_edge.halting import Halt, Halted, HaltingData
from tests.algorithms.toy import toy_data

SAID = [
    *[Caption(0, "a dark shoe")] * 7,
    *[Caption(1, "a dark shoe")] * 5,
    *[Caption(1, "a wide shirt")] * 5,
    *[Caption(2, "a bag")] * 2,
    Caption(2, "a bag with a scar"),
]


def test_captions_stand_in_the_order_of_how_many_pictures_have_them() -> None:
    found = disclosable(SAID, most=10, least=1)
    assert [each.text for each in found] == [
        "a dark shoe",
        "a dark shoe",
        "a wide shirt",
        "a bag",
        "a bag with a scar",
    ]
    assert [each.label for each in found] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("most", [1, 2, 3, 9])
@pytest.mark.parametrize("least", [1, 2, 5, 6, 8])
def test_asking_otherwise_shows_no_other_captions(most: int, least: int) -> None:
    """Whatever tasks ask for, together they see what the largest allowance shows."""
    everything = disclosable(SAID, most=9, least=1)
    found = disclosable(SAID, most, least)
    assert found == everything[: len(found)]
    assert len(found) <= most
    assert all(SAID.count(each) >= least for each in found)


@pytest.mark.parametrize(
    "text", ["mail bob@home.org", "see IMG_42.jpg", "room 7", "a shoe of Alice", "a shoe of carol"]
)
def test_what_the_scan_finds_stays(text: str) -> None:
    said = [*[Caption(0, text)] * 50, *SAID]
    assert disclosable(said, 9, 1, names=("Carol",)) == disclosable(SAID, 9, 1)


def test_numbers_out_of_range() -> None:
    with pytest.raises(ConfigError, match="must be 1 or more"):
        disclosable(SAID, 0, 1)
    with pytest.raises(ConfigError, match="must be 1 or more"):
        disclosable(SAID, 1, 0)


def test_places_are_even_and_none_comes_twice() -> None:
    data = CaptionedData(toy_data(0), SAID, SeededEntropy(bytes(32)).draw)
    counts = np.zeros(8)
    for _ in range(400):
        drawn = data.places(3, 8)
        assert len(set(drawn.tolist())) == 3
        counts[drawn] += 1
    assert counts.min() > 150 * 0.7 and counts.max() < 150 * 1.3  # 150 expected, deviation 10
    assert sorted(data.places(20, 8).tolist()) == list(range(8))


def test_places_do_not_follow_from_what_others_know() -> None:
    """Two devices that are alike but for their entropy: nothing else says where a text stands."""
    one, other = (CaptionedData(toy_data(0), SAID, SystemEntropy().draw) for _ in range(2))
    assert one.places(8, 65536).tolist() != other.places(8, 65536).tolist()


class Counting:
    """Says the brightest corner, and counts how often it is asked."""

    def __init__(self) -> None:
        self.seen = 0

    def captions(self, x_NCHW: Floats) -> Sequence[str]:
        self.seen += len(x_NCHW)
        corners = ("one", "two", "three", "four")
        return [f" corner  {corners[each.argmax()]}\n" for each in x_NCHW.reshape(-1, 4)]


def test_a_captioner_looks_once_at_every_picture() -> None:
    own, captioner = toy_data(3, (9, 4, 0)), Counting()
    data = CaptionedData(own, captioner, SystemEntropy().draw)
    found = captioned_of(data).captions(data, 10, 1)
    assert captioner.seen == len(own) == 13
    assert {each.label for each in found} == {0, 1}
    assert Caption(0, "corner one") in found
    assert captioned_of(data).captions(data, 10, 1) == found
    assert captioner.seen == 13


def test_a_captioner_stops_where_the_work_is_halted() -> None:
    captioner, halt = Counting(), Halt()
    data = HaltingData(CaptionedData(toy_data(3), captioner, SystemEntropy().draw), halt)
    own = captioned_of(data)
    halt.ask()
    with pytest.raises(Halted):
        own.captions(data, 10, 1)
    assert captioner.seen == 0


def test_captions_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text('caption,class\n"a dark, wide  shoe",0\nun café,2\n', encoding="utf-8")
    assert load_captions(path) == (Caption(0, "a dark, wide shoe"), Caption(2, "un café"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"caption\na shoe\n", "name the columns"),
        (b"", "name the columns"),
        (b"class,caption\none,a shoe\n", "invalid literal"),
        (b"class,caption\n1,\n", "empty"),
        (b"class,caption\n\n1\n", "empty"),
        (b"class,caption\n-1,a shoe\n", "0 to 65535"),
        (b"class,caption\n1,\xff\n", "codec"),
    ],
)
def test_a_table_that_holds_something_else(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "captions.csv"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=words):
        load_captions(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_captions(tmp_path / "none.csv")


def test_captions_are_found_behind_public_sets() -> None:
    data = CaptionedData(toy_data(0), SAID, SystemEntropy().draw)
    assert captioned_of(SharingData(data, ())) is data
    with pytest.raises(ConfigError, match="this device has none"):
        captioned_of(SharingData(toy_data(0), ()))


def test_data_without_captions_say_so() -> None:
    own = ArrayData(np.zeros((2, 1, 2, 2), np.float32), np.zeros(2, np.int64))
    with pytest.raises(ConfigError, match="this device has none"):
        captioned_of(own)
    held = CaptionedData(own, (), SystemEntropy().draw)
    assert captioned_of(held).captions(held, 1, 1) == ()
    assert len(held) == 2 and held.class_counts(2).tolist() == [2, 0]
