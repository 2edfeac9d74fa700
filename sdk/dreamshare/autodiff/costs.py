"""What a computation costs: its rounds, and the arrays that travel for each.

Rules:
- `down` are the bytes of a request's arrays, `up` those of a device's masked vector, both for each
  device; what frames, set-up and agreement add is not in them;
- a trace runs the computation with made-up sums: it counts right where the number of rounds does
  not depend on values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.autodiff.config import AutodiffConfig, Program
from dreamshare.algorithms.base import Question
from dreamshare.autodiff.rounds import Answer
from dreamshare.learning.programs import Wanted
from dreamshare.protocol.messages import Cohort
from dreamshare.updates import Array
from dreamshare_crypto.encoding import FieldParams


@dataclass(frozen=True, slots=True)
class RoundCost:
    """One round.

    Attributes:
        step: what was asked.
        down: bytes of arrays to each device.
        up: bytes of each device's masked vector.
        survivors: devices in the sum; 0 in a trace.
    """

    step: str
    down: int
    up: int
    survivors: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a computation will ask for.

    Attributes:
        rounds: in order.
        cohort: devices that it needs.
    """

    rounds: tuple[RoundCost, ...]
    cohort: Cohort

    @property
    def down(self) -> int:
        """Bytes of arrays to each device."""
        return sum(each.down for each in self.rounds)

    @property
    def up(self) -> int:
        """Bytes of each device's vectors."""
        return sum(each.up for each in self.rounds)

    def __str__(self) -> str:
        lines = [f"{'round':>5}  {'down':>10}  {'up':>10}  step"]
        lines += [
            f"{i:>5}  {each.down:>10}  {each.up:>10}  {each.step}"
            for i, each in enumerate(self.rounds, 1)
        ]
        lines.append(f"{'sum':>5}  {self.down:>10}  {self.up:>10}  bytes of arrays, each device")
        lines.append("state on devices between rounds: none")
        lines.append(f"cohort: {self.cohort.least} to {self.cohort.most} devices")
        return "\n".join(lines)


def cost_of(
    program: Program, wanted: Wanted, question: Question, cohort: Cohort, survivors: int = 0
) -> RoundCost:
    """Return what a round costs each device."""
    fields = program.fields(wanted)
    sizes = (FieldParams.create(f.size, f.bits, f.bound, cohort.most).words for f in fields)
    down = sum(array.nbytes for array in question.tensors.values())
    return RoundCost(wanted.step, down, 8 * (sum(sizes) + 1), survivors)


class Tracing:
    """Rounds that nobody answers; see the module's rules."""

    def __init__(self, config: AutodiffConfig) -> None:
        self._config = config
        self._rng = np.random.default_rng(0)

    def ask(self, question: Question) -> Answer:
        wanted = Wanted.parse(question.step)
        fields = self._config.program(wanted.program).fields(wanted)
        sums: Mapping[str, Array] = {
            f.name: np.asarray(f.bound * self._rng.uniform(0.1, 0.2, f.shape)) for f in fields
        }
        return Answer({**sums, "clipped": np.zeros(())}, frozenset(), 0)
