"""What a task's reports add up to, for the page: rounds, curves, reasons, the newest lines.

Rules:
- read from the store once, the history of rounds first and reports after it, then kept up to date
  by new reports; what is known already is dropped, so that all ways may overlap;
- rounds outlive reports: they come from the history, which is kept for longer, and are numbered as
  a task's status counts them, opened and abandoned ones together;
- bounded: the newest `MOST_ROUNDS` rounds and `MOST_LINES` lines; of a curve's points every second
  one is let go whenever there are more than `MOST_POINTS`;
- how long stages took is known of rounds that this process saw; others have none.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dreamshare.protocol.history import RoundEntry, RoundOutcome
from dreamshare.protocol.messages import TaskReport
from dreamshare_aggregator.telemetry.rounds import StageSpan

MOST_ROUNDS = 400
MOST_LINES = 60
MOST_POINTS = 2000

ROUND_EVENTS = ("round", "abandoned")
"""Reports of a round's end."""

_REASON = re.compile(r"\(([a-z ]+)\)")


@dataclass(frozen=True, slots=True)
class PastRound:
    """A round that is over.

    Attributes:
        number: 1, 2, 3, ... of its task.
        closed: whether a sum was opened; else `reason` says why not.
        spans: its stages, where this process saw them.
    """

    number: int
    closed: bool
    step: str
    cycle: int
    survivors: int
    roster: int
    reason: str = ""
    spans: tuple[StageSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """What a report measured; None where it did not."""

    number: int
    cycle: int
    sums: int
    accuracy: float | None
    loss: float | None
    epsilon: float | None


class Ledger:
    """One task's reports, added up."""

    def __init__(self) -> None:
        self.last = 0
        self.last_round = 0
        self.rounds: deque[PastRound] = deque(maxlen=MOST_ROUNDS)
        self.lines: deque[TaskReport] = deque(maxlen=MOST_LINES)
        self.points: list[Point] = []
        self.reasons: Counter[str] = Counter()
        self.metrics: dict[str, float] = {}

    def recall(self, past: PastRound) -> None:
        """Count a round."""
        if past.number <= self.last_round:
            return
        self.last_round = past.number
        self.rounds.append(past)
        if not past.closed:
            self.reasons[past.reason] += 1

    def add(self, report: TaskReport, spans: tuple[StageSpan, ...] = ()) -> None:
        """Count a report, and the round that it tells of."""
        if report.number <= self.last:
            return
        self.last = report.number
        self.lines.append(report)
        if report.event in ROUND_EVENTS:
            self.recall(past_round(report, spans))
        point = point_of(report)
        if point is not None:
            self.points.append(point)
            if len(self.points) > MOST_POINTS:
                del self.points[1:-1:2]
        if report.event == "done":
            self.metrics = {n: v for n, v in report.metrics.items() if math.isfinite(v)}


def round_number(report: TaskReport) -> int:
    """Return the number of the round that a report of `ROUND_EVENTS` tells of."""
    return report.status.aggregations + report.status.abandoned


def past_rounds(history: Iterable[RoundEntry], after: int = 0) -> Iterator[PastRound]:
    """Yield the rounds of a task's history, numbered on from `after`; what was told is none."""
    for entry in history:
        done = entry.done
        if done.outcome is RoundOutcome.TOLD:
            continue
        after += 1
        yield PastRound(
            number=after,
            closed=done.outcome is RoundOutcome.SUM,
            step=done.step,
            cycle=done.cycle,
            survivors=done.survivors,
            roster=done.roster,
            reason=done.reason.partition(";")[0],
        )


def past_round(report: TaskReport, spans: tuple[StageSpan, ...]) -> PastRound:
    """Return the round that a report of `ROUND_EVENTS` tells of."""
    status, closed = report.status, report.event == "round"
    why = None if closed else _REASON.search(status.detail)
    return PastRound(
        number=round_number(report),
        closed=closed,
        step=status.detail.partition(":")[0],
        cycle=status.cycle,
        survivors=int(report.metrics.get("survivors", 0)),
        roster=status.roster,
        reason=why.group(1) if why else "",
        spans=spans,
    )


def point_of(report: TaskReport) -> Point | None:
    """Return what a report measured, if anything."""
    found = {
        name: value
        for name in ("accuracy", "loss", "epsilon")
        if (value := report.metrics.get(name)) is not None and math.isfinite(value)
    }
    if not found or report.event == "done":  # the end repeats what was measured before
        return None
    status = report.status
    return Point(
        report.number,
        status.cycle,
        status.aggregations,
        found.get("accuracy"),
        found.get("loss"),
        found.get("epsilon"),
    )
