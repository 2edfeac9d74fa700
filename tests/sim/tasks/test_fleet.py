"""Several tasks over one fleet: limits, turns, fairness, whatever an operator may do to them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dreamshare.driver.work import WorkSettings
from dreamshare.protocol.messages import Cohort, TaskPhase
from dreamshare.protocol.outcomes import SumDone
from dreamshare.protocol.plan import RoundPlan
from dreamshare_aggregator.turns import TurnSettings
from tests.sim.rounds.invariants import TOLERANCE_STEPS
from tests.sim.rounds.toy import FIELDS, RESOLUTION
from tests.sim.tasks.fleet import Fleet
from tests.sim.tasks.operations import Cancel, Come, Go, Operation, Pause, Resume, Submit, Wait

CALM_S = 3_000.0
"""Simulated seconds in which everything that can end does: epochs are set up again, devices that
missed rounds wait for the next epoch, 60 seconds a deadline."""


def expected_mean(fleet: Fleet, done: SumDone, plan: RoundPlan) -> dict[str, NDArray[np.float64]]:
    """Return the mean of the survivors' answers, clipped; some have a late one in them."""
    phones = {phone.id: phone for phone in fleet.phones}
    answers = [phones[device].answered[plan.payload().hash] for device in done.survivors]
    weight = sum(answer.weight for answer in answers)
    return {
        f.name: sum(
            np.clip(a.weight * np.asarray(a.arrays[f.name], np.float64), -f.bound, f.bound)
            for a in answers
        )
        / weight
        for f in FIELDS
    }


def check(fleet: Fleet, at_once: int = 1) -> None:
    """Check what holds at any moment."""
    for phone in fleet.phones:
        assert phone.most_at_work <= at_once, "never more computations than the owner allows"
    for task, done, plan in fleet.sums:
        assert plan.config == fleet.board.entry(task).order.config, "a task's own sums alone"
        assert len(done.survivors) >= 3
        expected = expected_mean(fleet, done, plan)
        for name, step in RESOLUTION.items():
            error = np.abs(np.asarray(done.mean[name]) - expected[name]).max()
            assert error < TOLERANCE_STEPS * step, (name, error / step)
    merged = Counter(task for task, _, _ in fleet.sums)
    for status in fleet.board.statuses():
        assert status.aggregations <= merged[status.task]
        if status.phase is TaskPhase.DONE:
            assert status.aggregations == merged[status.task] == status.planned
            assert status.secure_aggregation
        if status.phase is TaskPhase.FAILED:
            assert status.detail, "a failure says why"


def test_tasks_run_at_once_and_devices_compute_one_thing_at_a_time() -> None:
    fleet = Fleet()

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            tasks = [await fleet.submit(4, Cohort(4, 4)) for _ in range(3)]
            await fleet.later(CALM_S)
            assert {fleet.phase(task) for task in tasks} == {TaskPhase.DONE}
            order = [task for task, _, _ in fleet.sums]
            assert order != sorted(order), "their rounds alternate"

    fleet.play(play())
    check(fleet)
    assert max(phone.most_at_work for phone in fleet.phones) == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_with_more_tasks_than_places_nobody_is_left_behind(at_once: int) -> None:
    fleet = Fleet(turns=TurnSettings(at_once, rounds=2), work=WorkSettings(at_once=2))

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            for _ in range(4):
                await fleet.submit(6, Cohort(4, 4))
            await fleet.later(CALM_S)

    fleet.play(play())
    check(fleet, at_once=2)
    assert {fleet.phase(task) for task in fleet.tasks} == {TaskPhase.DONE}
    half = Counter(task for task, _, _ in fleet.sums[: len(fleet.sums) // 2])
    assert len(half) == 4, "every task had its turns in the first half of all rounds"
    assert max(half.values()) - min(half.values()) <= 2


def test_a_higher_priority_overtakes_and_is_over_first() -> None:
    fleet = Fleet(turns=TurnSettings(1))

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            low = await fleet.submit(12, Cohort(4, 4))
            await fleet.later(8.0)
            high = await fleet.submit(3, Cohort(4, 4), priority=5)
            await fleet.later(CALM_S)
            assert {fleet.phase(task) for task in (low, high)} == {TaskPhase.DONE}
            order = [task for task, _, _ in fleet.sums]
            assert order[0] == low
            assert order[-1] == low
            first = order.index(high)
            assert order[first : first + 3] == [high] * 3, "nothing of the other in between"

    fleet.play(play())
    check(fleet)


def test_a_device_busy_with_a_slow_task_is_not_waited_for() -> None:
    """The slow task computes for 200 s; the quick one goes on after 10 s without that device."""
    fleet = Fleet(5, work=WorkSettings(turn_s=10.0))
    fleet.phones[0].takes_s = 200.0

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            await fleet.submit(2, Cohort(5, 5))
            quick = await fleet.submit(2, Cohort(5, 5))
            await fleet.later(CALM_S)
            assert fleet.phase(quick) is TaskPhase.DONE

    fleet.play(play())
    check(fleet)


@pytest.mark.parametrize("takes_s", [42.0, 75.0])
def test_an_answer_that_was_too_late_is_in_the_next_sum_and_clipped(takes_s: float) -> None:
    """A quorum took 30 s and closes the first round after 45. The device that took 75 finishes
    while the next round is open: its next answer holds both, within the bounds of one."""
    fleet = Fleet(8)
    slow = fleet.phones[0]
    slow.takes_s, slow.loud = takes_s, True

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            for phone in fleet.phones[1:]:
                phone.takes_s = 30.0
            task = await fleet.submit(3, Cohort(8, 8, quorum=0.8))
            await fleet.later(40.0)
            slow.takes_s = 1.0
            await fleet.later(CALM_S)
            assert fleet.phase(task) is TaskPhase.DONE

    fleet.play(play())
    sums = [(slow.id in done.survivors, plan.cycle) for _, done, plan in fleet.sums]
    if takes_s > 45.0:
        assert sums[0] == (False, 0)
        assert sums[1:] == [(True, 1), (True, 2)]
        assert slow.carried == [1], "it is in one later sum"
        both = next(a for a in slow.answered.values() if float(a.arrays["x"][0, 0]) > 1.0)
        assert both.arrays["x"][0, 0] == pytest.approx(1.8), "and clipped to 1 by the encoding"
    else:
        assert sums == [(True, 0), (True, 1), (True, 2)], "it came in the time after the quorum"
    check(fleet)


places = st.integers(0, 5)
operations = st.lists(
    st.one_of(
        st.builds(Submit, st.integers(1, 4), st.integers(0, 1)),
        st.builds(Pause, places, st.booleans()),
        st.builds(Resume, places),
        st.builds(Cancel, places),
        st.builds(Come, places),
        st.builds(Go, places),
        st.builds(Wait, st.sampled_from([0.1, 1.0, 5.0, 70.0])),
    ),
    min_size=3,
    max_size=14,
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@example([Submit(3), Wait(5.0), Pause(0), Go(1), Wait(1.0), Come(1), Resume(0)])
@example([Submit(3), Submit(2), Wait(3.0), Pause(0, give_up=True), Cancel(1), Submit(1, 1)])
@given(operations)
def test_whatever_is_done_every_task_ends_or_waits_and_every_sum_is_right(
    done: list[Operation],
) -> None:
    fleet = Fleet(4, TurnSettings(2, rounds=2, patience_s=30.0))

    async def play() -> None:
        async with fleet.open():
            for phone in fleet.phones:
                fleet.come(phone)
            for operation in done:
                await operation.apply(fleet)
                check(fleet)
            resting = {e.status.task for e in fleet.board.unfinished() if e.progress.paused}
            for phone in fleet.phones:
                fleet.come(phone)
            await fleet.later(CALM_S)
            for status in fleet.board.statuses():
                ended = (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)
                assert (status.phase in ended) is (status.task not in resting), status
            for task in resting:
                await fleet.schedule.resume(task)
            await fleet.later(CALM_S)
            assert not fleet.board.unfinished(), "what rested went on where it was"

    fleet.play(play())
    check(fleet)
