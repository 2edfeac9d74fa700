"""What a simulation is given and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from dreamshare.algorithms.base import Algorithm
from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.binding import Lookup
from dreamshare.driver.front import Observer
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Deadlines, DeviceStatus
from dreamshare.protocol.outcomes import DeviceOutcome, TaskOutcome
from dreamshare.updates import PublicArray
from dreamshare_crypto.floor import Floor

LossStage = Literal["", "advertise", "shares", "masked_input", "agree", "unmask_response"]
"""Instead of sending which message a device vanishes (docs/protocol.md, section 5); "" for none."""

Corruption = Literal["", "flipped", "random"]
"""What a corrupt device answers: the negative of its answer, or numbers anywhere in the bounds."""


@dataclass(frozen=True, slots=True)
class Traits:
    """How a virtual device behaves, apart from what it computes.

    Attributes:
        arrives_s: simulated seconds until it connects, >= 0.
        compute_s: simulated seconds that an answer takes it, >= 0; above the round's deadline it
            is a straggler that misses it.
        lost_at: where it vanishes for good: process gone, no goodbye.
        corrupt: what is wrong with its answers; masks and signatures stay in order.
    """

    arrives_s: float = 0.0
    compute_s: float = 0.0
    lost_at: LossStage = ""
    corrupt: Corruption = ""

    def __post_init__(self) -> None:
        if not (0 <= self.arrives_s < math.inf and 0 <= self.compute_s < math.inf):
            raise ConfigError("a device arrives and computes within finite seconds >= 0")
        if self.lost_at not in get_args(LossStage) or self.corrupt not in get_args(Corruption):
            known = ", ".join(filter(None, get_args(LossStage) + get_args(Corruption)))
            raise ConfigError(
                f"a device is lost at {self.lost_at!r}, corrupt {self.corrupt!r}: use {known}"
            )


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """One virtual device.

    Attributes:
        learner: its own; its weights change when it learns.
        data: its own examples.
        seed: of its sampling, >= 0; with its place in the list it makes the device's randomness.
        traits: how it behaves.
    """

    learner: Learner
    data: Data
    seed: int = 0
    traits: Traits = Traits()


@dataclass(frozen=True, slots=True)
class Kill:
    """A device whose process dies for good.

    Attributes:
        device: its place in the list.
        at_answer: it dies when it is asked for this answer, counted from 0, in mid-round.
    """

    device: int
    at_answer: int

    def __post_init__(self) -> None:
        if self.device < 0 or self.at_answer < 0:
            raise ConfigError("a kill counts devices and answers from 0")


@dataclass(frozen=True, slots=True)
class Moment:
    """A report and what can be seen once the algorithm's state has followed it.

    No device computes meanwhile: who looks may measure the learners.

    Attributes:
        report: the coordinator's.
        algorithm: what is run.
        state: of the algorithm, merged.
        cycle: of what it wants next; -1 once it is done.
        statuses: of each device that came, as in `SimulationResult`; byte counts so far.
        compute_s: what `SimulationOptions.stopwatch` counted for each device so far.
    """

    report: TaskOutcome
    algorithm: Algorithm[object]
    state: object
    cycle: int
    statuses: tuple[DeviceStatus, ...]
    compute_s: tuple[float, ...]


def no_watch() -> float:
    """Stand still: the default stopwatch, which keeps a run a function of its arguments."""
    return 0.0


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """What a run may change.

    Attributes:
        deadlines: of the task's stages.
        floor: what every device insists on.
        privacy: noise of the task; None for none.
        kills: devices that die on the way.
        lookup: where algorithms come from; the catalogue by default.
        observer: sees every frame that the aggregator received.
        on_report: called with each report of the coordinator, at once.
        on_moment: called after each report, when the algorithm's state has followed it and before
            anything else is asked of a device.
        stopwatch: seconds of a clock of the caller's; read before and after a device computes.
    """

    deadlines: Deadlines = Deadlines()
    floor: Floor = field(default_factory=Floor)
    privacy: Privacy | None = None
    kills: Sequence[Kill] = ()
    lookup: Lookup = algorithm_from
    observer: Observer | None = None
    on_report: Callable[[TaskOutcome], None] | None = None
    on_moment: Callable[[Moment], None] | None = None
    stopwatch: Callable[[], float] = no_watch


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What came of a run.

    Attributes:
        arrays, metrics, advice: of the algorithm's Done.
        reports: the coordinator's, in order.
        outcomes: of each device, in order; those of a killed device end early.
        statuses: of each device, as the aggregator sees it, byte counts included.
        aggregations: closed masked sums.
        simulated_s: how far the clock went.
        compute_s: what the stopwatch counted for each device, seconds.
    """

    arrays: Mapping[str, PublicArray]
    metrics: Mapping[str, float]
    reports: tuple[TaskOutcome, ...]
    outcomes: tuple[tuple[DeviceOutcome, ...], ...]
    statuses: tuple[DeviceStatus, ...]
    aggregations: int
    simulated_s: float
    compute_s: tuple[float, ...]
    advice: str = ""
