"""What an operator sees, computed from what a coordinator reports."""

from __future__ import annotations

import numpy as np

from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.protocol.messages import TaskPhase, TaskStatus
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceDropped,
    DeviceFaulty,
    EpochEnded,
    EpochStarted,
    SumAbandoned,
    SumDone,
    TaskFailed,
    TaskOutcome,
    TellSpread,
)
from dreamshare_aggregator.progress import Progress
from dreamshare_cli.operating import status_fields, status_line
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import AbortReason, FaultReason

DEVICES = tuple(PartyId(bytes([n]) * 16) for n in range(1, 5))
SESSION = SessionId(bytes(32))
FRESH = Progress(
    TaskStatus(
        task=TaskId(bytes(16)), name="", algorithm="codream/1", phase=TaskPhase.WAITING, detail="",
        cycle=0, aggregations=0, abandoned=0, roster=0, alive=0, dropped=0, submitted=0.0,
        secure_aggregation=False,
    )
)  # fmt: skip
EPOCH = EpochStarted(SESSION, DEVICES, rounds=20, crowd=3, colluders=1)


def total(survivors: int = 4, cycle: int = 1) -> SumDone:
    return SumDone({"x": np.zeros(1)}, 4.0, DEVICES[:survivors], 4, "dream", cycle)


def after(*outcomes: TaskOutcome, start: Progress = FRESH) -> tuple[Progress, list[str]]:
    events = []
    for outcome in outcomes:
        start, event = start.after(outcome)
        events.append(event)
    return start, events


def test_a_round_counts_and_is_secure_under_a_session() -> None:
    got, events = after(EPOCH, total(), total(3, cycle=2))
    assert events == ["epoch", "round", "round"]
    status = got.status
    assert (status.phase, status.aggregations, status.cycle) == (TaskPhase.RUNNING, 2, 2)
    assert (status.roster, status.alive) == (4, 3)
    assert status.secure_aggregation
    assert status.detail == "dream: sum over 3 of 4 devices"


def test_an_epoch_says_how_small_a_crowd_can_be() -> None:
    assert after(EPOCH)[0].status.detail == (
        "4 devices can run 20 rounds; every sum is over 3 devices or more, "
        "2 of them honest where 1 collude"
    )


def test_no_sum_yet_is_not_secure() -> None:
    assert not after(EPOCH)[0].status.secure_aggregation


def test_one_sum_outside_a_session_is_never_forgotten() -> None:
    assert not after(total())[0].status.secure_aggregation
    assert not after(EPOCH, EpochEnded("expired"), total())[0].status.secure_aggregation
    assert not after(total(), EPOCH, total())[0].status.secure_aggregation
    assert not after(EPOCH, total(), EpochEnded("x"), total(), EPOCH, total())[
        0
    ].status.secure_aggregation


def test_a_task_that_resumes_goes_on_from_its_stored_status() -> None:
    stored = Progress(after(EPOCH, total())[0].status)
    assert not after(total(), start=stored)[0].status.secure_aggregation
    resumed, _ = after(EPOCH, total(), start=stored)
    assert resumed.status.secure_aggregation
    assert resumed.status.aggregations == 2


def test_dropped_devices_are_counted_until_they_come_back() -> None:
    got, events = after(EPOCH, DeviceDropped(DEVICES[3]), DeviceDropped(DEVICES[3]))
    assert events[1:] == ["dropped", "dropped"]
    assert (got.status.dropped, got.status.alive) == (1, 3)
    got, _ = after(total(3), start=got)
    assert got.status.dropped == 1
    got, _ = after(EPOCH, start=got)
    assert (got.status.dropped, got.status.alive) == (0, 4)


def test_faulty_devices_stay_in_the_status() -> None:
    """An operator sees them until the task ends (docs/protocol.md 11.3)."""
    first = DeviceFaulty(DEVICES[2], FaultReason.NOT_DECODABLE, 0)
    second = DeviceFaulty(DEVICES[0], FaultReason.MARKED_EDGES, 4)
    got, events = after(EPOCH, first)
    assert events[1:] == ["faulty"]
    assert got.status.detail == "device 03030303 spoilt shares (not decodable) and stays out"
    got, _ = after(total(), EpochEnded("renewed"), second, EPOCH, start=got)
    assert got.status.faulty == (DEVICES[2], DEVICES[0])
    assert status_fields(got.status)["faulty"] == [DEVICES[2].hex(), DEVICES[0].hex()]
    assert "(2 faulty)" in status_line(got.status)
    assert "faulty" not in status_line(FRESH.status)


def test_what_goes_wrong_is_told_in_words() -> None:
    got, events = after(
        EPOCH,
        SumAbandoned(AbortReason.TOO_FEW_INPUTS, True, "dream", 1),
        DeviceDeclined(DEVICES[0], RefusalCode.S6, 3),
        TellSpread(1, 4, 3, "labels", 1),
    )
    assert events[1:] == ["abandoned", "declined", "tell"]
    assert got.status.abandoned == 1
    assert got.status.detail == "labels: 3 of 4 devices learnt"
    failed, events = after(TaskFailed("too few devices"), start=got)
    assert events == ["failed"]
    assert (failed.status.phase, failed.status.detail) == (TaskPhase.FAILED, "too few devices")
    assert failed.session is None


def test_a_paused_task_stays_paused_through_what_its_open_round_brings() -> None:
    paused = FRESH.after(EPOCH, 3)[0].pause()
    assert (paused.status.phase, paused.paused) == (TaskPhase.PAUSED, True)
    then, event = paused.after(total(), 2)
    assert (then.status.phase, event) == (TaskPhase.PAUSED, "round")
    assert (then.status.aggregations, then.status.planned) == (1, 3)
    assert then.status.secure_aggregation, "its session was seen to start"
    assert then.resume().status.phase is TaskPhase.RUNNING
    assert Progress.stored(then.status).paused
    assert then.after(TaskFailed("no"))[0].status.phase is TaskPhase.FAILED
    waits = FRESH.pause().waiting("devices", 7)
    assert (waits.status.phase, waits.status.planned) == (TaskPhase.PAUSED, 7)
    assert waits.resume().status.phase is TaskPhase.WAITING
