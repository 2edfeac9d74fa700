"""Outcomes in words and as fields."""

from __future__ import annotations

import json

import pytest

from dreamshare.clock import ManualClock
from dreamshare.ids import TaskId
from dreamshare.protocol.outcomes import (
    DeviceOutcome,
    EpochJoined,
    RoundAborted,
    RoundDeclined,
    RoundDone,
    TaskOver,
    TellLearnt,
)
from dreamshare.transport.tap import ByteCounter
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import AbortReason
from dreamshare_edge.describe import fields_of, sentence_of
from dreamshare_edge.report import Report

TASK = TaskId(bytes([0xAB]) * 16)
OUTCOMES: list[tuple[DeviceOutcome, str, str]] = [
    (
        EpochJoined(TASK, 10, 8, 1),
        "epoch",
        "task abababab: one of 10 in an epoch; every sum is over 8 devices or more, "
        "7 of them honest where 1 collude",
    ),
    (
        EpochJoined(TASK, 3, 3, 0),
        "epoch",
        "task abababab: one of 3 in an epoch; every sum is over 3 devices or more",
    ),
    (
        RoundDone(TASK, 4, "codream/1", "dream", 2),
        "round",
        "task abababab: round 4 (dream, cycle 2) is closed",
    ),
    (
        RoundDeclined(TASK, 5, RefusalCode.S6, "no budget"),
        "declined",
        "task abababab: declined round 5 (S6): no budget",
    ),
    (
        RoundDeclined(TASK, 5, RefusalCode.E1, "ValueError: no number: 'asthma'", private=True),
        "declined",
        "task abababab: declined round 5 (E1): ValueError of the learner or the data; the device's "
        "report and the outcome say more",
    ),
    (
        RoundDeclined(TASK, 5, RefusalCode.E1, "x holds 3.5: not a number", private=True),
        "declined",
        "task abababab: declined round 5 (E1): an error of the learner or the data; the device's "
        "report and the outcome say more",
    ),
    (
        RoundDeclined(TASK, None, RefusalCode.O1, "too few"),
        "declined",
        "task abababab: declined this task (O1): too few",
    ),
    (
        RoundAborted(TASK, 6, AbortReason.TOO_FEW_INPUTS),
        "aborted",
        "task abababab: round 6 was given up (too few inputs)",
    ),
    (TellLearnt(TASK, 1, "acquire"), "learnt", "task abababab: learnt from tell 1 (acquire)"),
    (TaskOver(TASK, "done"), "task-over", "task abababab: done"),
]


@pytest.mark.parametrize(("outcome", "event", "sentence"), OUTCOMES)
def test_words_and_fields(outcome: DeviceOutcome, event: str, sentence: str) -> None:
    fields = fields_of(outcome)
    assert fields["event"] == event
    assert fields["task"] == "ab" * 16
    assert json.loads(json.dumps(fields)) == fields
    assert sentence_of(outcome) == sentence


def test_a_report_counts_rounds_and_bytes_and_leaves_out_what_it_said_already() -> None:
    lines: list[str] = []
    traffic = ByteCounter()
    report = Report(lines.append, ManualClock(5.0), traffic)
    report.started(bytes(16), "toy", None)
    traffic.sent("", b"12345")
    traffic.received("", b"123")
    for outcome, _, _ in OUTCOMES:
        report.outcome(outcome)
    report.stopped()
    events = [json.loads(line)["event"] for line in lines]
    assert events == [
        "started", "epoch", "epoch", "round", "declined", "declined", "declined", "declined",
        "aborted", "task-over", "stopped",
    ]  # fmt: skip
    last = json.loads(lines[-1])
    assert (last["rounds"], last["bytes_up"], last["bytes_down"]) == (1, 5, 3)
    assert json.loads(lines[0])["accuracy"] is None
