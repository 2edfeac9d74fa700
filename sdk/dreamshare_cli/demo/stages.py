"""Where a run stands, told from counts alone: masked sums opened and Tells spread."""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_cli.demo.methods import Method


@dataclass(frozen=True, slots=True)
class Stage:
    """A moment of a run.

    Attributes:
        method: that runs.
        sums: masked sums opened.
        tells: Tells that the devices learnt from.
    """

    method: Method
    sums: int = 0
    tells: int = 0

    @property
    def ended(self) -> int:
        """Steps that ended."""
        return min(self.sums + self.tells, len(self.method.steps))

    @property
    def round(self) -> int:
        """Rounds that ended: cycles of CoDream."""
        return sum(step.lesson for step in self.method.steps[: self.ended])

    @property
    def words(self) -> str:
        """What is going on now."""
        steps = self.method.steps
        return steps[self.ended].words if self.ended < len(steps) else "done"

    @property
    def part(self) -> float:
        """How much is done, 0 to 1."""
        return sum(step.weight for step in self.method.steps[: self.ended]) / self.method.weight

    @property
    def middle(self) -> bool:
        """Whether half of the run is over."""
        return self.ended >= self.method.middle
