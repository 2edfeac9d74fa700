"""Which devices no task needs, and how long each may stay away."""

from __future__ import annotations

from dataclasses import replace

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.messages import DeviceStatus, TaskPhase, TaskStatus
from dreamshare_aggregator.absence import Absences, not_needed, spread
from dreamshare_crypto.entropy import SeededEntropy

A, B, C, D = (
    DeviceStatus(PartyId(bytes([number]) * 16), "", True, ("fedavg/1",), 0, 0)
    for number in range(1, 5)
)
AWAY = replace(D, connected=False)
TASK = TaskStatus(
    task=TaskId(bytes(16)), name="", algorithm="fedavg/1", phase=TaskPhase.RUNNING, detail="",
    cycle=0, aggregations=0, abandoned=0, roster=0, alive=0, dropped=0, submitted=0.0,
    secure_aggregation=False,
)  # fmt: skip


def test_who_offers_what_a_task_runs_is_needed() -> None:
    other = replace(B, algorithms=("evaluate/1",))
    unready = replace(C, algorithms=())
    assert not_needed((A, other, unready, AWAY), [TASK]) == (other.device,)
    assert not_needed((A, other), []) == (A.device, other.device)
    assert not_needed((A, B), [replace(TASK, faulty=(A.device,))]) == (A.device,)


def test_a_fleet_does_not_come_back_at_once() -> None:
    entropy = SeededEntropy(b"spread")
    times = [spread(600.0, entropy) for _ in range(500)]
    assert min(times) >= 300.0
    assert max(times) < 900.0
    assert len({int(seconds // 60) for seconds in times}) == 10


def test_who_was_told_is_told_again_only_when_the_time_is_over() -> None:
    absences = Absences(600.0, SeededEntropy(b"a"))
    first = absences.next((A, B), [], 1000.0)
    assert [device for device, _ in first] == [A.device, B.device]
    assert absences.next((A, B, C), [], 1001.0)[0][0] == C.device
    assert absences.next((A,), [], 1000.0 + 901.0)[0][0] == A.device
    assert Absences(0.0, SeededEntropy(b"a")).next((A,), [], 0.0) == ()
