"""Whose turn it is: a limit, priorities, and nobody left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare_aggregator.turns import Turns, TurnSettings

A, B, C, D = (TaskId(bytes([number]) * 16) for number in range(1, 5))


def equals(*tasks: TaskId) -> list[tuple[TaskId, int]]:
    return [(task, 0) for task in tasks]


def test_no_more_run_than_may_and_the_oldest_go_first() -> None:
    turns = Turns(TurnSettings(at_once=2))
    assert turns.choose(equals(A, B, C), 0.0) == (A, B)
    assert turns.choose(equals(A, B, C), 1.0) == (A, B), "a turn is not taken away"
    assert turns.choose(equals(B, C), 2.0) == (B, C), "what is over makes room"


def test_a_turn_of_some_rounds_goes_round() -> None:
    turns = Turns(TurnSettings(at_once=1, rounds=2))
    assert turns.choose(equals(A, B, C), 0.0) == (A,)
    assert not turns.had_round(A, 0.1)
    assert turns.had_round(A, 0.2)
    for wanted in (B, C, A, B):
        assert turns.choose(equals(A, B, C), 0.3) == (wanted,)
        turns.had_round(wanted, 0.4)
        turns.had_round(wanted, 0.5)


def test_a_task_that_gets_nowhere_makes_room_but_only_for_somebody() -> None:
    turns = Turns(TurnSettings(at_once=1, patience_s=60))
    assert turns.choose(equals(A), 0.0) == (A,)
    assert turns.next_change() == 60.0
    assert turns.choose(equals(A), 61.0) == (A,), "nobody else wants to run"
    assert turns.choose(equals(A, B), 62.0) == (A,), "that was a new turn"
    assert turns.choose(equals(A, B), 121.0) == (B,)


def test_a_higher_priority_goes_first_even_in_the_middle_of_a_turn() -> None:
    turns = Turns(TurnSettings(at_once=1))
    assert turns.choose([(A, 0)], 0.0) == (A,)
    assert turns.choose([(A, 0), (B, 5)], 1.0) == (B,)
    assert turns.choose([(A, 0), (B, 5)], 1000.0) == (B,), "as long as it wants to"
    assert turns.choose([(A, 0)], 1001.0) == (A,)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="tasks_at_once is 0"):
        TurnSettings(at_once=0)
    for wrong in ({"rounds": 0}, {"patience_s": 0.0}):
        with pytest.raises(ConfigError, match="a turn has"):
            TurnSettings(**wrong)  # type: ignore[arg-type]


@given(st.integers(1, 3), st.lists(st.sampled_from([A, B, C, D]), min_size=40, max_size=80))
def test_over_time_equals_have_equal_shares(at_once: int, progress: list[TaskId]) -> None:
    """Whichever of the running tasks makes progress, no task waits for more than a few turns."""
    settings = TurnSettings(at_once=at_once, rounds=1, patience_s=5.0)
    turns, ran = Turns(settings), Counter[TaskId]()
    for moment, task in enumerate(progress * 3):
        chosen = turns.choose(equals(A, B, C, D), float(moment))
        assert len(chosen) == at_once
        ran.update(chosen)
        if task in chosen:
            turns.had_round(task, float(moment))
    steps = 3 * len(progress)
    assert min(ran[task] for task in (A, B, C, D)) >= steps * at_once // 4 // 6
