"""Spans of tasks, rounds and stages; nothing at all without an SDK."""

from __future__ import annotations

from dataclasses import replace

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dreamshare.driver.trace import Reported, Stored
from dreamshare.protocol.messages import TaskPhase, TaskReport
from dreamshare.protocol.outcomes import SumAbandoned
from dreamshare_aggregator.telemetry.rounds import RoundWatch
from dreamshare_aggregator.telemetry.tracing import Tracing
from dreamshare_crypto.secagg.events import AbortReason
from tests.unit.telemetry.test_metrics import STATUS
from tests.unit.telemetry.test_rounds import BEGAN, ROUND, TASK, A, B, done


def played(tracing: Tracing) -> None:
    watch = RoundWatch()
    tracing.reported(TaskReport(1, STATUS, "submitted"), 99.0)
    facts = (
        *ROUND,
        done(110.0, A, B),
        Stored(TASK, 2, 0.5, 111.0),
        replace(BEGAN, at=112.0, round=1),
        Reported(TASK, SumAbandoned(AbortReason.NO_QUORUM, True, "dream", 0), 113.0),
    )
    for fact in facts:
        tracing.took(fact, watch.take(fact))
    tracing.reported(TaskReport(2, STATUS, "round"), 113.5)
    tracing.reported(TaskReport(3, replace(STATUS, phase=TaskPhase.DONE), "done"), 114.0)
    tracing.took(Stored(TASK, 1, 0.1, 115.0), None)  # after the end: nobody's


def test_a_task_is_a_tree_of_spans_at_the_facts_times() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    played(Tracing(provider.get_tracer("test")))
    spans = exporter.get_finished_spans()
    (task,) = [span for span in spans if span.name == "task"]
    closed, lost = [span for span in spans if span.name == "round"]
    assert task.context is not None and closed.context is not None
    assert closed.parent is not None and closed.parent.span_id == task.context.span_id
    assert (closed.start_time, closed.end_time) == (100 * 10**9, 110 * 10**9)
    assert closed.attributes is not None
    assert dict(closed.attributes) == {"step": "dream", "cycle": 0, "members": 3, "survivors": 2}
    stages = [s for s in spans if s.parent and s.parent.span_id == closed.context.span_id]
    assert [stage.name for stage in stages] == ["collect", "agree", "reveal"]
    assert (lost.status.status_code, lost.status.description) == (StatusCode.ERROR, "no quorum")
    assert task.status.status_code is StatusCode.OK
    assert len([span for span in spans if span.name == "journal"]) == 1


def test_nothing_that_a_party_says_is_in_a_span() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    played(Tracing(provider.get_tracer("test")))
    assert "evil" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_without_an_sdk_nothing_happens() -> None:
    tracing = Tracing()
    played(tracing)
    tracing.reported(TaskReport(1, STATUS, "submitted"), 99.0)
    tracing.close(100.0)


def test_spans_of_tasks_that_go_on_end_with_the_aggregator() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider.get_tracer("test"))
    tracing.reported(TaskReport(1, STATUS, "waiting"), 99.0)
    tracing.close(100.0)
    (span,) = exporter.get_finished_spans()
    assert span.end_time == 100 * 10**9
