"""Where a CoDream run stands, told from counts alone: masked sums opened and Tells spread.

count, [warm-up], ( dream x S, label, [acquire] ) x cycles        sums; [Tells] in brackets
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare.algorithms.codream import CodreamConfig


@dataclass(frozen=True, slots=True)
class Stage:
    """A moment of a run.

    Attributes:
        config: of the run.
        sums: masked sums opened.
        tells: Tells that the devices learnt from.
    """

    config: CodreamConfig
    sums: int = 0
    tells: int = 0

    @property
    def cycle(self) -> int:
        """Cycles that ended."""
        return max(0, self.tells - 1)

    @property
    def sums_in_cycle(self) -> int:
        """Sums opened in the cycle that is under way."""
        return max(0, self.sums - 1 - self.cycle * (self.config.dream_steps + 1))

    @property
    def words(self) -> str:
        """What is going on now."""
        if self.sums == 0:
            return "agreeing on keys and counting labels under masks"
        if self.tells == 0:
            return "each training on its own digits"
        if self.cycle >= self.config.cycles:
            return "done"
        if self.sums_in_cycle < self.config.dream_steps:
            return "dreaming together"
        if self.sums_in_cycle == self.config.dream_steps:
            return "labelling the dreams together"
        return "learning from the dreams"

    @property
    def part(self) -> float:
        """How much is done, 0 to 1; a Tell counts like some sums, because devices train then."""
        whole = 1 + self.config.cycles * (self.config.dream_steps + 1)
        weight = self.config.dream_steps / 2
        done = self.sums + weight * self.tells
        return min(1.0, done / (whole + weight * (self.config.cycles + 1)))

    @property
    def middle(self) -> bool:
        """Whether half of the cycles are over and a third of the next one's dream steps taken."""
        return (
            self.tells > 0
            and self.cycle >= self.config.cycles // 2
            and self.sums_in_cycle > self.config.dream_steps // 3
        )
