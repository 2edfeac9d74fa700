"""A device's own examples as arrays in memory.

Shape legend: N examples, C channels, H height, W width, K classes.

Rules:
- the order of a pass comes from the generator that is passed in, so a step that is redone after a
  crash sees the same batches;
- held-out examples are given apart and never appear in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, Ints


class ArrayData:
    """Labelled examples in two arrays.

    Args:
        x_NCHW: float32 inputs in the model's normalised space, N >= 1.
        y_N: int64 classes, >= 0; of pixels (N, H, W), H and W those of the inputs.
        held_out: labelled examples for evaluation alone, or None.
    """

    def __init__(self, x_NCHW: Floats, y_N: Ints, held_out: Batch | None = None) -> None:
        if len(x_NCHW) == 0 or len(x_NCHW) != len(y_N):
            raise ConfigError(
                f"{len(x_NCHW)} inputs and {len(y_N)} labels: give equally many, one at least"
            )
        if not labels_fit(x_NCHW.shape, y_N.shape):
            raise ConfigError(
                f"inputs of shape {x_NCHW.shape} and labels of shape {y_N.shape}: give a class for "
                "each input, (N,), or for each of its pixels, (N, H, W)"
            )
        if not np.isfinite(x_NCHW).all():
            raise ConfigError("the inputs hold values that are not finite")
        if (y_N < 0).any():
            raise ConfigError("the labels hold a negative class")
        if held_out is not None and held_out.y_N is None:
            raise ConfigError("held-out examples need their classes in y_N")
        self._x = np.ascontiguousarray(x_NCHW, dtype=np.float32)
        self._y = np.ascontiguousarray(y_N, dtype=np.int64)
        self._held_out = held_out or Batch(self._x[:0], self._y[:0])

    def __len__(self) -> int:
        return len(self._y)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        """Yield shuffled batches of `size` for ever; the last of a pass may be smaller.

        A remainder of fewer than two examples is left out of its pass, unless it is all there is:
        BatchNorm has no variance of one example.
        """
        for chosen in choices(rng, len(self._y), size):
            yield Batch(self._x[chosen], self._y[chosen])

    def class_counts(self, classes: int) -> Ints:
        """Return the number of examples, or of pixels, of each class, shape (classes,).

        Raises:
            ConfigError: a label is `classes` or more.
        """
        return counted(self._y, classes)

    def held_out(self) -> Batch:
        """Return the examples that are never trained on."""
        return self._held_out


def choices(rng: np.random.Generator, count: int, size: int) -> Iterator[Ints]:
    """Yield the places of shuffled batches for ever; see `ArrayData.batches` for the remainder.

    Raises:
        ConfigError: the size is below 1.
    """
    if size < 1:
        raise ConfigError(f"batch size {size}; use 1 or more")
    while True:
        order = rng.permutation(count)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            if not len(chosen) < 2 <= min(size, len(order)):
                yield chosen


def labels_fit(inputs: tuple[int, ...], labels: tuple[int, ...]) -> bool:
    """Say whether labels of this shape are classes of inputs of that shape, or of their pixels."""
    pixels = len(inputs) == 4 and labels == (inputs[0], *inputs[2:])
    return pixels or labels == inputs[:1]


def counted(y_N: Ints, classes: int) -> Ints:
    """Return how many labels each class has, shape (classes,); ConfigError on a label beyond."""
    counts_K = np.bincount(y_N.reshape(-1), minlength=classes).astype(np.int64)
    if len(counts_K) > classes:
        raise ConfigError(f"a label is {len(counts_K) - 1}, but there are {classes} classes")
    return counts_K
