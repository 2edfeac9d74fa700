"""Real drivers at both ends of a memory network, on a clock that jumps when nothing is left to do.

def test_x() -> None:
    stage = Stage()
    async def play() -> None:
        async with stage.open():
            ...
    stage.play(play())
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dreamshare.binding import TaskLoop, terms_of
from dreamshare.clock import ManualClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.driver.room import ROOM
from dreamshare.driver.task import TaskRun
from dreamshare.driver.trace import Fact
from dreamshare.driver.waiting import stop
from dreamshare.engine import Engine
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import Compute, KeepEvidence, Learn
from dreamshare.protocol.journal import Journal, MemoryJournal
from dreamshare.protocol.messages import CheckIn, Cohort, Reply, Request
from dreamshare.protocol.outcomes import DeviceOutcome, SumDone, TaskOutcome
from dreamshare.protocol.participant import Participant
from dreamshare.simulate.jumping import JumpingSelector
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.memory import Fate, MemoryNetwork, prompt
from dreamshare.updates import Update
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory
from tests.sim.rounds.ordering import DEADLINES
from tests.sim.rounds.toy import CONFIG, NAME, Toy, answer_of
from tests.sim.rounds.world import allow
from tests.sim.secagg.federation import NOW, TASK, Federation

BACKOFF = BackoffSettings(first_s=0.25, longest_s=1.0)


@dataclass
class Handset:
    """A device's shell: desk and worker in one, with everything that it was asked."""

    identity: Identity
    federation: Federation
    task: TaskId
    journal: Journal = field(default_factory=MemoryJournal)
    memory: Memory = field(default_factory=Memory)
    restored: bool = False
    computed: list[bytes] = field(default_factory=list)
    learnt: list[int] = field(default_factory=list)
    left: list[TaskId] = field(default_factory=list)
    before_answer: Callable[[Compute], Coroutine[None, None, None]] | None = None

    @property
    def id(self) -> PartyId:
        return PartyId(self.identity.id)

    def check_in(self) -> CheckIn:
        return CheckIn((NAME,), "a handset")

    def stored(self) -> Sequence[Seat]:
        if not self.restored:
            return ()
        participant = Participant.restore(
            self.identity,
            self.task,
            Floor(),
            self.federation.entropy.fork(f"restored {self.id.hex()} {len(self.computed)}"),
            allow,
            self.memory,
            self.journal.records(),
            self.journal.slots(),
        )
        return (Seat(participant, self.journal),)

    def seat(self, task: TaskId) -> Seat | None:
        entropy = self.federation.entropy.fork(f"keys {self.id.hex()}")
        participant = Participant(self.identity, task, Floor(), entropy, allow, self.memory)
        return Seat(participant, self.journal)

    def leave(self, task: TaskId) -> None:
        self.left.append(task)

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise AssertionError("nobody contradicts itself here")

    async def compute(self, task: TaskId, order: Compute) -> Update:
        if self.before_answer is not None:
            await self.before_answer(order)
        self.computed.append(order.payload_hash)
        return answer_of(self.id, order.plan)

    async def learn(self, task: TaskId, order: Learn) -> None:
        self.learnt.append(order.number)


@dataclass
class Office:
    """The aggregator's shell."""

    came: list[PartyId] = field(default_factory=list)
    went: list[PartyId] = field(default_factory=list)
    answers: Callable[[PartyId, Request], AsyncIterator[Reply]] | None = None
    waiting: set[TaskId] = field(default_factory=set)

    def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        assert self.answers is not None
        return self.answers(operator, request)

    def device_came(self, device: PartyId) -> None:
        self.came.append(device)

    def device_went(self, device: PartyId) -> None:
        self.went.append(device)

    def knows(self, task: TaskId) -> bool:
        return task in self.waiting

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise AssertionError("nobody contradicts itself here")


class Stage:
    """One aggregator, some devices, one task."""

    def __init__(
        self,
        devices: int = 4,
        cohort: Cohort | None = None,
        toy: Toy | None = None,
        up: Fate = prompt,
        down: Fate = prompt,
        engine: Engine | None = None,
        relayed: bool = False,
        room: int = ROOM,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.selector = JumpingSelector(self.clock)
        self.federation = Federation()
        self.identity = self.federation.issue(Role.AGGREGATOR, "aggregator")
        self.network = MemoryNetwork(self.clock, up=up, down=down, relayed=relayed)
        self.office = Office()
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.facts: list[Fact] = []
        self.task = TaskId(TASK)
        self.toy = toy or Toy()
        self.cohort = cohort or Cohort(devices, devices)
        self.handsets = [
            Handset(self.federation.issue(Role.DEVICE, f"device {i}"), self.federation, self.task)
            for i in range(devices)
        ]
        self.journal: Journal = MemoryJournal()
        self.loop = TaskLoop(self.toy, CONFIG)
        self.reports: list[TaskOutcome] = []
        self.drivers: dict[PartyId, DeviceDriver] = {}
        self.running: dict[PartyId, asyncio.Task[None]] = {}
        self.aggregator = AggregatorDriver(
            [self.network.listener()],
            self.identity,
            self.clock,
            self.office,
            lambda *frame: self.seen.append(frame),
            engine=engine,
            trace=self.facts.append,
            room=room,
        )
        self._serving: asyncio.Task[None] | None = None

    def play(self, main: Coroutine[None, None, None]) -> None:
        """Run a test's coroutine where time jumps."""
        with asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(self.selector)
        ) as runner:
            runner.run(main)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve; stop everything on leaving."""
        await self.aggregator.start()
        self._serving = asyncio.ensure_future(self.aggregator.run())
        try:
            yield
        finally:
            for handset in self.handsets:
                await self.kill(handset)
            await self.aggregator.close()
            await asyncio.gather(self._serving, return_exceptions=True)

    def connect(
        self,
        handset: Handset,
        backoff: BackoffSettings = BACKOFF,
        engine: Engine | None = None,
    ) -> DeviceDriver:
        """Start a device's driver."""
        link = self.network.link(handset.id.hex())
        driver = DeviceDriver(
            link, handset.identity, self.clock, handset, handset, random.Random(1), backoff, engine
        )
        self.drivers[handset.id] = driver
        self.running[handset.id] = asyncio.ensure_future(driver.run())
        return driver

    async def kill(self, handset: Handset) -> None:
        """End a device's process without a goodbye."""
        self.network.cut(handset.id.hex())
        running = self.running.pop(handset.id, None)
        if running is not None:
            await stop(running)

    def begin(self) -> TaskRun:
        """Begin the task."""
        terms = terms_of(self.toy, self.cohort, DEADLINES)
        entropy = self.federation.entropy.fork("coordinator")
        run = self.aggregator.add(
            Coordinator(self.identity, self.task, terms, entropy), self.journal
        )
        run.give(self.loop.order())
        return run

    async def follow(self, run: TaskRun, until: int | None = None) -> None:
        """React to reports until the task is over, or until so many sums were done."""
        async for report in run.reports():
            self.reports.append(report)
            order = self.loop.react(report)
            if order is not None:
                run.give(order)
            if until is not None and len(self.sums) >= until:
                return

    async def run_task(self) -> None:
        """Connect everybody and follow the task to its end."""
        for handset in self.handsets:
            self.connect(handset)
        await self.follow(self.begin())

    async def later(self, seconds: float) -> None:
        """Wait in simulated time."""
        await self.clock.sleep_until(self.clock.now() + seconds)

    async def close(self, handset: Handset) -> list[DeviceOutcome]:
        """Close a device's driver and return its outcomes."""
        driver = self.drivers[handset.id]
        await driver.close()
        await self.running.pop(handset.id)
        return [outcome async for outcome in driver.outcomes()]

    @property
    def sums(self) -> list[SumDone]:
        return [report for report in self.reports if isinstance(report, SumDone)]
