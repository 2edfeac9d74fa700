"""How long to wait before the next attempt to connect.

Rules:
- the wait doubles up to a limit and is drawn uniformly from its upper half, so that a fleet that
  lost one aggregator does not come back in one instant;
- a connection that lasted resets it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """Seconds: the first wait, the longest wait, and how long a good connection lasts."""

    first_s: float = 0.5
    longest_s: float = 60.0
    good_after_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s:
            raise ConfigError("back-off: 0 < first_s <= longest_s must hold")


class Backoff:
    """The waits of one link, one after the other."""

    def __init__(self, settings: BackoffSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self._attempts = 0

    def next_wait(self, lasted_s: float) -> float:
        """Return how many seconds to wait after an attempt whose connection lasted `lasted_s`."""
        if lasted_s >= self._settings.good_after_s:
            self._attempts = 0
        wait = min(self._settings.longest_s, self._settings.first_s * 2.0**self._attempts)
        self._attempts = min(self._attempts + 1, 32)
        return wait * self._rng.uniform(0.5, 1.0)
