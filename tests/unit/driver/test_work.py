"""The workbench: how much at once, whose turn, who is declined, and what is finished although late.

Time is a manual clock; a computation ends when the test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dreamshare.clock import ManualClock
from dreamshare.driver.work import Result, Workbench, WorkSettings
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.events import Compute, Computed, ComputeFailed, Learn, Learnt
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update
from dreamshare_crypto.errors import RefusalCode

A, B, C = (TaskId(bytes([number]) * 16) for number in (1, 2, 3))


def order_of(task: TaskId, cycle: int = 0) -> Compute:
    plan = RoundPlan("toy/1", "train", task.hex().encode(), cycle=cycle)
    return Compute(plan.payload().hash, plan, (), 1.0)


class Shop:
    """A worker whose computations wait for the test, and everything that came of them."""

    def __init__(self, carried: bool = False, settings: WorkSettings | None = None) -> None:
        self.clock = ManualClock(1000.0)
        self.carried = carried
        self.at_work: list[tuple[TaskId, int]] = []
        self.most = 0
        self.doors: dict[tuple[TaskId, int], asyncio.Event] = {}
        self.results: list[tuple[TaskId, Result]] = []
        self.aside: list[tuple[TaskId, int]] = []
        self.bench = Workbench(self, self._finished, self.clock, settings)

    def _finished(self, task: TaskId, result: Result) -> None:
        if self.bench.collect(task, result):
            self.results.append((task, result))

    async def compute(self, task: TaskId, order: Compute) -> Update:
        await self._work(task, order.plan.cycle)
        return Update()

    async def learn(self, task: TaskId, order: Learn) -> None:
        await self._work(task, -order.number)

    async def _work(self, task: TaskId, what: int) -> None:
        self.at_work.append((task, what))
        self.most = max(self.most, len(self.at_work))
        try:
            await self.doors.setdefault((task, what), asyncio.Event()).wait()
        finally:
            self.at_work.remove((task, what))

    def carries(self, plan: RoundPlan) -> bool:
        return self.carried

    async def set_aside(self, task: TaskId, plan: RoundPlan, update: Update) -> None:
        self.aside.append((task, plan.cycle))

    async def end(self, task: TaskId, what: int = 0) -> None:
        self.doors.setdefault((task, what), asyncio.Event()).set()
        await settle()


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(50):
        await asyncio.get_running_loop().run_in_executor(None, int)


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene()

    asyncio.run(run())


def test_one_thing_at_a_time_in_the_order_in_which_they_came() -> None:
    async def scene() -> None:
        shop = Shop()
        for task in (A, B, C):
            shop.bench.start(task, order_of(task))
        await settle()
        assert shop.at_work == [(A, 0)]
        await shop.end(A)
        assert shop.at_work == [(B, 0)]
        await shop.end(B)
        await shop.end(C)
        assert [task for task, _ in shop.results] == [A, B, C]
        assert shop.most == 1

    play(scene)


def test_as_many_at_once_as_the_owner_allows_and_learning_alone() -> None:
    async def scene() -> None:
        shop = Shop(settings=WorkSettings(at_once=2))
        shop.bench.start(A, order_of(A))
        shop.bench.start(B, Learn(1, order_of(B).plan))
        shop.bench.start(C, order_of(C))
        await settle()
        assert shop.at_work == [(A, 0)], "learning waits for all, and nobody overtakes it"
        await shop.end(A)
        assert shop.at_work == [(B, -1)]
        await shop.end(B, -1)
        shop.bench.start(A, order_of(A, 1))
        await settle()
        assert sorted(shop.at_work) == [(A, 1), (C, 0)]
        await shop.end(C)
        await shop.end(A, 1)
        assert isinstance(shop.results[1][1], Learnt)

    play(scene)


def test_a_round_does_not_wait_for_long_while_the_device_computes_for_another_task() -> None:
    async def scene() -> None:
        shop = Shop(settings=WorkSettings(turn_s=30.0))
        shop.bench.start(A, order_of(A))
        shop.bench.start(B, order_of(B))
        await settle()
        shop.clock.advance_to(1029.0)
        await settle()
        assert shop.results == []
        shop.clock.advance_to(1031.0)
        await settle()
        ((task, result),) = shop.results
        assert task == B
        assert isinstance(result, ComputeFailed)
        assert result.code is RefusalCode.S6
        assert result.text.startswith("this device computed for other tasks for 30 seconds")
        shop.bench.start(C, order_of(C))
        await shop.end(A)
        assert shop.at_work == [(C, 0)], "who gave up holds no place"
        shop.bench.stop(C)
        await settle()

    play(scene)


def test_who_is_stopped_in_the_queue_leaves_it() -> None:
    async def scene() -> None:
        shop = Shop()
        for task in (A, B, C):
            shop.bench.start(task, order_of(task))
        await settle()
        shop.bench.stop(B)
        shop.bench.stop(A)
        await settle()
        assert shop.at_work == [(C, 0)]
        await shop.end(C)
        assert [task for task, _ in shop.results] == [C]

    play(scene)


def test_a_new_order_replaces_the_running_one() -> None:
    async def scene() -> None:
        shop = Shop()
        shop.bench.start(A, order_of(A, 0))
        await settle()
        shop.bench.start(A, order_of(A, 1))
        await settle()
        assert shop.at_work == [(A, 1)]
        await shop.end(A, 1)
        ((_, result),) = shop.results
        assert isinstance(result, Computed)
        assert shop.aside == []

    play(scene)


def test_what_is_carried_over_is_finished_first_and_set_aside() -> None:
    async def scene() -> None:
        shop = Shop(carried=True)
        shop.bench.start(A, order_of(A, 0))
        await settle()
        shop.bench.start(A, order_of(A, 1))
        await settle()
        assert shop.at_work == [(A, 0)]
        await shop.end(A, 0)
        assert (shop.aside, shop.results) == ([(A, 0)], [])
        assert shop.at_work == [(A, 1)]
        await shop.end(A, 1)
        ((_, result),) = shop.results
        assert isinstance(result, Computed)
        assert result.payload_hash == order_of(A, 1).payload_hash

    play(scene)


def test_the_same_cycle_asked_again_is_not_carried_over() -> None:
    async def scene() -> None:
        shop = Shop(carried=True)
        shop.bench.start(A, order_of(A, 1))
        await settle()
        shop.bench.start(A, order_of(A, 1))  # as after a round that was given up
        await shop.end(A, 1)
        assert shop.aside == []
        shop.bench.start(A, order_of(A, 2))
        await settle()
        shop.bench.start(A, order_of(A, 3))
        shop.bench.stop(A)  # the task is over, or the owner wants quiet
        await shop.end(A, 2)
        assert (shop.aside, shop.at_work) == ([], [])

    play(scene)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="1 thing or more"):
        WorkSettings(at_once=0)
    with pytest.raises(ConfigError, match="above 0 s"):
        WorkSettings(turn_s=0.0)
