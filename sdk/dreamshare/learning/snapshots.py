"""Examples that change, such as a camera's last hour, kept as they were while they are needed.

    data = ChangingData(lambda: read_examples(), most=8, ttl_s=600.0, clock=SystemClock())

Rules:
- whoever asks without a token sees the examples of this moment;
- a value and its derivatives name one token, and see the same examples; where these are gone, the
  newest `most` are kept for `ttl_s`, the derivative is refused: never one of other examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Ints


class ChangingData:
    """See the module's docstring, and `dreamshare.learning.base.Data` and `KeepsSnapshots`.

    Args:
        current: returns the examples of this moment, which do not change any more themselves.
        most: snapshots that are kept, >= 1.
        ttl_s: seconds for which one is kept, > 0.
        clock: what time it is.
    """

    def __init__(
        self, current: Callable[[], Data], *, most: int = 8, ttl_s: float = 600.0, clock: Clock
    ) -> None:
        if most < 1 or not ttl_s > 0:
            raise ConfigError(f"most is {most}, ttl_s {ttl_s}: keep at least one, for some time")
        self._current = current
        self._most = most
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: dict[str, tuple[float, Data]] = {}

    def __len__(self) -> int:
        return len(self._current())

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        """Yield shuffled batches of the examples of this moment."""
        return self._current().batches(rng, size)

    def class_counts(self, classes: int) -> Ints:
        """Return the number of examples of each class."""
        return self._current().class_counts(classes)

    def held_out(self) -> Batch:
        """Return the examples that are never trained on."""
        return self._current().held_out()

    def snapshot(self, token: str, *, begin: bool) -> Data:
        """Return the examples as they were when this token was first named.

        Raises:
            ConfigError: they are gone.
        """
        now = self._clock.now()
        self._kept = {t: kept for t, kept in self._kept.items() if kept[0] > now}
        if token in self._kept:
            return self._kept[token][1]
        if not begin:
            raise ConfigError(
                "the examples that this derivative's value was computed of are gone: another value "
                "has to be asked for, or snapshots kept for longer"
            )
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        data = self._current()
        self._kept[token] = (now + self._ttl_s, data)
        return data
