"""What a demo found out, as values; `figures` has the JSON of it.

Rules:
- accuracies are percent of held-out test digits, 0 to 100; `None` where a device died before it
  could tell, or where an algorithm was not run;
- all means are over the same devices: those that were alive at the end;
- `secure_aggregation` is decided by `confirm`, from closed sessions on both sides, and never set by
  hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Part:
    """One device's part in the run of one algorithm.

    Attributes:
        curve: accuracy after the warm-up, then after each lesson; may be empty.
        bytes_up, bytes_down: application bytes to and from the aggregator, frames included.
        sums: masked sums that it saw closed.
        over: how the run ended for it; empty before.
    """

    curve: tuple[float, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    sums: int = 0
    over: str = ""

    @property
    def reached(self) -> float | None:
        """The last accuracy; None before the first."""
        return self.curve[-1] if self.curve else None


@dataclass(frozen=True, slots=True)
class ClientResult:
    """One device at the end of the demo; the figures come from its own report file.

    Attributes:
        id: the device's id, 32 hex digits.
        name: what people call it, e.g. "device-1".
        architecture: of its net, e.g. "VGG-like".
        runtime: what it computed with, "torch" or "onnx"; empty where it died before its net was
            built.
        examples, tested: its training digits, and the test digits it was measured on.
        parameters: of its net.
        independent: of a copy that trained on with local data alone, as many steps.
        balanced: the same with its label histogram used (balanced softmax).
        independent_curve, balanced_curve: of the two copies, by cycles; may be empty.
        alive: whether it was there at the end.
        parts: in each algorithm, by name.
    """

    id: str
    name: str
    architecture: str
    runtime: str
    examples: int
    tested: int
    parameters: int
    independent: float | None
    balanced: float | None
    independent_curve: tuple[float, ...]
    balanced_curve: tuple[float, ...]
    alive: bool
    parts: Mapping[str, Part] = field(default_factory=dict)

    def part(self, name: str) -> Part:
        """Return its part in an algorithm; an empty one where it had none."""
        return self.parts.get(name, Part())

    def reached(self, name: str) -> float | None:
        """Return the accuracy that its net reached in an algorithm."""
        return self.part(name).reached

    @property
    def best(self) -> float | None:
        """The highest of the algorithms' accuracies."""
        return max(
            (v for name in self.parts if (v := self.reached(name)) is not None), default=None
        )


@dataclass(frozen=True, slots=True)
class RunResult:
    """The run of one algorithm, as the aggregator reported it.

    Attributes:
        name: "moments" or "codream".
        lessons: how far the baselines are at each place of a device's curve (`Method.lessons`).
        rounds: lessons after the warm-up; CoDream's cycles.
        aggregations: masked sums that were opened.
        abandoned: sums that were begun and given up.
        dropped: devices that were lost on the way.
        seconds: from submitting it to its result.
        secure_aggregation: see `confirm`.
    """

    name: str
    lessons: tuple[int, ...]
    rounds: int
    aggregations: int
    abandoned: int
    dropped: int
    seconds: float
    secure_aggregation: bool


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came of a demo.

    Attributes:
        clients: one per device that was started, in order.
        runs: one per algorithm, in order.
        seconds: wall time from the command to the last report.
        runtime: what the devices computed with: "torch", "onnx" or "mixed".
        seed: of everything.
        out: the folder.
    """

    clients: tuple[ClientResult, ...]
    runs: tuple[RunResult, ...]
    seconds: float
    runtime: str
    seed: int
    out: str

    def __post_init__(self) -> None:
        if not any(c.alive for c in self.clients):
            raise ConfigError("no device was alive at the end, so there is nothing to report")
        if not self.runs:
            raise ConfigError("no algorithm was run, so there is nothing to report")

    @property
    def survivors(self) -> tuple[ClientResult, ...]:
        """The devices that were alive at the end; every mean is over these."""
        return tuple(c for c in self.clients if c.alive)

    @property
    def mean_independent(self) -> float:
        """Percent."""
        return _mean([c.independent for c in self.survivors], "independent")

    @property
    def mean_balanced(self) -> float:
        """Percent; label histogram only."""
        return _mean([c.balanced for c in self.survivors], "balanced")

    def mean(self, name: str) -> float:
        """Return percent of an algorithm that was run; raises ConfigError for another one."""
        return _mean([c.reached(name) for c in self.survivors], name)

    @property
    def best(self) -> RunResult:
        """The run with the highest mean."""
        return max(self.runs, key=lambda run: self.mean(run.name))

    def mean_before(self, name: str) -> float:
        """Return percent after the warm-up of an algorithm that was run."""
        starts = [c.part(name).curve[:1] for c in self.survivors]
        return _mean([start[0] if start else None for start in starts], "before")

    @property
    def dropped(self) -> int:
        """Devices that were lost on the way, in all runs."""
        return sum(run.dropped for run in self.runs)

    @property
    def secure_aggregation(self) -> bool:
        """Whether every run's is confirmed."""
        return all(run.secure_aggregation for run in self.runs)

    def bytes_up(self, name: str) -> int:
        """Return the mean over the survivors."""
        return round(sum(c.part(name).bytes_up for c in self.survivors) / len(self.survivors))

    def bytes_down(self, name: str) -> int:
        """Return the mean over the survivors."""
        return round(sum(c.part(name).bytes_down for c in self.survivors) / len(self.survivors))

    @property
    def test_examples(self) -> int:
        """Held-out digits that each accuracy was measured on, the fewest of any survivor."""
        return min(c.tested for c in self.survivors)


def confirm(aggregator_says: bool, aggregations: int, sums_seen: Sequence[int]) -> bool:
    """Say whether every sum was a closed secure-aggregation round, by both sides' accounts.

    Args:
        aggregator_says: `TaskStatus.secure_aggregation` of the finished task.
        aggregations: masked sums that the aggregator says it opened.
        sums_seen: closed rounds that each surviving device counted itself.

    A device that never took part in a closed round, or that saw fewer than the aggregator claims to
    have opened, contradicts the claim: then some sum was made without it.
    """
    return (
        aggregator_says
        and aggregations > 0
        and len(sums_seen) > 0
        and all(seen == aggregations for seen in sums_seen)
    )


def _mean(values: Sequence[float | None], name: str) -> float:
    known = [v for v in values if v is not None]
    if len(known) != len(values):
        raise ConfigError(f"a device that was alive at the end did not report {name!r}")
    return sum(known) / len(known)
