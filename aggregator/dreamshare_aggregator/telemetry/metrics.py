"""What Prometheus scrapes: counters of what happened, and gauges read when somebody asks.

Rules:
- a registry of its own: two aggregators of one process do not mix;
- labels come from closed sets (phases, stages, reasons, directions) and from the operator's own
  tasks that are under way; nothing that a device says becomes a label;
- a counter moves when the step is durable, a gauge is read at the scrape.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from dreamshare.driver.trace import Fact, Heard, Reported, Stored
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import DeviceStatus, TaskPhase, TaskReport, TaskStatus
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceDropped,
    DeviceFaulty,
    EpochStarted,
    SumAbandoned,
    SumDone,
)
from dreamshare_aggregator.lease import Held
from dreamshare_aggregator.surroundings import ShardCount
from dreamshare_aggregator.telemetry.rounds import LiveRound
from dreamshare_crypto.secagg.events import AbortReason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STAGE_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_QUICK_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_OVER = (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)


class Readings(Protocol):
    """What is read at a scrape."""

    @property
    def standby(self) -> Held | None:
        """Who is active instead; None when this one is."""
        ...

    def tasks(self) -> tuple[TaskStatus, ...]:
        """Return every task's status."""
        ...

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return every device that came since the start."""
        ...

    def shards(self) -> ShardCount:
        """Return how many shards are here, and how many should be."""
        ...


class Metrics:
    """The numbers of one aggregator."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._readings: Readings | None = None
        self._epsilon: dict[TaskId, float] = {}
        self._closed = self._counter("rounds_closed", "Masked sums that were opened.")
        self._abandoned = self._counter("rounds_abandoned", "Rounds given up.", "reason")
        for reason in AbortReason:
            self._abandoned.labels(_words(reason.name))
        self._epochs = self._counter("epochs", "Epochs that were set up.")
        self._heard = self._counter("messages", "Secure-aggregation messages heard.", "stage")
        self._incidents = self._counter("device_incidents", "What devices did.", "kind")
        for kind in ("dropped", "declined", "faulty"):
            self._incidents.labels(kind)
        self._stages = self._histogram(
            "stage_seconds", "How long a stage of a round took.", _STAGE_BUCKETS, "stage"
        )
        self._lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop ran what was due.", _QUICK_BUCKETS
        )
        self._journal = self._histogram(
            "journal_write_seconds", "From handing records over to their being durable.",
            _QUICK_BUCKETS,
        )  # fmt: skip
        self._registry.register(_AtScrape(self._read))

    def reads(self, readings: Readings) -> None:
        """Say where gauges are read; before the first scrape."""
        self._readings = readings

    def exposition(self) -> bytes:
        """Return everything as Prometheus's text."""
        return generate_latest(_WithoutMoments(self._registry))

    def lagged(self, seconds: float) -> None:
        """The event loop ran something this late."""
        self._lag.observe(seconds)

    def reported(self, report: TaskReport) -> None:
        """A report is durable."""
        task = report.status.task
        if "epsilon" in report.metrics:
            self._epsilon[task] = report.metrics["epsilon"]
        if report.status.phase in _OVER:
            self._epsilon.pop(task, None)

    def took(self, fact: Fact, changed: LiveRound | None) -> None:
        """Count a fact, and the round that it changed."""
        match fact:
            case Heard(stage=stage):
                self._heard.labels(_words(stage.name)).inc()
            case Stored(seconds=seconds):
                self._journal.observe(seconds)
            case Reported(outcome=SumDone()):
                self._closed.inc()
            case Reported(outcome=SumAbandoned(reason=reason)):
                self._abandoned.labels(_words(reason.name)).inc()
            case Reported(outcome=EpochStarted()):
                self._epochs.inc()
            case Reported(outcome=DeviceDropped()):
                self._incidents.labels("dropped").inc()
            case Reported(outcome=DeviceDeclined()):
                self._incidents.labels("declined").inc()
            case Reported(outcome=DeviceFaulty()):
                self._incidents.labels("faulty").inc()
        if changed is not None and changed.over:
            for span in changed.spans:
                self._stages.labels(span.stage.value).observe(span.seconds)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="dreamshare", registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            name, text, labels, namespace="dreamshare", buckets=buckets, registry=self._registry
        )

    def _read(self) -> Iterable[Metric]:
        readings = self._readings
        if readings is None:
            return
        active = {"": float(readings.standby is None)}
        yield _gauge(
            "active", "1 where this aggregator is the active one, 0 in waiting.", "", active
        )
        statuses, devices = readings.tasks(), readings.devices()
        phases = Tally(status.phase.value for status in statuses)
        counts = {phase.value: float(phases[phase.value]) for phase in TaskPhase}
        yield _gauge("tasks", "Tasks by phase.", "phase", counts)
        here = sum(device.connected for device in devices)
        yield _gauge("devices_connected", "Devices with an open connection.", "", {"": float(here)})
        known = float(len(devices))
        yield _gauge("devices_known", "Devices that came since the start.", "", {"": known})
        shards = readings.shards()
        yield _gauge("shards_connected", "Shards that are here.", "", {"": float(shards.here)})
        wanted = {"": float(shards.wanted)}
        yield _gauge("shards_wanted", "Shards that this aggregator keeps alive.", "", wanted)
        moved = CounterMetricFamily(
            "dreamshare_bytes", "Bytes to and from devices since the start.", labels=["direction"]
        )
        moved.add_metric(["up"], sum(device.bytes_up for device in devices))
        moved.add_metric(["down"], sum(device.bytes_down for device in devices))
        yield moved
        spent = {task.hex(): value for task, value in self._epsilon.items()}
        yield _gauge("epsilon_spent", "Epsilon of tasks with noise under way.", "task", spent)


class _WithoutMoments(CollectorRegistry):
    """A registry's metrics without the moments of their making, which double a page for nobody."""

    def __init__(self, inner: CollectorRegistry) -> None:
        super().__init__(auto_describe=False)
        self._inner = inner

    def collect(self) -> Iterable[Metric]:
        for family in self._inner.collect():
            kept = [s for s in family.samples if not s.name.endswith("_created")]
            slim = Metric(family.name, family.documentation, family.type, family.unit)
            slim.samples = kept
            yield slim


class _AtScrape:
    """A collector that reads when it is asked."""

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"dreamshare_{name}", text, labels=[label] if label else [])
    for key, value in values.items():
        family.add_metric([key] if label else [], value)
    return family


def _words(name: str) -> str:
    return name.lower().replace("_", "-")
