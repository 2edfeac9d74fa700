"""What a demo found out, as values and as the JSON that `--json` prints.

Rules:
- accuracies are percent of held-out test digits, 0 to 100; `None` where a device died before it
  could tell;
- the three means are over the same devices: those that were alive at the end;
- `secure_aggregation` is decided by `confirm`, from closed sessions on both sides, and never set by
  hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dreamshare.errors import ConfigError


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
        before: accuracy after local warm-up, when the sharing began.
        independent: of a copy that trained on with local data alone, as many steps.
        balanced: the same with its label histogram used (balanced softmax).
        codream: of the net that learnt from shared dreams.
        curve: accuracy after each cycle, `before` first.
        independent_curve, balanced_curve: of the two copies, the same places; may be empty.
        alive: whether it was there at the end.
        bytes_up, bytes_down: application bytes to and from the aggregator, frames included.
        sums: masked sums that it saw closed.
    """

    id: str
    name: str
    architecture: str
    runtime: str
    examples: int
    tested: int
    parameters: int
    before: float | None
    independent: float | None
    balanced: float | None
    codream: float | None
    curve: tuple[float, ...]
    independent_curve: tuple[float, ...]
    balanced_curve: tuple[float, ...]
    alive: bool
    bytes_up: int
    bytes_down: int
    sums: int


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Everything that `result.json` holds.

    Attributes:
        clients: one per device that was started, in order.
        rounds: CoDream cycles that ended.
        aggregations: masked sums that were opened.
        abandoned: sums that were begun and given up.
        dropped: devices that were lost on the way.
        seconds: wall time from the command to the last report.
        secure_aggregation: see `confirm`.
        runtime: what the devices computed with: "torch", "onnx" or "mixed".
        seed: of everything.
        out: the folder.
    """

    clients: tuple[ClientResult, ...]
    rounds: int
    aggregations: int
    abandoned: int
    dropped: int
    seconds: float
    secure_aggregation: bool
    runtime: str
    seed: int
    out: str

    def __post_init__(self) -> None:
        if not any(c.alive for c in self.clients):
            raise ConfigError("no device was alive at the end, so there is nothing to report")

    @property
    def survivors(self) -> tuple[ClientResult, ...]:
        """The devices that were alive at the end; every mean is over these."""
        return tuple(c for c in self.clients if c.alive)

    @property
    def mean_before(self) -> float:
        """Percent."""
        return _mean([c.before for c in self.survivors], "before")

    @property
    def mean_independent(self) -> float:
        """Percent."""
        return _mean([c.independent for c in self.survivors], "independent")

    @property
    def mean_balanced(self) -> float:
        """Percent; label histogram only."""
        return _mean([c.balanced for c in self.survivors], "balanced")

    @property
    def mean_codream(self) -> float:
        """Percent."""
        return _mean([c.codream for c in self.survivors], "codream")

    @property
    def bytes_up_per_client(self) -> int:
        """Mean over the survivors."""
        return round(sum(c.bytes_up for c in self.survivors) / len(self.survivors))

    @property
    def bytes_down_per_client(self) -> int:
        """Mean over the survivors."""
        return round(sum(c.bytes_down for c in self.survivors) / len(self.survivors))

    @property
    def test_examples(self) -> int:
        """Held-out digits that each accuracy was measured on, the fewest of any survivor."""
        return min(c.tested for c in self.survivors)

    def to_json(self, indent: int | None = None) -> str:
        """Return one JSON object; accuracies with two decimals."""
        body = {
            "mean_independent": _short(self.mean_independent),
            "mean_balanced": _short(self.mean_balanced),
            "mean_codream": _short(self.mean_codream),
            "mean_before": _short(self.mean_before),
            "rounds": self.rounds,
            "aggregations": self.aggregations,
            "abandoned": self.abandoned,
            "dropped": self.dropped,
            "bytes_up_per_client": self.bytes_up_per_client,
            "bytes_down_per_client": self.bytes_down_per_client,
            "seconds": round(self.seconds, 1),
            "secure_aggregation": self.secure_aggregation,
            "runtime": self.runtime,
            "seed": self.seed,
            "devices": len(self.clients),
            "test_examples": self.test_examples,
            "out": self.out,
            "clients": [_client(c) for c in self.clients],
        }
        return json.dumps(body, indent=indent, allow_nan=False)


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


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _client(c: ClientResult) -> dict[str, object]:
    return {
        "id": c.id,
        "name": c.name,
        "architecture": c.architecture,
        "runtime": c.runtime,
        "examples": c.examples,
        "parameters": c.parameters,
        "before": _short(c.before),
        "independent": _short(c.independent),
        "balanced": _short(c.balanced),
        "codream": _short(c.codream),
        "curve": [round(v, 2) for v in c.curve],
        "independent_curve": [round(v, 2) for v in c.independent_curve],
        "balanced_curve": [round(v, 2) for v in c.balanced_curve],
        "alive": c.alive,
        "bytes_up": c.bytes_up,
        "bytes_down": c.bytes_down,
        "sums": c.sums,
    }
