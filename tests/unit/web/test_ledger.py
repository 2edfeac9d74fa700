"""What a task's reports add up to."""

from __future__ import annotations

from dreamshare.ids import TaskId
from dreamshare.protocol.history import EndedRound, RoundEntry, RoundOutcome
from dreamshare.protocol.messages import TaskPhase, TaskReport, TaskStatus
from dreamshare_aggregator.telemetry.rounds import RoundStage, StageSpan
from dreamshare_aggregator.web.ledger import MOST_POINTS, MOST_ROUNDS, Ledger, past_rounds

TASK = TaskId(bytes(16))


def report(number: int, event: str, detail: str = "", **metrics: float) -> TaskReport:
    status = TaskStatus(
        task=TASK,
        name="",
        algorithm="evaluate/1",
        phase=TaskPhase.RUNNING,
        detail=detail,
        cycle=number // 10,
        aggregations=number,
        abandoned=0,
        roster=4,
        alive=4,
        dropped=0,
        submitted=0.0,
        secure_aggregation=True,
    )
    return TaskReport(number, status, event, metrics)


def test_rounds_reasons_and_points_are_kept() -> None:
    ledger = Ledger()
    spans = (StageSpan(RoundStage.COLLECT, 0.0, 2.0),)
    ledger.add(report(1, "epoch"))
    ledger.add(report(2, "round", "dream: sum over 3 of 4 devices", survivors=3.0), spans)
    ledger.add(report(3, "abandoned", "dream: the round was given up (no quorum); it is asked"))
    ledger.add(report(4, "round", "evaluate: sum", survivors=4.0, accuracy=0.5, loss=1.5))
    assert [(r.number, r.closed, r.step, r.survivors) for r in ledger.rounds] == [
        (2, True, "dream", 3),
        (3, False, "dream", 0),
        (4, True, "evaluate", 4),
    ]
    assert ledger.rounds[0].spans == spans
    assert dict(ledger.reasons) == {"no quorum": 1}
    (point,) = ledger.points
    assert (point.number, point.accuracy, point.loss, point.epsilon) == (4, 0.5, 1.5, None)
    assert [line.number for line in ledger.lines] == [1, 2, 3, 4]


def test_rounds_come_from_the_history_whose_reports_are_gone() -> None:
    def entry(number: int, outcome: RoundOutcome, reason: str = "") -> RoundEntry:
        return RoundEntry(number, 0.0, EndedRound("dream", 1, outcome, reason, 4, 3, 100))

    ledger = Ledger()
    history = [
        entry(1, RoundOutcome.TOLD),
        entry(2, RoundOutcome.SUM),
        entry(3, RoundOutcome.ABANDONED, "no quorum; asked again"),
        entry(4, RoundOutcome.SUM),
    ]
    for past in [*past_rounds(history[:3]), *past_rounds(history[3:], after=2)]:
        ledger.recall(past)
    assert [(r.number, r.closed) for r in ledger.rounds] == [(1, True), (2, False), (3, True)]
    assert dict(ledger.reasons) == {"no quorum": 1}
    ledger.add(report(3, "round"))  # its report is still there
    ledger.add(report(4, "round"))  # it ended meanwhile
    assert [past.number for past in ledger.rounds] == [1, 2, 3, 4]
    assert [line.number for line in ledger.lines] == [3, 4]


def test_what_is_known_already_is_dropped() -> None:
    ledger = Ledger()
    ledger.add(report(5, "round"))
    ledger.add(report(5, "round"))
    ledger.add(report(4, "round"))
    assert [past.number for past in ledger.rounds] == [5]


def test_a_task_of_years_is_bounded_and_keeps_its_first_and_last_points() -> None:
    ledger = Ledger()
    for number in range(1, 20_001):
        ledger.add(report(number, "round", accuracy=0.5))
    assert len(ledger.rounds) == MOST_ROUNDS
    assert MOST_POINTS / 2 <= len(ledger.points) <= MOST_POINTS
    numbers = [point.number for point in ledger.points]
    assert (numbers[0], numbers[-1]) == (1, 20_000)
    assert numbers == sorted(numbers)


def test_what_is_no_number_is_no_point() -> None:
    ledger = Ledger()
    ledger.add(report(1, "round", epsilon=float("inf")))
    ledger.add(report(2, "round", accuracy=float("nan")))
    assert ledger.points == []
