"""Spans of tasks, rounds and stages, for OpenTelemetry.

Rules:
- only OpenTelemetry's API is imported here: without its SDK, or without a provider, every call does
  nothing. `exporting` sets a provider up where the settings ask for one;
- a task's span is the parent of its rounds', a round's of its stages'; they begin and end at the
  times of the facts;
- attributes are ids, counts and steps; nothing that a device says is one.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode, Tracer

from dreamshare.driver.trace import Fact, Stored
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskPhase, TaskReport
from dreamshare_aggregator.telemetry.rounds import LiveRound, RoundStage

_OVER = (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)


class Tracing:
    """Turns what happens into spans.

    Args:
        tracer: of an SDK; the process's own by default, which does nothing without an SDK.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("dreamshare.aggregator")
        self._tasks: dict[TaskId, Span] = {}

    def reported(self, report: TaskReport, at: float) -> None:
        """A task's report is durable: its span begins or ends with it, or gets an event."""
        status = report.status
        span = self._tasks.get(status.task)
        if span is None:
            if status.phase in _OVER:
                return
            span = self._tracer.start_span(
                "task",
                start_time=_nanos(at),
                attributes={"task": status.task.hex(), "algorithm": status.algorithm},
            )
            self._tasks[status.task] = span
        if status.phase in _OVER:
            ok = status.phase is TaskPhase.DONE
            span.set_status(StatusCode.OK if ok else StatusCode.ERROR, None if ok else status.phase)
            span.end(_nanos(at))
            del self._tasks[status.task]
        elif report.event not in ("round", "abandoned"):
            span.add_event(report.event, timestamp=_nanos(at))

    def took(self, fact: Fact, changed: LiveRound | None) -> None:
        """A round that is over becomes a span with its stages; so does a write to the disk."""
        parent = self._tasks.get(fact.task)
        if parent is None:
            return
        context = trace.set_span_in_context(parent)
        if isinstance(fact, Stored):
            began = _nanos(fact.at - fact.seconds)
            span = self._tracer.start_span("journal", context, start_time=began)
            span.set_attribute("records", fact.records)
            span.end(_nanos(fact.at))
        if changed is None or changed.ended is None:
            return
        name = "round" if changed.number is not None else "set-up"
        span = self._tracer.start_span(name, context, start_time=_nanos(changed.began))
        span.set_attributes(
            {
                "step": changed.step,
                "cycle": changed.cycle,
                "members": len(changed.members),
                "survivors": len(changed.survivors),
            }
        )
        inside = trace.set_span_in_context(span)
        for stage in changed.spans:
            part = self._tracer.start_span(
                stage.stage.value, inside, start_time=_nanos(stage.began)
            )
            part.end(_nanos(stage.ended))
        if changed.stage is RoundStage.ABANDONED:
            span.set_status(StatusCode.ERROR, changed.reason)
        span.end(_nanos(changed.ended))

    def close(self, at: float) -> None:
        """The aggregator stops; tasks go on at its next start, in spans of their own."""
        for span in self._tasks.values():
            span.end(_nanos(at))
        self._tasks.clear()


def _nanos(seconds: float) -> int:
    return int(seconds * 1e9)
