"""What in free-text captions tells a device, a person or a single photograph apart.

    for leak in leaks(captions, least=5, names=("alice", "bob")):
        print(leak)                                  # "caption 3: number '42'"
    shared = anonymous(captions, least=5)            # captions that many pictures have, counted

Rules:
- a scan finds what has a form (numbers, addresses, file names, capitalised words, names of a list)
  and what is rare; it cannot find what is identifying and ordinary, so passing it is no proof;
- what is found in a caption that a device was to disclose keeps it there
  (`dreamshare.learning.captioned`, docs/algorithms/generative.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dreamshare.errors import ConfigError

Kind = Literal["address", "file", "number", "name", "rare"]

_ADDRESS = re.compile(r"\S+@\S+\.\S+|(?:https?://|www\.)\S+", re.IGNORECASE)
_FILE = re.compile(
    r"\S*[/\\]\S+|\b\S+\.(?:jpe?g|png|gif|bmp|tiff?|heic|webp|dcm|raw)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"\S*\d\S*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_SENTENCE_END = ".!?"


@dataclass(frozen=True, slots=True)
class Leak:
    """One finding.

    Attributes:
        caption: number of the caption, from 0.
        kind: "address" (mail, web), "file" (name or path), "number" (any word with a digit),
            "name" (of the list, or capitalised inside a sentence), "rare" (in few captions).
        text: what was found.
    """

    caption: int
    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"caption {self.caption}: {self.kind} {self.text!r}"


def leaks(
    captions: Sequence[str], *, least: int = 5, names: Sequence[str] = ()
) -> tuple[Leak, ...]:
    """Return what was found, captions in order; a place is reported under one kind alone.

    Args:
        captions: of all pictures that are to be disclosed together.
        least: a word in fewer captions than this is rare, >= 1; 1 finds none.
        names: people's, places' or devices' names, in any case.

    Raises:
        ConfigError: least is below 1.
    """
    if least < 1:
        raise ConfigError(f"least is {least}; it must be 1 or more")
    known = {name.casefold() for name in names}
    seen = Counter(word for text in captions for word in {w.casefold() for w in _words(text)})
    found: list[Leak] = []
    for number, text in enumerate(captions):
        rest = text
        for kind, pattern in _FORMS:
            found += [Leak(number, kind, match) for match in pattern.findall(rest)]
            rest = pattern.sub(lambda match: " " * len(match.group()), rest)
        for match in _WORD.finditer(rest):
            word = match.group()
            if word.casefold() in known or (word[0].isupper() and _inside(text, match.start())):
                found.append(Leak(number, "name", word))
            elif seen[word.casefold()] < least:
                found.append(Leak(number, "rare", word))
    return tuple(found)


_FORMS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("address", _ADDRESS),
    ("file", _FILE),
    ("number", _NUMBER),
)


def anonymous(captions: Sequence[str], *, least: int = 5) -> Mapping[str, int]:
    """Return how often each caption occurs that at least `least` pictures have word for word.

    Raises:
        ConfigError: least is below 2: a caption of one picture is that picture's.
    """
    if least < 2:
        raise ConfigError(f"least is {least}; choose 2 or more")
    return {text: count for text, count in sorted(Counter(captions).items()) if count >= least}


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _inside(text: str, place: int) -> bool:
    """Say whether a word stands inside a sentence: its capital is then not the sentence's."""
    before = text[:place].rstrip()
    return bool(before) and before[-1] not in _SENTENCE_END
