"""Late answers: kept in the device's own store, added once, bounded in number and age."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.bounds import CLIPPED, carried, clipped_field
from dreamshare.ids import TaskId
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Field, Update
from dreamshare_edge.late import LIFE_S, MOST_TASKS, LateAnswers
from dreamshare_edge.store import LATE, FileStore

TASK = TaskId(b"t" * 16)
NOW = 1_000_000.0
LATE_ONE = Update({"x": np.array([1.5, -2.0])}, weight=0.5)


def plan(cycle: int, step: str = "train") -> RoundPlan:
    return RoundPlan("toy/1", step, b"{}", cycle=cycle)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    with FileStore(tmp_path / "store", tmp_path / "anchor") as opened:
        yield opened


def test_a_late_answer_goes_into_one_later_answer_and_its_repeats(store: FileStore) -> None:
    late = LateAnswers(store)
    late.keep(TASK, plan(3), LATE_ONE, NOW)
    assert late.take(TASK, plan(3), NOW) is None, "the round that it was too late for is over"
    assert late.take(TASK, plan(4, "other"), NOW) is None
    for _ in range(2):  # asked again after a crash, or because the round was given up
        found = LateAnswers(store).take(TASK, plan(4), NOW)
        assert found is not None
        np.testing.assert_array_equal(found.arrays["x"], LATE_ONE.arrays["x"])
        assert found.weight == 0.5
    assert late.take(TASK, plan(5), NOW) is None
    assert store.kept(LATE) == (), "it is in a sum now, and gone from the disk"


def test_a_newer_one_takes_the_place_of_an_older_one(store: FileStore) -> None:
    late = LateAnswers(store)
    late.keep(TASK, plan(3), LATE_ONE, NOW)
    late.keep(TASK, plan(4), Update({"x": np.array([9.0, 9.0])}), NOW)
    found = late.take(TASK, plan(5), NOW)
    assert found is not None
    assert found.arrays["x"].tolist() == [9.0, 9.0]


def test_they_are_bounded_in_age_and_number_and_go_with_their_task(store: FileStore) -> None:
    late = LateAnswers(store)
    late.keep(TASK, plan(3), LATE_ONE, NOW)
    assert late.take(TASK, plan(4), NOW + LIFE_S + 1) is None
    tasks = [TaskId(bytes([number]) * 16) for number in range(MOST_TASKS + 3)]
    for number, task in enumerate(tasks):
        late.keep(task, plan(3), LATE_ONE, NOW + number)
    assert store.kept(LATE) == tuple(LATE + task.hex() for task in tasks[3:])
    store.drop(tasks[-1])
    assert LATE + tasks[-1].hex() not in store.kept(LATE)


def test_a_damaged_one_is_none(store: FileStore) -> None:
    store.save(LATE + TASK.hex(), b"\x04\x00\x00\x00what")
    assert LateAnswers(store).take(TASK, plan(4), NOW) is None
    assert store.kept(LATE) == ()


def test_it_lies_in_the_devices_own_store_for_nobody_else(store: FileStore, tmp_path: Path) -> None:
    LateAnswers(store).keep(TASK, plan(3), LATE_ONE, NOW)
    (path,) = (tmp_path / "store" / "kept").glob(LATE + "*")
    assert path.stat().st_mode & 0o777 == 0o600


FIELDS = (Field("x", (2,), bound=4.0),)
COUNTED = (*FIELDS, clipped_field(FIELDS))


def test_both_are_in_the_answer_each_with_its_own_weight() -> None:
    own = Update({"x": np.array([1.0, 1.0]), CLIPPED: np.array(0.0)}, weight=1.0)
    both = carried(own, LATE_ONE, COUNTED, 1.0)
    assert both.arrays["x"].tolist() == [1.0 + 0.75, 1.0 - 1.0]
    assert (both.weight, float(both.arrays[CLIPPED])) == (1.0, 0.0)


def test_what_both_are_beyond_the_bound_is_counted_and_clipped_by_the_encoding() -> None:
    own = Update({"x": np.array([3.0, 3.0]), CLIPPED: np.array(0.0)}, weight=1.0)
    late = Update({"x": np.array([3.0, -3.0])}, weight=1.0)
    both = carried(own, late, COUNTED, 1.0)
    assert both.arrays["x"].tolist() == [6.0, 0.0]
    assert float(both.arrays[CLIPPED]) == 1.0


@pytest.mark.parametrize("late", [Update({}), Update({"x": np.zeros(3)})])
def test_what_does_not_fit_is_left_out(late: Update) -> None:
    own = Update({"x": np.array([1.0, 1.0])}, weight=1.0)
    assert carried(own, late, FIELDS, 1.0) is own
    idle = Update({"x": np.array([1.0, 1.0])}, weight=0.0)
    assert carried(idle, LATE_ONE, FIELDS, 1.0) is idle
