"""Captions of a closed vocabulary, and what a scan finds in free ones."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.generators import (
    AttributeCaptioner,
    ClassTemplateCaptioner,
    anonymous,
    leaks,
)
from dreamshare.learning.generators.captions import drawn, firsts, sentence, vocabulary

CAPTIONER = AttributeCaptioner(0.0, 1.0)
WORDS = vocabulary(CAPTIONER.groups)


def said(picture_HW: np.ndarray) -> list[str]:
    return [WORDS[place] for place in CAPTIONER.words(picture_HW[None, None].astype(np.float32))[0]]


def bar(rows: int, columns: int, value: float = 1.0) -> np.ndarray:
    picture = np.zeros((16, 16))
    picture[8 - rows // 2 : 8 + rows // 2, 8 - columns // 2 : 8 + columns // 2] = value
    return picture


def test_attributes_are_measured_on_the_pixels() -> None:
    assert said(bar(12, 4)) == ["dark", "tall", "smooth", "plain"]
    assert said(bar(4, 12)) == ["dark", "wide", "smooth", "plain"]
    assert said(1 - bar(4, 12)) == ["bright", "wide", "smooth", "inverted"]
    assert said(bar(12, 12)) == ["grey", "square", "smooth", "plain"]
    checks = np.indices((16, 16)).sum(axis=0) % 2
    assert said(checks.astype(float))[2] == "rough"
    assert said(np.zeros((16, 16))) == ["dark", "square", "smooth", "plain"]


def test_every_picture_has_one_word_of_each_group() -> None:
    x_NCHW = np.random.default_rng(0).uniform(-1, 1, (50, 3, 9, 7)).astype(np.float32)
    captioner = AttributeCaptioner(-1.0, 1.0)
    words_NG = captioner.words(x_NCHW)
    starts = firsts(captioner.groups)
    for column, (first, group) in enumerate(zip(starts, captioner.groups, strict=True)):
        assert ((words_NG[:, column] >= first) & (words_NG[:, column] < first + len(group))).all()
    assert ClassTemplateCaptioner().words(x_NCHW).shape == (50, 0)


def test_words_are_drawn_as_often_as_a_class_has_them() -> None:
    counts = np.zeros(len(WORDS))
    counts[WORDS.index("wide")] = 30
    counts[WORDS.index("tall")] = 10
    rng = np.random.default_rng(0)
    outlines = [WORDS[drawn(CAPTIONER.groups, counts, rng)[1]] for _ in range(400)]
    assert outlines.count("square") == 0
    assert 240 < outlines.count("wide") < 350
    shades = {WORDS[drawn(CAPTIONER.groups, counts, rng)[0]] for _ in range(100)}
    assert shades == {"dark", "grey", "bright"}, "nothing is known: evenly"


def test_a_template_is_data() -> None:
    assert sentence("a photo of a {name}", "shoe") == "a photo of a shoe"
    assert sentence("a {name}, {0.__class__}", "shoe", ["dark", "wide"]) == (
        "a dark, wide shoe, {0.__class__}"
    )
    with pytest.raises(ConfigError, match="no {name}"):
        sentence("a photo", "shoe")


COMMON = ["A dog on a sofa."] * 6


@pytest.mark.parametrize(
    ("caption", "kind", "text"),
    [
        ("A dog called Rex on a sofa.", "name", "Rex"),
        ("a dog on a sofa of alice", "name", "alice"),
        ("A dog on a sofa, 12 Elm", "number", "12"),
        ("A dog on a sofa IMG_2041.jpg", "file", "IMG_2041.jpg"),
        ("A dog on a sofa at album/2/a", "file", "album/2/a"),
        ("A dog on a sofa, ask me@example.org", "address", "me@example.org"),
        ("A dog on a sofa, see www.example.org", "address", "www.example.org"),
        ("A dog on a burgundy sofa", "rare", "burgundy"),
    ],
)
def test_the_scan_finds_what_identifies(caption: str, kind: str, text: str) -> None:
    found = leaks([*COMMON, caption], least=5, names=("Alice",))
    assert (kind, text) in {(leak.kind, leak.text) for leak in found}
    assert {leak.caption for leak in found} == {6}
    assert f"caption 6: {kind} {text!r}" in {str(leak) for leak in found}


def test_the_scan_finds_nothing_where_there_is_nothing() -> None:
    assert leaks(COMMON) == ()
    words = CAPTIONER.words(np.stack([bar(12, 4)[None]] * 5).astype(np.float32))
    captions = [sentence("a photo of a {name}", "bar", [WORDS[w] for w in row]) for row in words]
    assert leaks(captions) == ()
    assert leaks(["Something rare"], least=1) == ()


def test_a_caption_repeated_by_one_word_counts_once() -> None:
    """A word five times in one caption is still one picture's."""
    found = leaks([*COMMON, "a dog dog zyx zyx zyx zyx zyx"])
    assert [leak.text for leak in found] == ["zyx"] * 5


def test_only_captions_of_a_crowd_are_anonymous() -> None:
    captions = ["a dog"] * 5 + ["a cat"] * 4 + ["a dog with a scar"]
    assert anonymous(captions, least=5) == {"a dog": 5}
    assert anonymous(captions, least=2) == {"a cat": 4, "a dog": 5}
    for call in (lambda: anonymous(captions, least=1), lambda: leaks(captions, least=0)):
        with pytest.raises(ConfigError, match="or more"):
            call()
