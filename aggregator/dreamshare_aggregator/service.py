"""The aggregator as an object: what `dreamshare up` runs and what an application embeds.

    async with Aggregator(
        listeners=[GrpcListener("0.0.0.0:7443", tls=tls)],
        store=open_store("sqlite:///rounds.db"),
        identity=Identity.load("aggregator.key"),
    ) as aggregator:
        task = await aggregator.submit(CodreamConfig(...), cohort=Cohort(least=8, most=64))
        result = await task.result()

Rules:
- several tasks run at once over one fleet (`schedule`); what waits goes on in turns (`turns`);
- a submission that comes twice, because its answer was lost, is taken once;
- one aggregator of a federation is active; another one stands by where it may, answers nobody, and
  goes on with the same tasks when the active one is gone (docs/adr/0013);
- leaving the block stops between two steps: unfinished tasks go on at the next start, from their
  last stored state;
- the aggregator learns one sum per round and who is in it; it has no way to ask for more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from dreamshare.algorithms.catalog import config_json_of
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.engine import ThreadEngine
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import TaskId
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.history import RoundEntry
from dreamshare.protocol.messages import (
    Cohort,
    Deadlines,
    DeviceStatus,
    Submit,
    TaskPhase,
    TaskReport,
    TaskStatus,
)
from dreamshare.transport.base import Listener
from dreamshare.transport.tap import TappedListener
from dreamshare_aggregator.absence import Absences
from dreamshare_aggregator.board import ENDED, Board, Entry
from dreamshare_aggregator.capture import Capture
from dreamshare_aggregator.control import Control
from dreamshare_aggregator.front import Front
from dreamshare_aggregator.handle import Task
from dreamshare_aggregator.lease import Held
from dreamshare_aggregator.readiness import show_certificate, tell_readiness
from dreamshare_aggregator.retention import keep_tidy
from dreamshare_aggregator.schedule import Schedule
from dreamshare_aggregator.store import Store
from dreamshare_aggregator.surroundings import ShardCount, Surroundings
from dreamshare_aggregator.tasks import LiveTask, prepare
from dreamshare_crypto.identity import Identity

_LOG = logging.getLogger(__name__)


class Aggregator:
    """The service; open it with `async with`, once.

    Args:
        listeners: where devices and operators come in.
        store: its database; opened and closed here.
        identity: the aggregator's own.
        surroundings: capture, catalogue, clock, entropy.
        watch: called with every report of every task, on the event loop; must be quick.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        store: Store,
        identity: Identity,
        surroundings: Surroundings | None = None,
        watch: Callable[[TaskReport], None] | None = None,
    ) -> None:
        self._around = surroundings or Surroundings()
        self._identity = identity
        self._store = store
        self._watch = watch
        self._board = Board(store, self._reported)
        self._capture: Capture | None = None
        # One thread more than compute, so that frames are opened while a sum is unmasked.
        self._engine = ThreadEngine(self._around.threads + 1)
        self._listeners = tuple(listeners)
        self._driver: AggregatorDriver | None = None
        self._serving: asyncio.Task[None] | None = None
        self._submitting = asyncio.Lock()
        self._traffic = asyncio.Event()  # a device came or went, or a task needs it no more
        self._absences = Absences(self._around.away_s, self._around.entropy)
        self._schedule = Schedule(self._board, self._around.clock, self._make, self._around.turns)
        self._control = Control(
            self._board,
            self._submit,
            self._cancel,
            self._schedule.pause,
            self._schedule.resume,
            self.devices,
            store.history,
            self._schedule.ask,
        )
        self._held: Held | None = None
        self._active = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the database, bind the listeners, take up unfinished tasks.

        Raises:
            ConfigError: the database, an address, a certificate or the capture file is unusable.
        """
        if self._driver is not None:
            raise LocalProtocolError("an Aggregator is opened once; make another one")
        listeners = self._listeners
        if self._around.capture is not None:
            self._capture = capture = Capture(self._around.capture, self._around.clock)
            listeners = tuple(TappedListener(listener, capture) for listener in listeners)
        self._driver = AggregatorDriver(
            listeners,
            self._identity,
            self._around.clock,
            Front(self._control, self._board, self._traffic.set, self._around.evidence),
            grace_s=self._around.grace_s,
            engine=self._engine,
            trace=self._around.trace,
            trunks=self._around.trunks,
        )
        try:
            if self._around.may_stand_by:
                self._stand_by(await self._store.try_to_open())
            else:
                await self._store.__aenter__()
            if self._held is None:
                await self._begin(self._driver)
        except BaseException:
            self._engine.close()
            await self._close_files()
            raise
        self._serving = asyncio.create_task(
            self._serve_when_active(self._driver), name="dreamshare-aggregator"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._driver is not None and self._serving is not None:
            if self._active.is_set():
                await self._driver.close()
            else:
                await self._store.close()
            with contextlib.suppress(Exception):  # told by `wait` where somebody listens
                await self._serving
        await asyncio.to_thread(self._engine.close)
        await self._close_files()

    @property
    def standby(self) -> Held | None:
        """Who is active instead, while this one stands by; None when it is active itself."""
        return self._held

    @property
    def outage(self) -> str | None:
        """Why the database does not answer now; None while it does. Tasks wait for it."""
        return self._store.outage

    async def until_active(self) -> None:
        """Return when this aggregator listens; waits for its turn where it stands by."""
        await self._active.wait()

    async def wait(self) -> None:
        """Return when the service has stopped; raises what stopped it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    def renew(self, identity: Identity) -> None:
        """Go on with a newer certificate or revocation list; revoked parties are sent away."""
        trunks = () if self._around.trunks is None else (self._around.trunks,)
        show_certificate((*self._listeners, *trunks), self._identity, identity)
        self._identity = identity
        if self._driver is not None:
            self._driver.renew(identity)

    # ---- tasks -----------------------------------------------------------------------------------

    async def submit(
        self,
        config: object,
        cohort: Cohort,
        deadlines: Deadlines | None = None,
        seed: int = 0,
        name: str = "",
        privacy: Privacy | None = None,
        priority: int = 0,
    ) -> Task:
        """Queue a task.

        Args:
            config: of a registered algorithm, e.g. CodreamConfig(...).
            cohort: who takes part.
            deadlines: of each stage.
            seed: public seed of the algorithm's own draws, >= 0.
            name: for people.
            privacy: noise of every sum; None for none.
            priority: 0 to 9; tasks of a higher one go first.

        Raises:
            ConfigError: this cannot be run; the text says why.
        """
        algorithm, canonical = config_json_of(config)
        times = deadlines or Deadlines()
        order = Submit(algorithm, canonical, cohort, times, seed, name, privacy, priority)
        return await self.order(order)

    async def order(self, order: Submit) -> Task:
        """Queue a task whose config is canonical JSON already; see `submit`."""
        return self.task((await self._submit(order)).task)

    def task(self, task: TaskId) -> Task:
        """Return a task; raises ConfigError where there is none."""
        self._board.entry(task)
        return Task(task, self._board, self._schedule)

    def tasks(self) -> tuple[TaskStatus, ...]:
        """Return every task's status, oldest first."""
        return self._board.statuses()

    async def history(self, task: TaskId, after: int = 0, most: int = 500) -> Sequence[RoundEntry]:
        """Return at most `most` ended rounds of a task with a number above `after`, in order."""
        return await self._store.history(task, after, most)

    @property
    def board(self) -> Board:
        """The tasks, to look at: their statuses, reports, states and results."""
        return self._board

    async def fault(self) -> str:
        """Return what keeps it from serving, in words; "" when it serves, "standby" in waiting."""
        if self._serving is None or self._serving.done():
            return "the aggregator is not running"
        if self._held is not None:
            return "standby"
        return await self._board.fault()

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return the devices that came since the start."""
        return () if self._driver is None else self._driver.devices()

    def shards(self) -> ShardCount:
        """Return how many shards are here, and how many somebody keeps alive."""
        here = 0 if self._driver is None else self._driver.shards
        return ShardCount(here, self._around.shards_wanted)

    async def _submit(self, order: Submit) -> TaskStatus:
        if not self._active.is_set():
            raise ConfigError("this aggregator stands by; submit to the one that is active")
        prepare(order, self._around.lookup)
        async with self._submitting:
            taken = self._board.submitted_as(order.key)
            if taken is not None:
                if taken.order != order:
                    raise ConfigError("another submission had this key; draw a new one for each")
                return taken.status
            status = TaskStatus(
                task=TaskId(self._around.entropy.draw(16)),
                name=order.name,
                algorithm=order.algorithm,
                phase=TaskPhase.WAITING,
                detail="queued",
                cycle=0,
                aggregations=0,
                abandoned=0,
                roster=0,
                alive=0,
                dropped=0,
                submitted=self._around.clock.now(),
                secure_aggregation=False,
                priority=order.priority,
            )
            await self._board.add(order, status)
        self._schedule.look()
        return status

    async def _cancel(self, task: TaskId) -> TaskStatus:
        if self._board.entry(task).ended:
            raise ConfigError(f"task {task.hex()} is over already")
        self._schedule.end(task)
        return await self._board.until_ended(task)

    # ---- serving ---------------------------------------------------------------------------------

    def _stand_by(self, held: Held | None) -> None:
        if held is not None and self._held is None:
            _LOG.warning("another aggregator is active (%s); this one stands by", held.holder)
        self._held = held

    async def _begin(self, driver: AggregatorDriver) -> None:
        await self._board.load()
        await driver.start()
        self._held = None
        self._active.set()

    async def _serve_when_active(self, driver: AggregatorDriver) -> None:
        if self._held is not None:
            if not await self._store.stand_by(self._stand_by):
                return
            _LOG.warning("this aggregator is active now and goes on with the tasks")
            await self._begin(driver)
        await self._serve(driver)

    async def _serve(self, driver: AggregatorDriver) -> None:
        around = self._around
        running = asyncio.create_task(driver.run())  # first: tasks need a driver that runs
        others = [
            asyncio.create_task(self._schedule.work(driver.add)),
            asyncio.create_task(self._count(driver)),
            asyncio.create_task(self._store.keep_lease()),
            asyncio.create_task(tell_readiness(self._listeners, self._store)),
            asyncio.create_task(keep_tidy(self._store, around.retention, around.clock)),
        ]
        try:
            await asyncio.wait({running, *others}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (task for task in others if task.done()):
                ended.result()
            await running
        finally:
            for task in others:
                task.cancel()
            await driver.close()
            await asyncio.gather(running, *others, return_exceptions=True)
            self._board.stop()  # last: operators hear of a stop from their links alone

    async def _count(self, driver: AggregatorDriver) -> None:
        """Tell the tasks at work how many devices are here, whenever one comes or goes."""
        while True:
            await self._traffic.wait()
            self._traffic.clear()
            devices = driver.devices()
            await self._schedule.count(devices)
            wanting = [entry.status for entry in self._schedule.wanting()]
            for device, for_s in self._absences.next(devices, wanting, self._around.clock.now()):
                driver.send_home(device, for_s)

    def _reported(self, report: TaskReport) -> None:
        if report.status.phase in (*ENDED, TaskPhase.PAUSED):
            self._traffic.set()
        if self._watch is not None:
            self._watch(report)

    def _make(self, entry: Entry) -> LiveTask:
        around = self._around
        return LiveTask(
            entry,
            prepare(entry.order, around.lookup),
            self._board,
            self._store,
            self._identity,
            around.entropy,
            around.threads,
            around.clock,
        )

    async def _close_files(self) -> None:
        await self._store.close()
        if self._capture is not None:
            self._capture.close()
