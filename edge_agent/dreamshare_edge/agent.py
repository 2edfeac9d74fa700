"""The edge agent as an object: what an application embeds.

    agent = EdgeAgent(
        link=GrpcLink("grpcs://aggregator.example:7443", tls=TlsFiles.of(identity)),
        learner=TorchLearner(net, ...),
        data=MyPhotos(album),
        algorithms=("codream/1", "evaluate/1"),
        store=FileStore(app_dir / "federation"),
        policy=Policy(least_cohort=8, on_charger=True, unmetered=True, rounds_per_day=400),
        identity=identity,                  # Identity.load(app_dir / "device.key")
    )
    async with agent:
        async for outcome in agent.outcomes():
            log.info("%s", sentence_of(outcome))

Rules:
- while the agent is open the learner belongs to it: its weights change when the device learns;
- computing runs in a thread of its own: the link answers meanwhile. Where conditions change, it is
  halted at its next batch or step, and the round is declined at once;
- leaving the block declines what is being computed, says so, and stores everything; a kill at any
  instant loses nothing that was promised to the aggregator;
- the store belongs to one agent and is closed with it;
- logs hold ids, counts, sizes and reasons, and nothing that comes from data: what an error of the
  learner or the data says is in the outcome and in the device's report alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from dreamshare.binding import CatalogWork, Lookup
from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.device import DeviceDriver
from dreamshare.driver.work import WorkSettings
from dreamshare.engine import ThreadEngine
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.learning.base import Data, Learner
from dreamshare.protocol.outcomes import DeviceOutcome, RoundDeclined
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.base import Link
from dreamshare.transport.tap import ByteCounter, TappedLink
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.conditions import (
    DeviceConditions,
    LocalHour,
    ManualConditions,
    Refreshed,
)
from dreamshare_edge.describe import sentence_of
from dreamshare_edge.desk import AgentDesk, AgentPermits
from dreamshare_edge.equipment import Equipment
from dreamshare_edge.policy import Policy
from dreamshare_edge.report import Report, report_file
from dreamshare_edge.spending import NOTED_BYTES, Spending
from dreamshare_edge.store import FileStore
from dreamshare_edge.worker import AgentWorker

_LOG = logging.getLogger(__name__)
_OUTCOMES_KEPT = 10_000

LOOK_S = 30.0
"""Seconds after which an agent looks at its conditions again."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an agent finds around it; the defaults suit a device.

    Attributes:
        label: what the operator sees beside the device's id.
        attributes: what the owner makes public for the choice of cohorts, e.g. region = "eu".
        seed: of the device's own sampling, >= 0; masks never depend on it.
        report: the device's own report, JSON lines; None writes none.
        lookup: where algorithms come from, for an application that brings its own; None takes the
            catalogue of this release.
        conditions: power and network.
        clock: what time it is.
        entropy: of keys.
        backoff: the waits between connections.
        threads: how many mask and check at a time, 1 or more; 1 leaves the rest to the owner.
    """

    label: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    report: Path | None = None
    lookup: Lookup | None = None
    conditions: DeviceConditions = field(default_factory=ManualConditions)
    clock: Clock = field(default_factory=SystemClock)
    entropy: Entropy = field(default_factory=SystemEntropy)
    backoff: BackoffSettings = field(default_factory=BackoffSettings)
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"threads is {self.threads}; it must be 1 or more")


class EdgeAgent:
    """One device that takes part in rounds; open it with `async with`, once.

    Args:
        link: the way to the aggregator.
        learner: what computes; used by nobody else meanwhile.
        data: the device's own examples.
        algorithms: what the device is willing to compute, e.g. ("codream/1", "evaluate/1").
        store: the device's folder.
        policy: what the owner allows.
        identity: the device's own.
        surroundings: label, seed, report file, conditions, clock.

    Raises:
        ConfigError: an algorithm is unknown, or the policy allows none of them.
    """

    def __init__(
        self,
        link: Link,
        learner: Learner,
        data: Data,
        algorithms: Sequence[str],
        store: FileStore,
        policy: Policy,
        identity: Identity,
        surroundings: Surroundings | None = None,
    ) -> None:
        around = surroundings or Surroundings()
        self._identity = identity
        self._policy = policy
        self._around = around
        self._store = store
        self._engine = ThreadEngine(policy.tasks_at_once)
        self._steps = ThreadEngine()  # of the protocol's machines: they go on while it computes
        self._looks = ThreadEngine()  # at conditions that have to be asked for
        self._traffic = ByteCounter()
        self._lines: TextIO | None = None
        kept = around.report is not None
        self._report = Report(self._write, around.clock, self._traffic, lambda: self.spent, kept)
        self._running: asyncio.Task[None] | None = None
        self._outcomes: deque[DeviceOutcome] = deque(maxlen=_OUTCOMES_KEPT)
        self._news = asyncio.Event()
        self._over = False
        conditions = LocalHour(around.conditions, around.clock)
        self._spending = Spending(store, self._traffic, around.clock)
        work = CatalogWork([name for name in algorithms if policy.allows(name)], around.lookup)
        permits = AgentPermits(algorithms, policy, conditions, self._spending, work.disclosure)
        if not permits.algorithms:
            raise ConfigError(f"the policy allows none of the algorithms {', '.join(algorithms)}")
        self._permits = permits
        self._refusing = ""  # why the last check-in offered nothing
        self._worker = AgentWorker(
            Equipment(learner, data),
            work,
            identity.id,
            around.seed,
            self._engine,
            store,
            around.clock,
            self._report,
            self._spending,
            policy,
        )
        self._desk = desk = AgentDesk(
            identity,
            policy,
            store,
            permits,
            around.label,
            around.entropy,
            _LOG.warning,
            around.threads,
            around.attributes,
        )
        # Jitter of reconnects: it must differ between devices and decides nothing else.
        jitter = random.Random(around.entropy.draw(16))
        tapped = TappedLink(link, self._traffic)
        self._driver = DeviceDriver(
            tapped,
            identity,
            around.clock,
            desk,
            self._worker,
            jitter,
            around.backoff,
            engine=self._steps,
            work=WorkSettings(policy.tasks_at_once, policy.wait_for_turn_s),
        )

    @property
    def device(self) -> bytes:
        """The device's id, 16 bytes."""
        return self._identity.id

    @property
    def connected(self) -> bool:
        """Whether the link to the aggregator is open."""
        return self._driver.connected

    @property
    def traffic(self) -> ByteCounter:
        """Bytes sent and received since the agent was opened."""
        return self._traffic

    @property
    def spent(self) -> float:
        """Epsilon spent in the last 30 days, at the policy's delta.

        0 when nothing was answered; inf after a round without noise.
        """
        return self._desk.spent(self._around.clock.now())

    async def __aenter__(self) -> Self:
        """Take up the stored weights and journals, and begin to connect.

        Raises:
            ConfigError: the stored weights do not fit the learner.
            DamagedLog: a journal is damaged.
        """
        if self._running is not None:
            raise LocalProtocolError("an EdgeAgent is opened once; make another one")
        if self._around.report is not None:
            self._lines = report_file(self._around.report)
        await self._look()
        accuracy = await self._worker.begin()
        self._report.started(self._identity.id, self._around.label, accuracy)
        self._running = asyncio.create_task(self._run(), name="dreamshare-agent")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._driver.close()
        if self._running is not None:
            with contextlib.suppress(Exception):  # told by `outcomes` where somebody listens
                await self._running
        self._engine.close()
        self._steps.close()
        self._looks.close()
        with contextlib.suppress(OSError):  # of a full disk, which `outcomes` told
            self._spending.settle()
        self._store.close()
        self._report.stopped()
        if self._lines is not None:
            self._lines.close()

    async def outcomes(self) -> AsyncIterator[DeviceOutcome]:
        """Yield what happens, in order, until the agent is closed; for one reader.

        The last 10,000 outcomes wait for a reader that is late.

        Raises:
            Rejected: the aggregator does not take this identity or version.
            OSError: the store cannot be written.
        """
        while True:
            while self._outcomes:
                yield self._outcomes.popleft()
            if self._over:
                break
            self._news.clear()
            await self._news.wait()
        if self._running is not None:
            await self._running

    def conditions_changed(self) -> None:
        """Look at the conditions again.

        Where they no longer allow it, computing is declined; the aggregator is told whether this
        device is ready, so that it is chosen for cohorts or not. The agent looks by itself every
        `LOOK_S` seconds.
        """
        before, self._refusing = self._refusing, self._permits.not_ready()
        if self._refusing:
            self._driver.interrupt(self._refusing)
        if bool(before) != bool(self._refusing):
            self._driver.check_in()

    async def _watch(self) -> None:
        clock = self._around.clock
        while True:
            await clock.sleep_until(clock.now() + LOOK_S)
            await self._look()
            with contextlib.suppress(OSError):  # of a full disk: the next round says so
                await self._steps.run(lambda: self._spending.settle(NOTED_BYTES))
            if bool(self._permits.not_ready()) != bool(self._refusing):
                self.conditions_changed()

    async def _look(self) -> None:
        source = self._around.conditions
        if isinstance(source, Refreshed):
            try:
                await self._looks.run(source.refresh)
            except Exception as error:  # noqa: BLE001  the app's own: what was read before stands
                _LOG.warning("the device's conditions cannot be found out: %r", error)

    async def _run(self) -> None:
        listening = asyncio.create_task(self._listen())
        self._refusing = self._permits.not_ready()
        watching = asyncio.create_task(self._watch())
        try:
            await self._driver.run()
            await listening
        finally:
            listening.cancel()
            watching.cancel()
            self._over = True
            self._news.set()

    async def _listen(self) -> None:
        async for outcome in self._driver.outcomes():
            log_outcome(outcome)
            self._report.outcome(outcome)
            self._outcomes.append(outcome)
            self._news.set()

    def _write(self, line: str) -> None:
        if self._lines is not None:
            self._lines.write(line + "\n")


def log_outcome(outcome: DeviceOutcome) -> None:
    """Log an outcome; what was declined, and why, is a warning: the owner may look for it."""
    level = logging.WARNING if isinstance(outcome, RoundDeclined) else logging.DEBUG
    _LOG.log(level, "%s", sentence_of(outcome))
