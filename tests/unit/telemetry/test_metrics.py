"""What Prometheus is told, read back by Prometheus's own parser."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from dreamshare.driver.trace import Reported, Stored
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.messages import DeviceStatus, TaskPhase, TaskReport, TaskStatus
from dreamshare.protocol.outcomes import DeviceDropped, SumAbandoned
from dreamshare_aggregator.lease import Held
from dreamshare_aggregator.surroundings import ShardCount
from dreamshare_aggregator.telemetry.metrics import Metrics
from dreamshare_aggregator.telemetry.rounds import RoundWatch
from dreamshare_crypto.secagg.events import AbortReason
from tests.unit.telemetry.test_rounds import ROUND, TASK, A, B, done

HOSTILE = 'evil"} 1\ndreamshare_tasks{phase="done"} 99\n'


class Readings:
    standby: Held | None = None

    def tasks(self) -> tuple[TaskStatus, ...]:
        return (STATUS, replace(STATUS, task=TaskId(b"u" * 16), phase=TaskPhase.DONE))

    def devices(self) -> tuple[DeviceStatus, ...]:
        here = DeviceStatus(PartyId(b"a" * 16), HOSTILE, True, (HOSTILE,), 10, 20)
        return (here, replace(here, connected=False, bytes_up=5))

    def shards(self) -> ShardCount:
        return ShardCount(3, 4)


STATUS = TaskStatus(
    task=TASK,
    name=HOSTILE,
    algorithm="evaluate/1",
    phase=TaskPhase.RUNNING,
    detail=HOSTILE,
    cycle=0,
    aggregations=1,
    abandoned=0,
    roster=3,
    alive=3,
    dropped=0,
    submitted=0.0,
    secure_aggregation=True,
)


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def told() -> Metrics:
    metrics, watch = Metrics(), RoundWatch()
    metrics.reads(Readings())
    for fact in (*ROUND, done(110.0, A, B), Stored(TASK, 2, 0.004, 111.0)):
        metrics.took(fact, watch.take(fact))
    for outcome in (
        SumAbandoned(AbortReason.NO_QUORUM, True, "dream", 0),
        DeviceDropped(A),
    ):
        metrics.took(Reported(TASK, outcome, 112.0), None)
    metrics.lagged(0.003)
    metrics.reported(TaskReport(1, STATUS, "round", {"epsilon": 0.75}))
    return metrics


def test_what_happened_is_counted() -> None:
    found = read(told())
    assert found["dreamshare_rounds_closed_total", ()] == 1
    assert found["dreamshare_rounds_abandoned_total", (("reason", "no-quorum"),)] == 1
    assert found["dreamshare_rounds_abandoned_total", (("reason", "range"),)] == 0
    assert found["dreamshare_messages_total", (("stage", "masked-input"),)] == 2
    assert found["dreamshare_device_incidents_total", (("kind", "dropped"),)] == 1
    assert found["dreamshare_stage_seconds_sum", (("stage", "collect"),)] == 3.0
    assert found["dreamshare_stage_seconds_count", (("stage", "reveal"),)] == 1
    assert found["dreamshare_journal_write_seconds_bucket", (("le", "0.005"),)] == 1
    assert found["dreamshare_journal_write_seconds_bucket", (("le", "0.002"),)] == 0
    assert found["dreamshare_event_loop_lag_seconds_count", ()] == 1


def test_gauges_are_read_at_the_scrape() -> None:
    found = read(told())
    assert found["dreamshare_active", ()] == 1
    assert found["dreamshare_tasks", (("phase", "running"),)] == 1
    assert found["dreamshare_tasks", (("phase", "done"),)] == 1
    assert found["dreamshare_tasks", (("phase", "waiting"),)] == 0
    assert found["dreamshare_devices_connected", ()] == 1
    assert found["dreamshare_devices_known", ()] == 2
    assert found["dreamshare_bytes_total", (("direction", "up"),)] == 15
    assert found["dreamshare_bytes_total", (("direction", "down"),)] == 40
    assert found["dreamshare_epsilon_spent", (("task", TASK.hex()),)] == 0.75


def test_a_task_that_is_over_leaves_the_gauges() -> None:
    metrics = told()
    over = replace(STATUS, phase=TaskPhase.DONE)
    metrics.reported(TaskReport(2, over, "done", {"epsilon": 0.75}))
    assert not [name for name, _ in read(metrics) if name == "dreamshare_epsilon_spent"]


def test_nothing_that_a_party_says_is_in_it() -> None:
    text = told().exposition().decode()
    assert "evil" not in text
    assert "_created" not in text


def test_two_aggregators_do_not_mix() -> None:
    one, other = told(), Metrics()
    assert read(one)["dreamshare_rounds_closed_total", ()] == 1
    assert read(other)["dreamshare_rounds_closed_total", ()] == 0
    assert B  # the round had two survivors
