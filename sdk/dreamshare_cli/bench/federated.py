"""One cell of an algorithm: its devices through the real machines, masks on.

Rules:
- what is counted was on the (memory) wire: frames, signatures and acknowledgements included;
- bytes up to the start of an epoch are set-up, whatever they carried;
- a round is over when the algorithm's cycle is another one: nothing has been asked since. What is
  only told after the last sum belongs to the last round, whose line is then written once more.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dreamshare.algorithms.base import Draws
from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.learning.base import Learner
from dreamshare.payloads.gallery import Gallery
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import EpochStarted, SumDone, TaskOutcome
from dreamshare.simulate import (
    Moment,
    SimulatedDevice,
    SimulationOptions,
    SimulationResult,
    simulate,
)
from dreamshare.updates import PublicArray
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.measuring import Student, accuracy, validated_at
from dreamshare_cli.bench.partitions import Dealt
from dreamshare_cli.bench.rows import Pictures, Round

Counts = tuple[int, ...]


@dataclass(slots=True)
class Ledger:
    """Bytes of each device, split into rounds and set-ups as reports come."""

    seen: tuple[Counts, Counts] = ((), ())
    setup: tuple[Counts, Counts] = ((), ())

    def follow(self, report: TaskOutcome, now: tuple[Counts, Counts]) -> None:
        """Charge what travelled since the last report to a set-up, where this ends one."""
        if isinstance(report, EpochStarted):
            self.setup = (
                _added(self.setup[0], _less(now[0], self.seen[0])),
                _added(self.setup[1], _less(now[1], self.seen[1])),
            )
        self.seen = now


@dataclass(slots=True)
class Follower:
    """Turns a simulation's reports into rounds.

    Attributes:
        cell: what is run.
        learners: of the devices.
        dealt: their data.
        student: learns on the side, or None.
        tell: is given each round.
    """

    cell: Cell
    learners: Sequence[Learner]
    dealt: Dealt
    student: Student | None
    tell: Callable[[Round], None]
    ledger: Ledger = field(default_factory=Ledger)
    rounds: int = 0
    cycle: int = 0
    asked: bool = False

    def follow(self, moment: Moment) -> None:
        """Count bytes; measure where a round has just ended."""
        self.ledger.follow(moment.report, counted(moment))
        self.asked = self.asked or isinstance(moment.report, SumDone)
        if moment.cycle == self.cycle:
            return
        self.cycle = moment.cycle
        last = moment.cycle < 0
        if self.asked or not self.rounds:
            self.rounds += 1
        self.asked = False
        if last or self.rounds % self.cell.evaluate_every == 0:
            self._measure(moment)

    def _measure(self, moment: Moment) -> None:
        up, down = counted(moment)
        setup_up, setup_down = (_padded(each, len(up)) for each in self.ledger.setup)
        student = self.student
        if student is not None:
            student.learn(moment.algorithm, moment.state)
        known = student is not None and student.taught
        self.tell(
            Round(
                self.rounds,
                validated_at(moment.algorithm, moment.state, self.learners, self.dealt),
                accuracy(student.learner, self.dealt.validation) if student and known else None,
                _less(up, setup_up),
                _less(down, setup_down),
                setup_up,
                setup_down,
                tuple(round(seconds, 3) for seconds in moment.compute_s),
            )
        )


def run_federated(
    cell: Cell,
    config: object,
    follower: Follower,
    stopwatch: Callable[[], float],
) -> SimulationResult:
    """Run the cell's algorithm to its end.

    Raises:
        ConfigError: config and devices do not fit together.
        DreamshareError: the task failed.
    """
    devices = [
        SimulatedDevice(learner, data, cell.seed)
        for learner, data in zip(follower.learners, follower.dealt.data, strict=True)
    ]
    everybody = Cohort(least=len(devices), most=len(devices))
    options = SimulationOptions(
        on_moment=follower.follow,
        stopwatch=stopwatch,
    )
    return simulate(config, devices, cohort=everybody, seed=cell.seed, options=options)


def counted(moment: Moment) -> tuple[Counts, Counts]:
    """Return the bytes up and down of each device so far."""
    return (
        tuple(status.bytes_up for status in moment.statuses),
        tuple(status.bytes_down for status in moment.statuses),
    )


def pictures_of(
    config: object, arrays: Mapping[str, PublicArray], low: float, high: float
) -> Pictures | None:
    """Return one picture for each class of the last cycle, where the algorithm draws."""
    algorithm = algorithm_of(config)
    gallery = algorithm.gallery_of(arrays) if isinstance(algorithm, Draws) else None
    return None if gallery is None or not len(gallery) else _pictures(gallery, low, high)


def _pictures(gallery: Gallery, low: float, high: float) -> Pictures:
    last = np.flatnonzero(gallery.cycles_N == gallery.cycles_N.max())
    labels = gallery.labels_N[last]
    firsts = [int(last[labels == label][0]) for label in np.unique(labels)]
    x_NCHW = gallery.dreams_NCHW[firsts]
    shades = np.rint(255 * np.clip((x_NCHW - low) / (high - low), 0, 1)).astype(np.uint8)
    count, channels, height, width = shades.shape
    return Pictures(
        (count, channels, height, width),
        tuple(int(label) for label in gallery.labels_N[firsts]),
        base64.b64encode(shades.tobytes()).decode(),
    )


def _added(one: Counts, other: Counts) -> Counts:
    size = max(len(one), len(other))
    return tuple(a + b for a, b in zip(_padded(one, size), _padded(other, size), strict=True))


def _less(one: Counts, other: Counts) -> Counts:
    return tuple(a - b for a, b in zip(one, _padded(other, len(one)), strict=True))


def _padded(counts: Counts, size: int) -> Counts:
    return counts + (0,) * (size - len(counts))
