"""The aggregator's account of a noisy task, and that reports alone bring it back."""

from __future__ import annotations

import pytest

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskPhase, TaskReport, TaskStatus
from dreamshare.protocol.outcomes import Spent
from dreamshare_aggregator.costs import Costs
from dreamshare_crypto.accounting import Charge, epsilon

CHARGE = Charge(1e4, 10.0, 90.0)
STATUS = TaskStatus(
    TaskId(bytes(16)), "", "toy/1", TaskPhase.RUNNING, "", 0, 0, 0, 8, 8, 0, 1.8e9, True
)


def report(number: int, metrics: dict[str, float]) -> TaskReport:
    return TaskReport(number, STATUS, "round", metrics)


def test_rounds_add_up_and_given_up_ones_count() -> None:
    costs = Costs(1e-6)
    assert costs.summary() == {}
    costs.add(Spent(CHARGE, 7, 12.0))
    costs.add(Spent(CHARGE, 7, 0.0))  # given up: vectors left, nothing was opened
    third = costs.add(Spent(CHARGE, 5, 11.0))
    assert third["epsilon"] == epsilon([CHARGE] * 3, 1e-6)
    assert costs.summary() == {
        "noisy_rounds": 3.0,
        "noise_multiplier": 11.0,
        "honest_crowd": 5.0,
        "epsilon": third["epsilon"],
        "delta": 1e-6,
    }


def test_reports_bring_it_back() -> None:
    costs = Costs(1e-6)
    numbers = [dict(costs.add(Spent(CHARGE, 7, 12.0))), dict(costs.add(Spent(CHARGE, 6, 9.0)))]
    reports = [report(1, {"survivors": 8.0}), *(report(i + 2, n) for i, n in enumerate(numbers))]
    assert Costs(1e-6, reports).summary() == costs.summary()


def test_a_report_that_does_not_say_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Costs(1e-6, [report(1, {"noise_variance": 1.0})])
