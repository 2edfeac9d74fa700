"""Whose turn it is, where more tasks want to run than may at once: a pure function and its memory.

Rules:
- a higher priority goes first, always; among equals turns go round: who had the last turn longest
  ago is next, then who was submitted first;
- a turn is some rounds long, and over early when nothing comes of it (no devices, a slow round): a
  task that waits for devices keeps nobody else from running;
- a turn that is over is given away only where somebody waits for it, and between rounds: a task
  that lost its turn finishes its open round and keeps its epoch as long as that lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How many tasks run at once, and for how long while others wait.

    Attributes:
        at_once: tasks, 1 or more.
        rounds: rounds of a turn, 1 or more.
        patience_s: seconds without a round after which a turn is over, > 0.
    """

    at_once: int = 4
    rounds: int = 8
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ConfigError(f"tasks_at_once is {self.at_once}; it must be 1 or more")
        if self.rounds < 1 or not self.patience_s > 0:
            raise ConfigError("a turn has 1 round or more and patience above 0 seconds")


@dataclass(frozen=True, slots=True)
class _Turn:
    """A task's present turn: when anything came of it last, and how many rounds it had."""

    since: float
    rounds: int = 0


class Turns:
    """Who runs, and who has run how long ago."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._running: dict[TaskId, _Turn] = {}
        self._served: dict[TaskId, int] = {}  # the number of the last turn that ended
        self._ended = 0

    def choose(self, wanting: Sequence[tuple[TaskId, int]], now: float) -> tuple[TaskId, ...]:
        """Return who runs from now on.

        Args:
            wanting: tasks that want to run with their priorities, oldest first.
            now: Unix seconds.
        """
        places = {task: place for place, (task, _) in enumerate(wanting)}
        for task in [task for task in self._running if task not in places]:
            self._end(task)
        for task in [task for task in self._served if task not in places]:
            del self._served[task]

        def rank(each: tuple[TaskId, int]) -> tuple[int, bool, int, int]:
            task, priority = each
            rests = task not in self._running or self._is_over(self._running[task], now)
            return -priority, rests, self._rank_served(task), places[task]

        chosen = tuple(task for task, _ in sorted(wanting, key=rank)[: self._settings.at_once])
        for task in [task for task in self._running if task not in chosen]:
            self._end(task)
        for task in chosen:
            turn = self._running.setdefault(task, _Turn(now))
            if self._is_over(turn, now):  # nobody wanted its place
                self._running[task] = _Turn(now)
        return chosen

    def had_round(self, task: TaskId, now: float) -> bool:
        """Note that something came of a task's turn; say whether its turn is over now."""
        turn = self._running.get(task)
        if turn is None:
            return False
        self._running[task] = turn = replace(turn, since=now, rounds=turn.rounds + 1)
        return self._is_over(turn, now)

    def next_change(self) -> float | None:
        """Return when the first turn is over if nothing happens, Unix seconds; None without any."""
        ends = [turn.since + self._settings.patience_s for turn in self._running.values()]
        return min(ends, default=None)

    def _rank_served(self, task: TaskId) -> int:
        return self._ended + 1 if task in self._running else self._served.get(task, 0)

    def _is_over(self, turn: _Turn, now: float) -> bool:
        idle = now - turn.since >= self._settings.patience_s
        return idle or turn.rounds >= self._settings.rounds

    def _end(self, task: TaskId) -> None:
        del self._running[task]
        self._ended += 1
        self._served[task] = self._ended
