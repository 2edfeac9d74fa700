"""A device's examples read when they are needed: a batch is in memory, not the collection.

    data = LazyData(ImageFolder("photos", size=(32, 32)), Normalisation((0.5,) * 3, (0.25,) * 3))

Shape legend: N examples, C channels, K classes; an example's shape is its source's.

Rules:
- a source says how many examples it has, of which classes, and reads those that it is asked for;
- labels are read once, at the beginning, and stay in memory (eight bytes each); they and the counts
  of classes never leave the device in the clear;
- which examples are held out follows from the seed: the same ones at every start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints
from dreamshare.learning.data import choices, counted

MOST_HELD_OUT = 1000
MOST_HELD_OUT_BYTES = 64 << 20
"""Held-out examples are measured at once: at most so many, and at most so many bytes of them."""


def most_held_out(example_bytes: int) -> int:
    """Return how many examples of this size are held out at most, 1 or more."""
    return max(1, min(MOST_HELD_OUT, MOST_HELD_OUT_BYTES // max(1, example_bytes)))


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(x - mean) / std by channel, as the model was trained with.

    Attributes:
        mean: one number a channel; empty with `std`: values stay as they are.
        std: one number a channel, > 0.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ConfigError(f"{len(self.mean)} means and {len(self.std)} standard deviations")
        if not all(math.isfinite(m) for m in self.mean) or not all(
            0 < s < math.inf for s in self.std
        ):
            raise ConfigError("means must be finite, standard deviations finite and above 0")

    def apply(self, x: Floats) -> Floats:
        """Return normalised examples; the channels are the second axis.

        Raises:
            ConfigError: the examples have another number of channels.
        """
        if not self.mean:
            return x
        if x.ndim < 2 or x.shape[1] != len(self.mean):
            raise ConfigError(
                f"the examples have shape {x.shape[1:]}, normalisation {len(self.mean)} channels"
            )
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, std = (np.array(v, np.float32).reshape(shape) for v in (self.mean, self.std))
        return (x - mean) / std


class Source(Protocol):
    """Where examples are read from, by place."""

    def labels(self) -> Ints:
        """Return the class of every example, int64, >= 0."""
        ...

    def read(self, places: Ints) -> Floats:
        """Return these examples, float32, the first axis as long as `places`.

        Raises:
            ConfigError: one cannot be read; the text names file and row.
        """
        ...


class LazyData:
    """See `dreamshare.learning.base.Data`.

    Args:
        source: reads examples.
        normalisation: the model's.
        held_out: part of the examples for evaluation alone, 0 to below 1; at most 1,000 examples
            and 64 MB of them.
        seed: decides which.

    Raises:
        ConfigError: there are no examples to learn from, or an argument is out of range.
    """

    def __init__(
        self,
        source: Source,
        normalisation: Normalisation | None = None,
        held_out: float = 0.1,
        seed: int = 0,
    ) -> None:
        if not 0 <= held_out < 1:
            raise ConfigError(f"held_out is {held_out}; it must be 0 to below 1")
        labels_N = source.labels()
        if not len(labels_N):
            raise ConfigError("there are no examples to learn from")
        if (labels_N < 0).any():
            raise ConfigError("the labels hold a negative class")
        self._source = source
        self._normalisation = normalisation or Normalisation()
        self._y = labels_N
        one = self._batch(np.arange(1)).x_NCHW
        self._aside = min(most_held_out(one.nbytes), int(len(labels_N) * held_out))
        self._seed = seed
        self._drawn: tuple[Ints, Ints] | None = None
        self._no_x = one[:0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self._no_x.shape[1:]

    def __len__(self) -> int:
        return len(self._y) - self._aside

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        _, own = self._split()
        for chosen in choices(rng, len(own), size):
            yield self._batch(own[chosen])

    def class_counts(self, classes: int) -> Ints:
        _, own = self._split()
        return counted(self._y[own], classes)

    def held_out(self) -> Batch:
        places, _ = self._split()
        return self._batch(places) if len(places) else Batch(self._no_x, self._y[:0])

    def _split(self) -> tuple[Ints, Ints]:
        """Return the places held out, and the others; drawn at first use, not while one waits."""
        if self._drawn is None:
            order = np.random.default_rng(self._seed).permutation(len(self._y))
            self._drawn = order[: self._aside], np.sort(order[self._aside :])
        return self._drawn

    def _batch(self, places: Ints) -> Batch:
        x = self._normalisation.apply(self._source.read(places))
        return Batch(np.ascontiguousarray(x, np.float32), self._y[places])
