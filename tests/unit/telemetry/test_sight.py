"""What looks at an aggregator cannot disturb it, whatever an algorithm calls its numbers."""

from __future__ import annotations

import logging

import pytest

from dreamshare.clock import ManualClock
from dreamshare.protocol.messages import TaskReport
from dreamshare_aggregator.telemetry.rounds import LiveRound
from dreamshare_aggregator.telemetry.sight import Sight
from tests.unit.telemetry.test_metrics import STATUS
from tests.unit.telemetry.test_rounds import ROUND, A, B, done


class Onlooker:
    def __init__(self) -> None:
        self.rounds: list[LiveRound] = []
        self.reports: list[TaskReport] = []

    def took(self, changed: LiveRound | None) -> None:
        if changed is not None:
            self.rounds.append(changed)

    def reported(self, report: TaskReport) -> None:
        self.reports.append(report)


def test_the_page_is_told_rounds_and_reports() -> None:
    sight, onlooker = Sight(ManualClock()), Onlooker()
    sight.tell(onlooker)
    for fact in (*ROUND, done(110.0, A, B)):
        sight.took(fact)
    report = TaskReport(1, STATUS, "round")
    sight.reported(report)
    assert onlooker.rounds[-1].over
    assert onlooker.reports == [report]
    sight.close()


def test_numbers_may_be_called_as_a_log_calls_its_own(caplog: pytest.LogCaptureFixture) -> None:
    names = ("name", "module", "message", "args", "created", "event", "level", "task")
    with caplog.at_level(logging.INFO):
        Sight(ManualClock()).reported(TaskReport(1, STATUS, "round", dict.fromkeys(names, 1.0)))
    (record,) = caplog.records
    assert record.getMessage() == "round"
