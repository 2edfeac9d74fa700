"""An aggregator's schedule and a fleet of devices in one process, where time jumps.

Real: board, schedule, tasks, coordinators, drivers, machines, workbenches. Doubles: the network is
memory, the database is dictionaries, and a computation takes some simulated seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np

from dreamshare.algorithms.bounds import carried
from dreamshare.clock import ManualClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.driver.task import TaskRun
from dreamshare.driver.waiting import stop
from dreamshare.driver.work import WorkSettings
from dreamshare.errors import DreamshareError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import Compute, CoordinatorInput, KeepEvidence, Learn, Report
from dreamshare.protocol.journal import Journal, MemoryJournal
from dreamshare.protocol.messages import (
    CheckIn,
    Cohort,
    Deadlines,
    Reply,
    Request,
    Submit,
    TaskPhase,
    TaskReport,
    TaskResult,
    TaskStatus,
)
from dreamshare.protocol.outcomes import SumDone
from dreamshare.protocol.participant import Participant
from dreamshare.protocol.phases import Summing
from dreamshare.protocol.plan import RoundPlan
from dreamshare.simulate.jumping import JumpingSelector
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.updates import Update
from dreamshare_aggregator.board import Board, Entry
from dreamshare_aggregator.rows import StoredTask
from dreamshare_aggregator.schedule import Schedule
from dreamshare_aggregator.store import Store
from dreamshare_aggregator.tasks import LiveTask, prepare
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory
from tests.sim.rounds.toy import FIELDS, NAME, Toy, answer_of
from tests.sim.secagg.federation import NOW, Federation

BACKOFF = BackoffSettings(first_s=0.5, longest_s=4.0, good_after_s=10.0)
DEADLINES = Deadlines(setup_s=60.0, collect_s=60.0, reveal_s=30.0)
P = ParamSpec("P")
T = TypeVar("T")


class _Inline(ThreadPoolExecutor):
    """Does at once what asyncio hands to threads, so that time jumps over nothing."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class MemoryStore(Store):
    """A database of dictionaries."""

    def __init__(self) -> None:
        self.rows: dict[TaskId, StoredTask] = {}
        self.told: dict[TaskId, list[TaskReport]] = {}
        self.states: dict[TaskId, bytes] = {}
        self.results: dict[TaskId, bytes] = {}
        self.journals: dict[TaskId, MemoryJournal] = {}

    async def add(self, order: Submit, status: TaskStatus) -> TaskReport:
        self.rows[status.task] = StoredTask(order, status)
        return self._report(status, "submitted", {})

    async def advance(  # type: ignore[override]
        self,
        status: TaskStatus,
        event: str,
        metrics: Mapping[str, float] | None = None,
        state: bytes | None = None,
        done: object = None,
    ) -> TaskReport:
        if state is not None:
            self.states[status.task] = state
        return self._report(status, event, metrics or {})

    async def finish(
        self,
        status: TaskStatus,
        event: str,
        metrics: Mapping[str, float] | None = None,
        archive: bytes | None = None,
    ) -> TaskReport:
        assert status.task not in self.results, "a task ends once"
        self.results[status.task] = archive or b""
        return self._report(status, event, metrics or {})

    async def tasks(self) -> Sequence[StoredTask]:
        return list(self.rows.values())

    async def reports(self, task: TaskId, after: int = 0, most: int = 500) -> Sequence[TaskReport]:
        return self.told[task][after : after + most]

    async def checkpoint(self, task: TaskId) -> bytes | None:
        return self.states.get(task)

    async def result(self, status: TaskStatus) -> TaskResult | None:
        archive = self.results.get(status.task)
        return TaskResult(status, archive) if archive else None

    def journal(self, task: TaskId) -> MemoryJournal:  # type: ignore[override]
        return self.journals.setdefault(task, MemoryJournal())

    def _report(self, status: TaskStatus, event: str, metrics: Mapping[str, float]) -> TaskReport:
        row = self.rows[status.task]
        self.rows[status.task] = StoredTask(row.order, status)
        told = self.told.setdefault(status.task, [])
        told.append(TaskReport(len(told) + 1, status, event, metrics))
        return told[-1]


@dataclass
class Phone:
    """A device: desk and worker, over any number of tasks."""

    identity: Identity
    federation: Federation
    clock: ManualClock
    settings: WorkSettings
    takes_s: float = 1.0
    memory: Memory = field(default_factory=Memory)
    journals: dict[TaskId, MemoryJournal] = field(default_factory=dict)
    at_work: int = 0
    most_at_work: int = 0
    driver: DeviceDriver | None = None
    running: asyncio.Task[None] | None = None
    lives: int = 0
    late: dict[TaskId, Update] = field(default_factory=dict)  # answers that came too late
    answered: dict[bytes, Update] = field(default_factory=dict)  # by payload
    carried: list[int] = field(default_factory=list)  # cycles whose answers held a late one
    loud: bool = False  # answers near its bounds

    @property
    def id(self) -> PartyId:
        return PartyId(self.identity.id)

    def check_in(self) -> CheckIn:
        return CheckIn((NAME,))

    def stored(self) -> Sequence[Seat]:
        self.memory = Memory()
        return [self._restored(task) for task in self.journals]

    def _restored(self, task: TaskId) -> Seat:
        journal = self.journals[task]
        entropy = self.federation.entropy.fork(f"{self.id.hex()} {task.hex()} {self.lives}")
        participant = Participant.restore(
            self.identity, task, Floor(), entropy, _allow, self.memory, journal.records(),
            journal.slots(),
        )  # fmt: skip
        return Seat(participant, journal)

    def seat(self, task: TaskId) -> Seat | None:
        journal = self.journals[task] = MemoryJournal()
        entropy = self.federation.entropy.fork(f"{self.id.hex()} {task.hex()} {self.lives} new")
        participant = Participant(self.identity, task, Floor(), entropy, _allow, self.memory)
        return Seat(participant, journal)

    def leave(self, task: TaskId) -> None:
        self.journals.pop(task, None)

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise AssertionError(f"nobody contradicts itself here: {evidence.code}")

    async def compute(self, task: TaskId, order: Compute) -> Update:
        await self._work()
        answer, late = answer_of(self.id, order.plan), self.late.pop(task, None)
        if self.loud:
            answer = Update({f.name: np.full(f.shape, 0.9 * f.bound) for f in FIELDS})
        if late is not None:
            answer = carried(answer, late, order.fields, order.weight_cap)
            self.carried.append(order.plan.cycle)
        self.answered[order.payload_hash] = answer
        return answer

    def carries(self, plan: RoundPlan) -> bool:
        return True

    async def set_aside(self, task: TaskId, plan: RoundPlan, update: Update) -> None:
        self.late[task] = update

    async def learn(self, task: TaskId, order: Learn) -> None:
        await self._work()

    async def _work(self) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await self.clock.sleep_until(self.clock.now() + self.takes_s)
        finally:
            self.at_work -= 1


def _allow(plan: RoundPlan) -> None:
    """Permit every plan."""


class Fleet:
    """One aggregator and its devices; `play` runs a test's coroutine."""

    def __init__(
        self,
        devices: int = 4,
        turns: TurnSettings | None = None,
        work: WorkSettings | None = None,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.federation = Federation()
        self.identity = self.federation.issue(Role.AGGREGATOR, "aggregator")
        self.network = MemoryNetwork(self.clock)
        self.store = MemoryStore()
        self.board = Board(self.store)
        self.settings = turns or TurnSettings()
        self.schedule = Schedule(self.board, self.clock, self._make, self.settings)
        self.driver = AggregatorDriver([self.network.listener()], self.identity, self.clock, self)
        work = work or WorkSettings()
        self.phones = [
            Phone(self.federation.issue(Role.DEVICE, f"{i}"), self.federation, self.clock, work)
            for i in range(devices)
        ]
        self.tasks: list[TaskId] = []
        self.sums: list[tuple[TaskId, SumDone, RoundPlan]] = []
        self._names = 0

    def play(self, main: Coroutine[None, None, None]) -> None:
        """Run a coroutine where time jumps and nothing is left to threads."""

        def new_loop() -> asyncio.AbstractEventLoop:
            loop = asyncio.SelectorEventLoop(JumpingSelector(self.clock))
            loop.set_default_executor(_Inline(1))
            return loop

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve; stop everything on leaving."""
        await self.driver.start()
        serving = [
            asyncio.ensure_future(self.driver.run()),
            asyncio.ensure_future(self.schedule.work(self._add)),
        ]
        try:
            yield
            for job in serving:
                assert not job.done(), job
        finally:
            for phone in self.phones:
                await self.go(phone)
            await self.driver.close()
            await stop(*serving)

    async def later(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    # ---- devices ---------------------------------------------------------------------------------

    def come(self, phone: Phone) -> None:
        """Start a device's process, or do nothing where it runs."""
        if phone.running is None:
            phone.lives += 1
            link = self.network.link(f"{phone.id.hex()}")
            phone.driver = DeviceDriver(
                link, phone.identity, self.clock, phone, phone,
                random.Random(phone.lives), BACKOFF, work=phone.settings,
            )  # fmt: skip
            phone.running = asyncio.ensure_future(phone.driver.run())

    async def go(self, phone: Phone) -> None:
        """Kill a device's process; its journals stay."""
        self.network.cut(phone.id.hex())
        running, phone.running = phone.running, None
        if running is not None:
            await stop(running)
        phone.at_work = 0
        phone.journals = {task: journal.copy() for task, journal in phone.journals.items()}

    # ---- tasks -----------------------------------------------------------------------------------

    async def submit(self, sums: int, cohort: Cohort, priority: int = 0) -> TaskId:
        self._names += 1
        task = TaskId(self._names.to_bytes(16, "big"))
        config = json.dumps({"sums": sums, "task": self._names}).encode()
        status = TaskStatus(
            task=task, name="", algorithm=NAME, phase=TaskPhase.WAITING, detail="queued", cycle=0,
            aggregations=0, abandoned=0, roster=0, alive=0, dropped=0, submitted=self.clock.now(),
            secure_aggregation=False, priority=priority,
        )  # fmt: skip
        order = Submit(NAME, config, cohort, DEADLINES, priority=priority)
        await self.board.add(order, status)
        self.tasks.append(task)
        self.schedule.look()
        return task

    def phase(self, task: TaskId) -> TaskPhase:
        return self.board.entry(task).status.phase

    def _make(self, entry: Entry) -> LiveTask:
        prepared = prepare(entry.order, lambda _, config: Toy(json.loads(config)["sums"], 0))
        entropy = self.federation.entropy.fork(entry.status.task.hex())
        return LiveTask(
            entry, prepared, self.board, self.store, self.identity, entropy, 1, self.clock
        )

    def _add(self, coordinator: Coordinator, journal: Journal) -> TaskRun:
        handle = coordinator.handle

        def watched(event: CoordinatorInput, now: float) -> tuple[object, ...]:
            before, held = coordinator.phase, coordinator.held
            effects = handle(event, now)
            after = coordinator.phase
            opened = isinstance(after, Summing) and after is not before
            still_held = held and coordinator.held
            assert not (opened and still_held), "a task that rests opens no round"
            for effect in effects:
                if isinstance(effect, Report) and isinstance(effect.outcome, SumDone):
                    assert isinstance(before, Summing)
                    self.sums.append((coordinator.task, effect.outcome, before.plan))
            return effects

        coordinator.handle = watched  # type: ignore[method-assign, assignment]
        return self.driver.add(coordinator, journal)

    # ---- front desk ------------------------------------------------------------------------------

    def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        raise DreamshareError("nobody asks here")

    def device_came(self, device: PartyId) -> None:
        """Nobody counts."""

    def device_went(self, device: PartyId) -> None:
        """Nobody counts."""

    def knows(self, task: TaskId) -> bool:
        return any(entry.status.task == task for entry in self.board.unfinished())

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise AssertionError(f"nobody contradicts itself here: {evidence.code}")
