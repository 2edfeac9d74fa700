"""What a picture shows, in words of a closed public vocabulary.

    captioner = captioner_of("attributes", low=0.0, high=1.0)
    words_NG = captioner.words(x_NCHW)              # per picture one word of each group
    text = sentence("a photo of a {name}", "sneaker", ("dark", "wide"))

Shape legend: N pictures, C channels, H height, W width, G groups of words, A words.

Rules:
- a device captions its own pictures and sends none of the captions: how often a word goes with a
  class is a count, and counts are summed under masks;
- the vocabulary is public and fixed by a captioner's name, so words cannot name a person, a place
  or a device; free text could, and travels only as a disclosure that a device's owner allows
  (`dreamshare.learning.captioned`);
- a template's "{name}" is replaced and nothing else in it is: it is data, not a format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints

Captions = Literal["class", "attributes", "text"]
NAME = "{name}"
GROUPS = (
    ("dark", "grey", "bright"),
    ("tall", "square", "wide"),
    ("smooth", "rough"),
    ("plain", "inverted"),
)
"""Words by group: of each group a picture has exactly one."""

_ROUGH = 0.1
_LONG = 1.25


class Captioner(Protocol):
    """Measures pictures."""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Words by group; empty where a caption is the class's name alone."""
        ...

    def words(self, x_NCHW: Floats) -> Ints:
        """Return the places (N, G) of each picture's words in the vocabulary."""
        ...


class ClassTemplateCaptioner:
    """A picture is of its class; nothing else is said."""

    groups: tuple[tuple[str, ...], ...] = ()

    def words(self, x_NCHW: Floats) -> Ints:
        return np.zeros((len(x_NCHW), 0), np.int64)


@dataclass(frozen=True, slots=True)
class AttributeCaptioner:
    """Brightness, outline, texture, polarity, measured on the pixels.

    Attributes:
        low, high: range of the pixels.
    """

    low: float
    high: float

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        return GROUPS

    def words(self, x_NCHW: Floats) -> Ints:
        value_NHW = (x_NCHW.mean(axis=1, dtype=np.float64) - self.low) / (self.high - self.low)
        border_N = _border(value_NHW)
        inverted_N = border_N > 0.5
        # the outline is what stands out from the border, in either polarity
        shape_NHW = np.abs(value_NHW - border_N[:, None, None]) > 0.25
        shade_N = np.digitize(value_NHW.mean(axis=(1, 2)), (1 / 3, 2 / 3))
        ratio_N = _extent(shape_NHW.any(axis=1)) / _extent(shape_NHW.any(axis=2))
        outline_N = np.digitize(ratio_N, (1 / _LONG, _LONG))
        steps_N = np.abs(np.diff(value_NHW, axis=1)).mean(axis=(1, 2))
        across_N = np.abs(np.diff(value_NHW, axis=2)).mean(axis=(1, 2))
        rough_N = np.maximum(steps_N, across_N) > _ROUGH
        found_NG = np.stack([shade_N, outline_N, rough_N, inverted_N], axis=1).astype(np.int64)
        return found_NG + np.array(firsts(GROUPS), np.int64)


def captioner_of(kind: Captions, low: float, high: float) -> Captioner:
    """Return the captioner of a name."""
    return AttributeCaptioner(low, high) if kind == "attributes" else ClassTemplateCaptioner()


def firsts(groups: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return the place of each group's first word in the vocabulary."""
    sizes = [len(group) for group in groups]
    return tuple(sum(sizes[:number]) for number in range(len(sizes)))


def vocabulary(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return all words, groups in order."""
    return tuple(word for group in groups for word in group)


def drawn(
    groups: Sequence[Sequence[str]], counts_A: np.ndarray, rng: np.random.Generator
) -> tuple[int, ...]:
    """Return one word of each group, drawn by how often a class has it; evenly where unknown."""
    chosen = []
    for first, group in zip(firsts(groups), groups, strict=True):
        share = np.maximum(counts_A[first : first + len(group)], 0.0)
        total = float(share.sum())
        weights = share / total if total >= 0.5 else np.full(len(group), 1 / len(group))
        chosen.append(first + int(rng.choice(len(group), p=weights)))
    return tuple(chosen)


def sentence(template: str, name: str, words: Sequence[str] = ()) -> str:
    """Return a caption: "a photo of a {name}" with the words before the name.

    Raises:
        ConfigError: the template has no "{name}".
    """
    if NAME not in template:
        raise ConfigError(f"the template {template!r} has no {NAME} in it")
    described = f"{', '.join(words)} {name}" if words else name
    return template.replace(NAME, described)


def _border(value_NHW: np.ndarray) -> np.ndarray:
    edges = (value_NHW[:, 0], value_NHW[:, -1], value_NHW[:, :, 0], value_NHW[:, :, -1])
    border_N: np.ndarray = np.median(np.concatenate(edges, axis=1), axis=1)
    return border_N


def _extent(seen_NL: np.ndarray) -> np.ndarray:
    """Return the distance from the first to the last place that is seen, 1 where there is none."""
    length = seen_NL.shape[1]
    last_N = length - seen_NL[:, ::-1].argmax(axis=1)
    extent_N: np.ndarray = np.where(seen_NL.any(axis=1), last_N - seen_NL.argmax(axis=1), 1)
    return extent_N
