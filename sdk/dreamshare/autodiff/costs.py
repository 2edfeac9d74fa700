"""What a computation costs: its rounds, the arrays that travel for each, and the bytes on the wire.

Rules:
- `down` are the bytes of a request's arrays, `up` those of a device's masked vector, both for each
  device; what `wire` and `setup` count beside them, and what not, says `traffic`;
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
from dreamshare.autodiff.traffic import Scales, Traffic
from dreamshare.learning.programs import Wanted
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.selection import places_of
from dreamshare.updates import Array
from dreamshare_crypto.encoding import FieldParams


@dataclass(frozen=True, slots=True)
class RoundCost:
    """One round.

    Attributes:
        step: what was asked.
        down: bytes of arrays to each device.
        up: bytes of each device's masked vector.
        wire: bytes of the round's frames, to and from each device.
        setup: the same of the epoch's set-up, where this round is its first; else zeros.
        survivors: devices in the sum; 0 in a trace.
    """

    step: str
    down: int
    up: int
    wire: Traffic = Traffic()
    setup: Traffic = Traffic()
    survivors: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a computation will ask for.

    Attributes:
        rounds: in order.
        cohort: devices that it needs.
        roster: devices that frames were counted for.
        tape_s: seconds for which devices keep the arguments of values.
    """

    rounds: tuple[RoundCost, ...]
    cohort: Cohort
    roster: int
    tape_s: float = 0.0

    @property
    def down(self) -> int:
        """Bytes of arrays to each device."""
        return sum(each.down for each in self.rounds)

    @property
    def up(self) -> int:
        """Bytes of each device's vectors."""
        return sum(each.up for each in self.rounds)

    @property
    def wire(self) -> Traffic:
        """Bytes of all frames to and from each device, set-up included."""
        return sum((each.wire + each.setup for each in self.rounds), Traffic())

    def __str__(self) -> str:
        lines = [
            f"{'round':>5}  {'down':>10}  {'up':>10}  {'wire down':>10}  {'wire up':>10}  step"
        ]
        for i, each in enumerate(self.rounds, 1):
            if each.setup != Traffic():
                lines.append(_line("", "", "", each.setup, "set-up of an epoch"))
            lines.append(_line(i, each.down, each.up, each.wire, each.step))
        lines.append(_line("sum", self.down, self.up, self.wire, "bytes, each device"))
        kept = f"the arguments of values, for {self.tape_s:g} s" if self.tape_s else "none"
        lines.append(f"state on devices between rounds: {kept}")
        lines.append(
            f"cohort: {self.cohort.least} to {self.cohort.most} devices; counted for {self.roster}"
        )
        return "\n".join(lines)


def _line(first: object, down: object, up: object, wire: Traffic, text: str) -> str:
    return f"{first:>5}  {down:>10}  {up:>10}  {wire.down:>10}  {wire.up:>10}  {text}"


class Ledger:
    """Counts the rounds of a session.

    Args:
        scales: weigh its messages.
        cohort: who takes part.
        rounds: those that were asked for already.
        roster: devices of the epoch; 0 before one is known.
    """

    def __init__(
        self,
        scales: Scales,
        cohort: Cohort,
        rounds: tuple[RoundCost, ...] = (),
        roster: int = 0,
    ) -> None:
        self._scales = scales
        self._cohort = cohort
        self._rounds = list(rounds)
        self._roster = roster

    @property
    def rounds(self) -> tuple[RoundCost, ...]:
        """Every round so far, in order."""
        return tuple(self._rounds)

    @property
    def roster(self) -> int:
        """Devices that frames are counted for: those of the epoch, or as many as there may be."""
        return self._roster or places_of(self._cohort)

    def copy(self, devices: int) -> Ledger:
        """Return one that goes on from here by itself, for so many devices; 0: as here."""
        return Ledger(self._scales, self._cohort, self.rounds, devices or self._roster)

    def note(self, program: Program, wanted: Wanted, question: Question, answer: Answer) -> None:
        """Take a round down."""
        self._roster = answer.roster or self._roster
        fields = program.fields(wanted)
        most = self._cohort.most
        sizes = (FieldParams.create(f.size, f.bits, f.bound, most).words for f in fields)
        cost = RoundCost(
            step=wanted.step,
            down=sum(array.nbytes for array in question.tensors.values()),
            up=8 * (sum(sizes) + 1),
            wire=self._scales.round(wanted, question, self.roster),
            setup=self._scales.setup(len(self._rounds), self.roster) or Traffic(),
            survivors=len(answer.survivors),
        )
        self._rounds.append(cost)


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
