"""A number that is learnt by its hypergradient.

Rules:
- only the sign of a slope and its size beside those of before count, so that no unit of the loss
  has to be known;
- the pace halves where a slope turns its sign, and recovers while it does not;
- a number never leaves its range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MEMORY = 0.8
"""Weight of what slopes have been like, beside that of the newest."""

SLOWER, FASTER = 0.5, 1.2


@dataclass(frozen=True, slots=True)
class Dial:
    """One number.

    Attributes:
        value: now.
        least, most: its range.
        pace: largest change in a round, now.
        fastest: largest pace.
        logarithm: whether the changes are those of its logarithm.
        square: mean square of the slopes so far.
        slope: the last one.
    """

    value: float
    least: float
    most: float
    pace: float
    fastest: float
    logarithm: bool = False
    square: float = 0.0
    slope: float = 0.0

    def turned(self, slope: float) -> Dial:
        """Return the dial after a slope: it turns against it."""
        if slope == 0 or not math.isfinite(slope):
            return self
        square = MEMORY * self.square + (1 - MEMORY) * slope * slope if self.square else slope**2
        pace = self.pace
        if slope * self.slope < 0:
            pace *= SLOWER
        elif slope * self.slope > 0:
            pace = min(self.fastest, FASTER * pace)
        change = -pace * max(-1.0, min(1.0, slope / math.sqrt(square)))
        value = self.value * math.exp(change) if self.logarithm else self.value + change
        value = max(self.least, min(self.most, value))
        return replace(self, value=value, pace=pace, square=square, slope=slope)
