"""The agent's worker: the ledger before the answer, all or nothing when it learns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.clock import ManualClock
from dreamshare.engine import InlineEngine
from dreamshare.errors import BudgetExhausted, ConfigError
from dreamshare.ids import TaskId
from dreamshare.learning.base import Data, Floats, Learner
from dreamshare.learning.tape import Tape
from dreamshare.protocol.events import Compute, Learn
from dreamshare.protocol.plan import RoundPlan
from dreamshare.transport.tap import ByteCounter
from dreamshare.updates import Update
from dreamshare_edge.equipment import Equipment
from dreamshare_edge.policy import Policy
from dreamshare_edge.report import Report
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore
from dreamshare_edge.worker import AgentWorker
from tests.integration.toy import Toy, toy_data

TASK = TaskId(bytes(16))
PLAN = RoundPlan("toy/1", "step", b"{}")
ASK = Compute(PLAN.payload().hash, PLAN, (), 1.0)


class Work:
    """Answers with a draw of the generator; learns by setting the bias to the tell's cycle."""

    def __init__(self) -> None:
        self.fails = False

    def compute(
        self, order: Compute, learner: Learner, data: Data, rng: np.random.Generator, tape: Tape
    ) -> Update:
        return Update({"x": rng.normal(size=3)})

    def carries(self, plan: RoundPlan) -> bool:
        return plan.step == "step"

    def carry(self, order: Compute, own: Update, late: Update) -> Update:
        return Update({"x": own.arrays["x"] + late.arrays["x"]})

    def learn(self, order: Learn, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        parameters = dict(learner.parameters())
        parameters["bias"] = np.full(3, order.plan.cycle, np.float32)
        learner.load_parameters(parameters)
        if self.fails:
            raise ConfigError("half-way")


class Bench:
    """A worker with everything around it, on a folder."""

    def __init__(
        self,
        folder: Path,
        device: int = 1,
        policy: Policy | None = None,
        learner: Toy | None = None,
        kept: bool = True,
    ) -> None:
        self.clock = ManualClock(1000.0)
        self.store = FileStore(folder)
        self.learner = learner or Toy()
        self.work = Work()
        self.lines: list[str] = []
        traffic = ByteCounter()
        report = Report(self.lines.append, self.clock, traffic, kept=kept)
        self.worker = AgentWorker(
            Equipment(self.learner, toy_data(0)),
            self.work,
            bytes([device]) * 16,
            7,
            InlineEngine(),
            self.store,
            self.clock,
            report,
            Spending(self.store, traffic, self.clock),
            policy or Policy(),
        )


def tell(number: int, cycle: int) -> Learn:
    return Learn(number, RoundPlan("toy/1", "adopt", b"{}", cycle=cycle))


NewBench = Callable[..., Bench]


@pytest.fixture
def new_bench() -> Iterator[NewBench]:
    with ExitStack() as stack:

        def make(folder: Path, device: int = 1, policy: Policy | None = None) -> Bench:
            bench = Bench(folder, device, policy)
            stack.callback(bench.store.close)
            return bench

        yield make


async def test_a_round_is_charged_before_it_is_answered(
    tmp_path: Path, new_bench: NewBench
) -> None:
    bench = new_bench(tmp_path)
    await bench.worker.compute(TASK, ASK)
    assert bench.store.used_today(1000.0).rounds == 1
    bench.store.close()
    assert new_bench(tmp_path).store.used_today(1000.0).rounds == 1


async def test_rounds_of_tasks_side_by_side_share_the_day(
    tmp_path: Path, new_bench: NewBench
) -> None:
    """Three tasks opened a round while the day had two left: the third is not computed (S6)."""
    bench = new_bench(tmp_path, policy=Policy(rounds_per_day=2))
    tasks = [TaskId(bytes([number]) * 16) for number in range(3)]
    found = await asyncio.gather(
        *(bench.worker.compute(task, ASK) for task in tasks), return_exceptions=True
    )
    assert [type(each) for each in found] == [Update, Update, BudgetExhausted]
    assert bench.store.used_today(1000.0).rounds == 2


async def test_the_same_order_has_the_same_answer_and_devices_differ(
    tmp_path: Path, new_bench: NewBench
) -> None:
    one, other = new_bench(tmp_path / "a"), new_bench(tmp_path / "b", device=2)
    first = (await one.worker.compute(TASK, ASK)).arrays["x"]
    again = (await one.worker.compute(TASK, ASK)).arrays["x"]
    elsewhere = (await other.worker.compute(TASK, ASK)).arrays["x"]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, elsewhere)


async def test_what_was_learnt_is_stored_and_taken_up(tmp_path: Path, new_bench: NewBench) -> None:
    bench = new_bench(tmp_path)
    await bench.worker.begin()
    await bench.worker.learn(TASK, tell(1, cycle=3))
    bench.store.close()

    after = new_bench(tmp_path)
    await after.worker.begin()
    np.testing.assert_array_equal(after.learner.bias, np.full(3, 3))
    await after.worker.learn(TASK, tell(1, cycle=9))  # learnt before the restart: nothing to do
    np.testing.assert_array_equal(after.learner.bias, np.full(3, 3))
    await after.worker.learn(TASK, tell(2, cycle=4))
    np.testing.assert_array_equal(after.learner.bias, np.full(3, 4))


class Unasked(Toy):
    """A learner that classifies nothing."""

    def logits(self, x_NCHW: Floats) -> Floats:
        raise ConfigError("nobody asked")


async def test_what_no_report_keeps_is_not_measured(tmp_path: Path) -> None:
    """A device that waits computes nothing: a runtime for its net need not even be loaded."""
    bench = Bench(tmp_path / "quiet", learner=Unasked(), kept=False)
    assert await bench.worker.begin() is None
    await bench.worker.learn(TASK, tell(1, cycle=3))
    bench.store.close()
    told = Bench(tmp_path / "told", learner=Unasked())
    with pytest.raises(ConfigError, match="nobody asked"):
        await told.worker.begin()
    told.store.close()


async def test_learning_that_fails_leaves_the_weights_as_they_were(
    tmp_path: Path, new_bench: NewBench
) -> None:
    bench = new_bench(tmp_path)
    await bench.worker.begin()
    await bench.worker.learn(TASK, tell(1, cycle=3))
    stored = bench.store.load("learner")
    bench.work.fails = True
    with pytest.raises(ConfigError, match="half-way"):
        await bench.worker.learn(TASK, tell(2, cycle=5))
    np.testing.assert_array_equal(bench.learner.bias, np.full(3, 3))
    assert bench.store.load("learner") == stored
    bench.work.fails = False
    await bench.worker.learn(TASK, tell(2, cycle=5))
    np.testing.assert_array_equal(bench.learner.bias, np.full(3, 5))


async def test_the_report_has_accuracy_before_and_after(
    tmp_path: Path, new_bench: NewBench
) -> None:
    bench = new_bench(tmp_path)
    before = await bench.worker.begin()
    await bench.worker.learn(TASK, tell(1, cycle=3))
    (line,) = [json.loads(line) for line in bench.lines]
    assert (line["event"], line["number"], line["step"]) == ("learnt", 1, "adopt")
    assert line["before"] == before
    assert line["after"] == before  # equal biases change no decision
    assert line["time"] == 1000.0


async def test_damaged_weights_are_named(tmp_path: Path, new_bench: NewBench) -> None:
    bench = new_bench(tmp_path)
    bench.store.save("learner", b"\xff\xff")
    with pytest.raises(ConfigError, match="stored weights are damaged"):
        await bench.worker.begin()


async def test_a_late_answer_is_added_to_the_next_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.worker.begin()
    first, then = ASK, replace(PLAN, cycle=1)
    later = Compute(then.payload().hash, then, (), 1.0)
    late = await bench.worker.compute(TASK, first)
    plain = await bench.worker.compute(TASK, later)
    assert bench.worker.carries(PLAN)
    await bench.worker.set_aside(TASK, PLAN, late)
    both = await bench.worker.compute(TASK, later)
    np.testing.assert_allclose(both.arrays["x"], plain.arrays["x"] + late.arrays["x"])
    again = await bench.worker.compute(TASK, later)
    np.testing.assert_array_equal(again.arrays["x"], both.arrays["x"])
    bench.store.close()
