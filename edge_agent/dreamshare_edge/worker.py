"""The agent's worker: computes answers and learns from Tells, one thing at a time, in a thread.

Rules:
- a round is charged to the ledger, durably, before it is computed; the owner's budgets of the day
  are looked at then once more, because rounds of several tasks may have been opened side by side;
- work that is cancelled is halted at its next batch or step, and leaves the learner as it was;
- an answer is a function of (weights, plan, seed, device), so that a repeated order has the same;
- learning is all or nothing: the new weights are stored together with the Tell's number before it
  counts as learnt; where it fails, the weights are what they were;
- an answer that came too late for its round is kept, and added to the next one (`late`);
- accuracies at the start, before and after a Tell go to the device's own report, and are measured
  where one is kept.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np

from dreamshare.clock import Clock
from dreamshare.engine import Engine
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.learning.base import Data, KeepsArrays, Learner
from dreamshare.learning.tape import Tape
from dreamshare.protocol.events import Compute, Learn
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update
from dreamshare_edge.equipment import Equipment
from dreamshare_edge.halting import Halt, HaltingData, HaltingLearner
from dreamshare_edge.late import LateAnswers
from dreamshare_edge.policy import Policy
from dreamshare_edge.report import Report
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore

T = TypeVar("T")

WEIGHTS = "learner"
"""The store's name of numbers of Tells and weights, both."""

_HEAD = struct.Struct("<I")


class LocalWork(Protocol):
    """What a device computes; `dreamshare.binding` looks it up by the plan's algorithm."""

    def compute(
        self,
        order: Compute,
        learner: Learner,
        data: Data,
        rng: np.random.Generator,
        tape: KeepsArrays,
    ) -> Update:
        """Return the answer to a round."""
        ...

    def carries(self, plan: RoundPlan) -> bool:
        """Say whether a late answer to this plan counts in the next round."""
        ...

    def carry(self, order: Compute, own: Update, late: Update) -> Update:
        """Return an answer with a late one in it."""
        ...

    def learn(self, order: Learn, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        """Learn from a Tell."""
        ...


class AgentWorker:
    """See `dreamshare.driver.desk.Worker`.

    Args:
        equipment: learner and data; nobody else may use the learner while the agent runs.
        work: looks algorithms up.
        device: the device's id; with `seed` it makes the device's own sampling.
        engine: where the work runs.
        spending: charged with each round.
        policy: the owner's; what a day may use.
    """

    def __init__(
        self,
        equipment: Equipment,
        work: LocalWork,
        device: bytes,
        seed: int,
        engine: Engine,
        store: FileStore,
        clock: Clock,
        report: Report,
        spending: Spending,
        policy: Policy,
    ) -> None:
        self._equipment = equipment
        self._work = work
        self._seeds = (seed, int.from_bytes(device))
        self._engine = engine
        self._store = store
        self._clock = clock
        self._report = report
        self._spending = spending
        self._policy = policy
        self._late = LateAnswers(store)
        self._tape = Tape(clock)
        self._learnt: dict[TaskId, int] = {}

    async def begin(self) -> float | None:
        """Take up the stored weights, or store the first ones; return the accuracy for the report.

        Raises:
            ConfigError: the stored weights do not fit this learner.
        """
        return await self._engine.run(self._begin)

    async def compute(self, task: TaskId, order: Compute) -> Update:
        return await self._wanted(lambda halt: self._compute(task, order, halt))

    def carries(self, plan: RoundPlan) -> bool:
        return self._work.carries(plan)

    async def set_aside(self, task: TaskId, plan: RoundPlan, update: Update) -> None:
        now = self._clock.now()
        await self._engine.run(lambda: self._late.keep(task, plan, update, now))

    async def learn(self, task: TaskId, order: Learn) -> None:
        await self._wanted(lambda halt: self._learn(task, order, halt))

    async def _wanted(self, work: Callable[[Halt], T]) -> T:
        """Run work until it is done or, soon after, until nobody waits for it any more."""
        halt = Halt()
        try:
            return await self._engine.run(lambda: work(halt))
        except asyncio.CancelledError:
            halt.ask()
            raise

    def _begin(self) -> float | None:
        self._store.wake(self._clock.now())
        stored = self._store.load(WEIGHTS)
        if stored is None:
            self._save({})
        else:
            self._learnt, snapshot = unpacked(stored)
            self._equipment.learner.restore(snapshot)
        return self._accuracy()

    def _compute(self, task: TaskId, order: Compute, halt: Halt) -> Update:
        halt.check()
        self._policy.check_budgets(self._spending.used())
        self._spending.charge_round()
        rng = self._rng(order.payload_hash)
        learner = HaltingLearner(self._equipment.learner, halt)
        data = HaltingData(self._equipment.data, halt, self._policy.least_class_count)
        try:
            own = self._work.compute(order, learner, data, rng, self._tape)
        except BaseException:
            learner.undo()
            raise
        late = self._late.take(task, order.plan, self._clock.now())
        return own if late is None else self._work.carry(order, own, late)

    def _learn(self, task: TaskId, order: Learn, halt: Halt) -> None:
        if self._learnt.get(task, 0) >= order.number:
            return
        halt.check()
        before = self._accuracy()
        learner = HaltingLearner(self._equipment.learner, halt)
        data = HaltingData(self._equipment.data, halt, self._policy.least_class_count)
        rng = self._rng(order.plan.payload().hash)
        try:
            self._work.learn(order, learner, data, rng)
            self._save({**self._learnt, task: order.number})
        except BaseException:
            learner.undo()
            raise
        after = self._accuracy()
        self._report.learnt(task, order.number, order.plan.step, before, after)

    def _accuracy(self) -> float | None:
        return self._equipment.accuracy() if self._report.kept else None

    def _save(self, learnt: Mapping[TaskId, int]) -> None:
        self._store.save(WEIGHTS, _pack(learnt, self._equipment.learner.snapshot()))
        self._learnt = dict(learnt)

    def _rng(self, payload_hash: bytes) -> np.random.Generator:
        return np.random.default_rng([*self._seeds, int.from_bytes(payload_hash)])


def _pack(learnt: Mapping[TaskId, int], snapshot: bytes) -> bytes:
    head = json.dumps({task.hex(): number for task, number in learnt.items()}).encode()
    return _HEAD.pack(len(head)) + head + snapshot


def unpacked(stored: bytes) -> tuple[dict[TaskId, int], bytes]:
    """Return the numbers of the Tells that were learnt, and the learner's snapshot.

    Raises:
        ConfigError: the stored content is damaged.
    """
    try:
        (length,) = _HEAD.unpack_from(stored)
        head = json.loads(stored[_HEAD.size : _HEAD.size + length])
        learnt = {TaskId(bytes.fromhex(task)): int(number) for task, number in head.items()}
    except (struct.error, ValueError, AttributeError):
        raise ConfigError("the stored weights are damaged; remove 'kept/learner'") from None
    return learnt, stored[_HEAD.size + length :]
