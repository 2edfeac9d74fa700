"""What a device computes: one order per task, each in a task of its own, some of them at once.

Rules:
- as many orders run at once as the owner allows, over all tasks; the others wait in the order in
  which they came. Learning changes the weights, so it runs alone;
- an order that waits too long for its turn is declined, so that no round waits for a device that is
  busy with another task;
- a new order replaces the running one, and a result that nobody waits for any more is dropped;
  where the algorithm carries late answers over, the running one is finished first and set aside;
- whatever a learner raises is told to the machine: an app's error ends no driver.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dreamshare.clock import Clock
from dreamshare.driver.desk import Carrier, Worker
from dreamshare.driver.waiting import first_of
from dreamshare.errors import ConfigError, DreamshareError, PrivacyError
from dreamshare.ids import TaskId
from dreamshare.protocol.events import (
    Compute,
    Computed,
    ComputeFailed,
    Learn,
    LearnFailed,
    Learnt,
)
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Update
from dreamshare_crypto.errors import RefusalCode

Result = Computed | ComputeFailed | Learnt | LearnFailed


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How much a device computes at once.

    Attributes:
        at_once: orders, over all tasks; 1 or more.
        turn_s: seconds that a round's order waits for its turn before it is declined, > 0.
    """

    at_once: int = 1
    turn_s: float = 60.0

    def __post_init__(self) -> None:
        if self.at_once < 1 or not self.turn_s > 0:
            raise ConfigError(
                "a device computes 1 thing or more at once, and waits above 0 seconds"
            )


class Busy(DreamshareError):
    """The device computes for another task, and this round waited long enough."""


@dataclass(eq=False, slots=True)
class _Job:
    """An order in work: the task that does it, and whether it has begun."""

    order: Compute | Learn
    doing: asyncio.Task[None] | None = None
    begun: bool = False


class Workbench:
    """The running computations of one device.

    Args:
        worker: who computes.
        finished: called with each result; `collect` says whether it is still wanted.
        clock: times the waiting for a turn.
        settings: how much at once.
    """

    def __init__(
        self,
        worker: Worker,
        finished: Callable[[TaskId, Result], None],
        clock: Clock,
        settings: WorkSettings | None = None,
    ) -> None:
        self._worker = worker
        self._carrier = worker if isinstance(worker, Carrier) else None
        self._finished = finished
        self._clock = clock
        self._settings = settings or WorkSettings()
        self._places = _Places(self._settings.at_once)
        self._jobs: dict[TaskId, _Job] = {}
        self._late: dict[TaskId, asyncio.Task[None]] = {}  # finished for the next round's sake
        self._results: dict[TaskId, Result] = {}

    def start(self, task: TaskId, order: Compute | Learn) -> None:
        """Begin, or wait for a turn; what the task was computing is stopped, or set aside."""
        before = self._jobs.get(task)
        if before is not None and before.doing is not None and self._is_carried(before, order):
            del self._jobs[task]
            self._late[task] = before.doing
        self._drop(task)
        self._jobs[task] = job = _Job(order)
        job.doing = asyncio.ensure_future(self._work(task, job, self._late.get(task)))

    def stop(self, task: TaskId) -> None:
        """Stop what the task is computing; a result that is ready already is dropped."""
        late = self._late.pop(task, None)
        if late is not None:
            late.cancel()
        self._drop(task)

    def _drop(self, task: TaskId) -> None:
        self._results.pop(task, None)
        job = self._jobs.pop(task, None)
        if job is not None and job.doing is not None:
            job.doing.cancel()

    def collect(self, task: TaskId, result: Result) -> bool:
        """Take a finished result off the bench; False when it was stopped or replaced meanwhile."""
        wanted = self._results.get(task) is result
        if wanted:
            del self._results[task]
        return wanted

    async def set_aside(self, task: TaskId, plan: RoundPlan, update: Update) -> None:
        """Keep an answer that came too late for its round, where its algorithm carries it over."""
        if self._carrier is not None and self._carrier.carries(plan):
            await self._carrier.set_aside(task, plan, update)

    @property
    def running(self) -> tuple[asyncio.Task[None], ...]:
        """What is being computed, to be stopped at the end."""
        jobs = (job.doing for job in self._jobs.values() if job.doing is not None)
        return (*jobs, *self._late.values())

    def _is_carried(self, before: _Job, order: Compute | Learn) -> bool:
        """Say whether a running order is worth finishing although its round is over."""
        if self._carrier is None or not before.begun:
            return False
        match before.order, order:
            case Compute(plan=old), Compute(plan=new):
                later = new.step == old.step and new.cycle > old.cycle  # that sum was closed
                return later and self._carrier.carries(old)
        return False

    async def _work(self, task: TaskId, job: _Job, late: asyncio.Task[None] | None) -> None:
        if late is not None:
            await asyncio.wait({late})
        order = job.order
        if isinstance(order, Compute):
            result = await self._compute(task, job, order)
        else:
            result = await self._learn(task, job, order)
        if self._jobs.get(task) is job:
            del self._jobs[task]
            self._results[task] = result
            self._finished(task, result)
        elif isinstance(result, Computed) and isinstance(order, Compute):
            await self.set_aside(task, order.plan, result.update)
        if self._late.get(task) is job.doing:
            del self._late[task]

    async def _compute(self, task: TaskId, job: _Job, order: Compute) -> Result:
        try:
            async with self._turn(1, self._settings.turn_s):
                job.begun = True
                update = await self._worker.compute(task, order)
        except (PrivacyError, Busy) as error:
            return ComputeFailed(order.payload_hash, str(error), RefusalCode.S6)
        except Exception as error:  # noqa: BLE001  the border to the app's learner: it is reported
            return ComputeFailed(order.payload_hash, f"{type(error).__name__}: {error}")
        return Computed(order.payload_hash, update)

    async def _learn(self, task: TaskId, job: _Job, order: Learn) -> Result:
        try:
            async with self._turn(self._settings.at_once, None):
                job.begun = True
                await self._worker.learn(task, order)
        except Exception as error:  # noqa: BLE001  as above
            return LearnFailed(order.number, f"{type(error).__name__}: {error}")
        return Learnt(order.number)

    @asynccontextmanager
    async def _turn(self, count: int, patience_s: float | None) -> AsyncIterator[None]:
        """Hold so many places while the body runs; raises Busy when none is free in time."""
        if patience_s is None or self._places.free(count):
            await self._places.take(count)
        else:
            until = self._clock.now() + patience_s
            if not await first_of(self._took(count), self._too_late(until)):
                text = f"this device computed for other tasks for {patience_s:g} seconds"
                raise Busy(f"{text}; the round was not waited for longer")
        try:
            yield
        finally:
            self._places.give(count)

    async def _took(self, count: int) -> bool:
        await self._places.take(count)
        return True

    async def _too_late(self, until: float) -> bool:
        await self._clock.sleep_until(until)
        return False


@dataclass(slots=True)
class _Places:
    """So many places, given to who asked first."""

    left: int
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)

    def free(self, count: int) -> bool:
        """Say whether so many are to be had at once."""
        return not self.waiting and self.left >= count

    async def take(self, count: int) -> None:
        """Take so many, when everybody who asked before has his."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((count, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            else:
                self.waiting = deque(each for each in self.waiting if each[1] is not turn)
                self._hand_out()
            raise

    def give(self, count: int) -> None:
        """Give so many back."""
        self.left += count
        self._hand_out()

    def _hand_out(self) -> None:
        while self.waiting and self.left >= self.waiting[0][0]:
            count, turn = self.waiting.popleft()
            if not turn.cancelled():
                self.left -= count
                turn.set_result(None)
