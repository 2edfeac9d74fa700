"""Examples from anything that can be gone through again and again: a database, a sensor's log.

    StreamData(lambda: ((photo.pixels(), photo.album) for photo in library), shape=(3, 32, 32))

Rules:
- the function is called for every pass; each pass gives the same examples in the same order;
- a pass is shuffled within a buffer: as many examples are in memory as it has places, no more;
- every n-th example is held out; the first pass, at the beginning, counts and checks all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints
from dreamshare.learning.data import counted
from dreamshare.learning.data_lazy import Normalisation, most_held_out

Example = tuple[Floats, int]
"""An example and its class."""


class StreamData:
    """See `dreamshare.learning.base.Data`.

    Args:
        passes: begins a new pass over all examples.
        shape: of every example.
        normalisation: the model's.
        buffer: examples that are shuffled among each other, 1 or more.
        held_out_every: every n-th example is for evaluation alone, up to 1,000 and 64 MB of them,
            which stay in memory; 0: none.

    Raises:
        ConfigError: there are no examples, or one does not hold; the text names its place.
    """

    def __init__(
        self,
        passes: Callable[[], Iterable[Example]],
        shape: tuple[int, ...],
        normalisation: Normalisation | None = None,
        buffer: int = 1024,
        held_out_every: int = 10,
    ) -> None:
        if buffer < 1 or held_out_every < 0 or held_out_every == 1:
            raise ConfigError("buffer must be 1 or more, held_out_every 0 or 2 or more")
        self._passes = passes
        self._shape = shape
        self._normalisation = normalisation or Normalisation()
        self._buffer = buffer
        self._every = held_out_every
        held: list[Example] = []
        labels: list[int] = []
        for place, (x, label) in enumerate(passes()):
            self._check(place, x, label)
            if not self._is_held(place):
                labels.append(label)
            elif len(held) < most_held_out(4 * math.prod(shape)):
                held.append((x, label))
        self._y = np.array(labels, np.int64)
        if not labels:
            raise ConfigError("there are no examples to learn from")
        self._held = self._batch(held)

    def __len__(self) -> int:
        return len(self._y)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        if size < 1:
            raise ConfigError(f"batch size {size}; use 1 or more")
        least = 2 if min(size, len(self)) >= 2 else 1
        while True:
            waiting: list[Example] = []
            for example in self._shuffled(rng):
                waiting.append(example)
                if len(waiting) == size:
                    yield self._batch(waiting)
                    waiting = []
            if len(waiting) >= least:
                yield self._batch(waiting)

    def class_counts(self, classes: int) -> Ints:
        return counted(self._y, classes)

    def held_out(self) -> Batch:
        return self._held

    def _shuffled(self, rng: np.random.Generator) -> Iterator[Example]:
        pool: list[Example] = []
        given = 0
        for place, (x, label) in enumerate(self._passes()):
            if self._is_held(place):
                continue
            self._check(place, x, label)
            given += 1
            if len(pool) < self._buffer:
                pool.append((x, label))
                continue
            chosen = int(rng.integers(len(pool)))
            yield pool[chosen]
            pool[chosen] = (x, label)
        if given != len(self._y):
            raise ConfigError(f"a pass gave {given} examples, the first one {len(self._y)}")
        for chosen in rng.permutation(len(pool)):
            yield pool[chosen]

    def _is_held(self, place: int) -> bool:
        return bool(self._every) and place % self._every == self._every - 1

    def _check(self, place: int, x: Floats, label: int) -> None:
        if np.shape(x) != self._shape or not np.isfinite(x).all():
            raise ConfigError(
                f"example {place} has shape {np.shape(x)} or values that are not finite; "
                f"shape {self._shape} was expected"
            )
        if label < 0:
            raise ConfigError(f"example {place} is of the class {label}")

    def _batch(self, examples: list[Example]) -> Batch:
        x = np.zeros((len(examples), *self._shape), np.float32)
        for row, (values, _) in enumerate(examples):
            x[row] = values
        y_N = np.array([label for _, label in examples], np.int64)
        return Batch(self._normalisation.apply(x), y_N)
