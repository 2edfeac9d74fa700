"""A device's own examples, each visited once, or one class at a time.

Shape legend: N examples, C channels, H height, W width, K classes.

Rules: data may be larger than memory: what is kept is a batch, or a few examples of each class.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints

READ = 512
"""Examples that are looked at together."""

KEPT = 128
"""Examples of a class that wait to be drawn, at most."""


def once(data: Data, most: int) -> Iterator[tuple[Floats, Ints]]:
    """Yield every example once, or `most` of them where there are more; in an order of no matter.

    A pass leaves out a remainder of one (`ArrayData.batches`), so batches are sized to have none.

    Raises:
        ConfigError: an example comes without its class.
    """
    total = len(data)
    size = min(READ, total)
    while size > 2 and total % size == 1:
        size -= 1
    seen, most = 0, min(most, total)
    batches: Iterator[Batch] = data.batches(np.random.default_rng(0), size)
    while seen < most:
        batch = next(batches).first(most - seen)
        y_N = _classes(batch)
        seen += len(y_N)
        yield batch.x_NCHW, y_N


class ByClass:
    """Own examples of one class at a time, each about equally often.

    Args:
        data: the device's own.
        rng: of the order.
        size: of the batches that are read.
        classes: K.
    """

    def __init__(self, data: Data, rng: np.random.Generator, size: int, classes: int) -> None:
        self._batches = data.batches(rng, size)
        self._most = -(-len(data) // size) + 1
        self._waiting = [deque[Floats](maxlen=KEPT) for _ in range(classes)]

    def take(self, label: int) -> Floats | None:
        """Return an example (C, H, W) of a class; None where a whole pass has none.

        Raises:
            ConfigError: the data have no classes, or one that the task does not know.
        """
        for _ in range(self._most):
            if self._waiting[label]:
                return self._waiting[label].popleft()
            self._read()
        return self._waiting[label].popleft() if self._waiting[label] else None

    def _read(self) -> None:
        batch = next(self._batches)
        for x_CHW, y in zip(batch.x_NCHW, _classes(batch).tolist(), strict=True):
            if y >= len(self._waiting):
                raise ConfigError(f"a label is {y}, but there are {len(self._waiting)} classes")
            self._waiting[y].append(x_CHW)


def _classes(batch: Batch) -> Ints:
    if batch.y_N is None:
        raise ConfigError("a device's own examples need their classes in y_N")
    return batch.y_N
