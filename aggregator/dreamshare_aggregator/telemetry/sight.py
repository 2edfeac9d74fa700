"""Everything that looks at an aggregator, behind the two calls that it makes.

    sight = Sight(clock)
    aggregator = Aggregator(..., Surroundings(trace=sight.took), watch=sight.reported)
    sight.reads(aggregator)

Rules: whoever looks is told after the step is durable, in order, and cannot disturb it: it is given
facts without payloads and public reports.
"""

from __future__ import annotations

import logging
from typing import Protocol

from opentelemetry.trace import Tracer

from dreamshare.clock import Clock
from dreamshare.driver.trace import Fact
from dreamshare.protocol.messages import TaskPhase, TaskReport
from dreamshare_aggregator.telemetry.metrics import Metrics, Readings
from dreamshare_aggregator.telemetry.rounds import LiveRound, RoundWatch
from dreamshare_aggregator.telemetry.tracing import Tracing

_LOG = logging.getLogger("dreamshare_aggregator")
_OVER = (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)
_TROUBLE = ("abandoned", "dropped", "declined", "faulty", "failed")


class Onlooker(Protocol):
    """Somebody else who wants to know: the page."""

    def took(self, changed: LiveRound | None) -> None:
        """A round changed."""
        ...

    def reported(self, report: TaskReport) -> None:
        """A report is durable."""
        ...


class Sight:
    """Metrics, spans, logs and the page.

    Args:
        clock: times what has no time of its own.
        tracer: of spans; the process's own by default.
    """

    def __init__(self, clock: Clock, tracer: Tracer | None = None) -> None:
        self.metrics = Metrics()
        self._clock = clock
        self._rounds = RoundWatch()
        self._tracing = Tracing(tracer)
        self._onlooker: Onlooker | None = None

    def reads(self, readings: Readings) -> None:
        """Say where gauges are read."""
        self.metrics.reads(readings)

    def tell(self, onlooker: Onlooker) -> None:
        """Tell the page, too, from now on."""
        self._onlooker = onlooker

    def took(self, fact: Fact) -> None:
        """A fact of a task's driver."""
        changed = self._rounds.take(fact)
        self.metrics.took(fact, changed)
        self._tracing.took(fact, changed)
        if self._onlooker is not None:
            self._onlooker.took(changed)

    def reported(self, report: TaskReport) -> None:
        """A task's report is durable."""
        status = report.status
        level = logging.WARNING if report.event in _TROUBLE else logging.INFO
        fields = {
            "task": status.task.hex(),
            "report": report.number,
            "phase": status.phase.value,
            "cycle": status.cycle,
            "sums": status.aggregations,
            "detail": status.detail,
            "metrics": dict(report.metrics),  # apart: an algorithm names them as it likes
        }
        _LOG.log(level, "%s", report.event, extra=fields)
        if status.phase in _OVER:
            dropped = self._rounds.drop(status.task, self._clock.now())
            if dropped is not None and self._onlooker is not None:
                self._onlooker.took(dropped)
        self.metrics.reported(report)
        self._tracing.reported(report, self._clock.now())
        if self._onlooker is not None:
            self._onlooker.reported(report)

    def close(self) -> None:
        """The aggregator stops."""
        self._tracing.close(self._clock.now())
