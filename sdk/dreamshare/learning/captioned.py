"""A device's own examples with captions that its owner lets a task ask for.

    data = CaptionedData(own, captions, SystemEntropy().draw)       # written ones
    data = CaptionedData(own, open_captioner("blip", digest), SystemEntropy().draw)

Rules:
- captions are free text of single pictures: they leave a device in no sum that hides them. Having
  them here is one half of an owner's consent, the policy's clauses are the other;
- where a text stands in a sum is drawn from secret bytes and never from a task's random numbers,
  whose seed others may know: who could repeat the draw would know who wrote which;
- which captions are offered follows from the examples alone (`disclosable`): asking twice, in
  another task or for more, discloses nothing beyond the most that an owner allows.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints
from dreamshare.learning.passes import once
from dreamshare.payloads.slots import Caption, tidy

MOST_PICTURES = 4096
"""That a captioner looks at; of more, the first of one fixed pass."""

Draw = Callable[[int], bytes]
"""Returns so many fresh secret bytes."""


class TextCaptioner(Protocol):
    """Says in free text what pictures show."""

    def captions(self, x_NCHW: Floats) -> Sequence[str]:
        """Return one text for each picture; ConfigError where it cannot."""
        ...


@runtime_checkable
class Captioned(Protocol):
    """Data whose owner has captions of them."""

    def captions(self, data: Data, most: int, least: int) -> tuple[Caption, ...]:
        """Return at most `most` captions that may be disclosed; see `disclosable`.

        Args:
            data: the same examples, as the work is given them: whoever halts it halts a captioner.
        """
        ...

    def places(self, count: int, slots: int) -> Ints:
        """Return `count` places of `slots`, none twice, drawn from secret bytes."""
        ...


class CaptionedData:
    """See the module's docstring; everything else is the data's own.

    Args:
        data: the device's own examples.
        source: their captions, or what makes them, once, when a task asks for the first time.
        draw: the device's entropy.
        names: people's, places' and devices' names; a caption with one of them is not offered.
    """

    def __init__(
        self,
        data: Data,
        source: Sequence[Caption] | TextCaptioner,
        draw: Draw,
        names: Sequence[str] = (),
    ) -> None:
        self._data = data
        self._source = source
        self._draw = draw
        self._names = tuple(names)
        self._made: tuple[Caption, ...] | None = None

    def __getattr__(self, name: str) -> object:
        """Return what the data offer beyond the protocol."""
        return getattr(self._data, name)

    @property
    def captioned(self) -> Captioned:
        """Itself: what `captioned_of` finds behind whatever wraps these data."""
        return self

    def __len__(self) -> int:
        return len(self._data)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        return self._data.batches(rng, size)

    def class_counts(self, classes: int) -> Ints:
        return self._data.class_counts(classes)

    def held_out(self) -> Batch:
        return self._data.held_out()

    def captions(self, data: Data, most: int, least: int) -> tuple[Caption, ...]:
        if self._made is None:
            self._made = self._all(data)
        return disclosable(self._made, most, least, self._names)

    def places(self, count: int, slots: int) -> Ints:
        left = list(range(slots))
        drawn = []
        for _ in range(min(count, slots)):
            chosen = int.from_bytes(self._draw(16)) % len(left)  # uneven by less than 2^-100
            left[chosen], left[-1] = left[-1], left[chosen]
            drawn.append(left.pop())
        return np.array(drawn, np.int64)

    def _all(self, data: Data) -> tuple[Caption, ...]:
        source = self._source
        if isinstance(source, Sequence):
            return tuple(source)
        found: list[Caption] = []
        for x_NCHW, y_N in once(data, MOST_PICTURES):
            texts = source.captions(x_NCHW)
            found += [
                Caption(label, line)
                for label, text in zip(y_N.tolist(), texts, strict=True)
                if (line := tidy(text)) and line.isprintable()
            ]
        return tuple(found)


def captioned_of(data: Data) -> Captioned:
    """Return the captions of a device's data.

    Raises:
        ConfigError: its owner has given none.
    """
    found = getattr(data, "captioned", None)
    if not isinstance(found, Captioned):
        raise ConfigError(
            "this task asks for captions and this device has none; its owner names them in the "
            "table [data], or gives the agent CaptionedData"
        )
    return found


def load_captions(path: Path | str) -> tuple[Caption, ...]:
    """Return the captions of a CSV file with the columns `class` (a number) and `caption`.

    Raises:
        ConfigError: there is no such file, or it is another one.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if not {"class", "caption"} <= set(rows.fieldnames or ()):
                raise ConfigError(f"captions {path}: name the columns 'class' and 'caption'")
            return tuple(Caption(int(row["class"]), tidy(row["caption"] or "")) for row in rows)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ConfigError(f"captions {path}: {error}") from None


def disclosable(
    captions: Sequence[Caption], most: int, least: int, names: Sequence[str] = ()
) -> tuple[Caption, ...]:
    """Return at most `most` captions that at least `least` pictures have word for word.

    Captions in which `leaks` finds an address, a file, a number or a name are left out; the others
    stand in order of how many pictures have them. With a smaller `most` or a larger `least` there
    are fewer of the same, never others.

    Raises:
        ConfigError: most or least is below 1.
    """
    from dreamshare.learning.leaks import leaks  # patterns that an agent without captions spares

    if most < 1 or least < 1:
        raise ConfigError(f"most is {most} and least {least}; both must be 1 or more")
    counts = Counter((each.label, each.text) for each in captions)
    texts = sorted({text for _, text in counts})
    told = {texts[leak.caption] for leak in leaks(texts, least=1, names=names)}
    ranked = sorted(counts, key=lambda said: (-counts[said], said))
    first = [said for said in ranked if said[1] not in told][:most]
    return tuple(Caption(label, text) for label, text in first if counts[label, text] >= least)
