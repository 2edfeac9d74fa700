"""The history of a task's rounds: what each one gave, and how it is asked for, page by page.

Rules:
- a round says how many took part and how it ended, never who;
- an entry is written when its round is over and never changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dreamshare.ids import TaskId
from dreamshare.showing import Shown

PAGE = 500
"""Rounds of an answer, unless less are asked for."""


class RoundOutcome(Enum):
    """How a round ended; a released value never changes its meaning."""

    SUM = "sum"
    """A sum of its survivors was opened and merged."""
    ABANDONED = "abandoned"
    """Nothing came of it; `reason` says why."""
    TOLD = "told"
    """Devices were sent something to learn from; survivors are those that did."""


@dataclass(frozen=True, slots=True, repr=False)
class EndedRound(Shown):
    """A round that has just ended.

    Attributes:
        step, cycle: what the algorithm asked.
        outcome: how it ended.
        reason: why it was abandoned, in words; empty otherwise.
        roster: devices of the epoch, or devices that were told.
        survivors: devices in the sum, or devices that learnt.
        sent: bytes of messages since the round before, both ways, before packets and encryption.
    """

    step: str
    cycle: int
    outcome: RoundOutcome
    reason: str
    roster: int
    survivors: int
    sent: int


@dataclass(frozen=True, slots=True, repr=False)
class RoundEntry(Shown):
    """A round in the history.

    Attributes:
        number: 1, 2, 3, ... of its task.
        moment: when it ended, Unix seconds.
        done: the round.
    """

    number: int
    moment: float
    done: EndedRound

    @property
    def dropped(self) -> int:
        """Devices of the roster that are not in what came of the round."""
        return self.done.roster - self.done.survivors


@dataclass(frozen=True, slots=True)
class FetchHistory:
    """Ask for at most `most` ended rounds of a task with numbers above `after`, in order."""

    task: TaskId
    after: int = 0
    most: int = PAGE


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """Answer to FetchHistory; without rounds there are none above the number asked for yet."""

    rounds: tuple[RoundEntry, ...]
