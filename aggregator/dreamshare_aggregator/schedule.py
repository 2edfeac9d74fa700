"""Several tasks at once over one fleet: who is at work, who rests, who waits for its turn.

Rules:
- as many tasks run at once as the settings say; `turns` says which; each has its own machine and
  epochs, and devices take part in as many as their owners allow;
- a task that rests (paused, or out of turn) finishes its open round, begins nothing, and keeps its
  epoch as long as that lives; no new order reaches its devices meanwhile;
- a task that was paused stays paused over restarts; one that was only queued goes on by itself;
- the database is everybody's: where it cannot be written nothing goes on; any other error of one
  task ends that task alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dreamshare.clock import Clock
from dreamshare.driver.jobs import Jobs
from dreamshare.driver.waiting import first_of
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import DeviceStatus, TaskPhase, TaskStatus
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare_aggregator.board import Board, Entry
from dreamshare_aggregator.tasks import Add, LiveTask
from dreamshare_aggregator.turns import Turns, TurnSettings

_LOG = logging.getLogger(__name__)


class Schedule:
    """The tasks at work.

    Args:
        board: every task.
        clock: what time it is.
        make: prepares a task to be run; raises ConfigError where it cannot be any more.
        settings: how many at once.
    """

    def __init__(
        self,
        board: Board,
        clock: Clock,
        make: Callable[[Entry], LiveTask],
        settings: TurnSettings,
    ) -> None:
        self._board = board
        self._clock = clock
        self._make = make
        self._turns = Turns(settings)
        self._live: dict[TaskId, LiveTask] = {}
        self._changed = asyncio.Event()
        self._started = asyncio.Event()  # another one after each start

    # ---- what operators want ---------------------------------------------------------------------

    def look(self) -> None:
        """Something is new: a task, or a wish about one."""
        self._changed.set()

    def end(self, task: TaskId) -> None:
        """End a task, at work or not."""
        self._board.entry(task).cancelled = True
        if task in self._live:
            self._live[task].cancel()
        self.look()

    async def pause(self, task: TaskId, give_up: bool) -> TaskStatus:
        """Let a task rest until `resume`; raises ConfigError where it is over."""
        entry = self._unfinished(task)
        if not entry.progress.paused:
            await self._board.step(entry, lambda p: (p.pause(), "paused"))
        if task in self._live:
            self._live[task].hold(give_up)
        self.look()
        return self._unfinished(task).status

    async def resume(self, task: TaskId) -> TaskStatus:
        """Let a paused task go on when its turn comes; raises ConfigError where it is over."""
        entry = self._unfinished(task)
        if entry.progress.paused:
            await self._board.step(entry, lambda p: (p.resume(), "unpaused"))
        self.look()
        return self._unfinished(task).status

    async def ask(self, asked: AskTask) -> TaskAnswer:
        """Return a task's answer to a question; raises ConfigError where there is none."""
        self._unfinished(asked.task)
        while asked.task not in self._live:
            await self._started.wait()
            self._unfinished(asked.task)
        return await self._live[asked.task].ask(asked)

    def _unfinished(self, task: TaskId) -> Entry:
        entry = self._board.entry(task)
        if entry.ended:
            raise ConfigError(f"task {task.hex()} is over: it is {entry.status.phase.value}")
        return entry

    # ---- at work ---------------------------------------------------------------------------------

    async def work(self, add: Add) -> None:
        """Run tasks until cancelled.

        Args:
            add: hands a coordinator to the driver.

        Raises:
            OSError: the database cannot be written.
        """
        jobs = Jobs()
        try:
            await first_of(self._run(add, jobs), jobs.until_failed())
        finally:
            await jobs.stop()

    async def count(self, devices: tuple[DeviceStatus, ...]) -> None:
        """Tell the tasks at work how many of these could take part, while they wait for some."""
        for task, live in tuple(self._live.items()):
            status = self._board.entry(task).status
            here = [
                device
                for device in devices
                if device.connected
                and status.algorithm in device.algorithms
                and device.device not in status.faulty
            ]
            await live.count_devices(len(here))

    async def _run(self, add: Add, jobs: Jobs) -> None:
        while True:
            self._changed.clear()
            for entry in self._board.unfinished():
                if entry.cancelled and entry.status.task not in self._live:
                    await self._board.end(entry, TaskPhase.CANCELLED, "cancelled in the queue")
            wanting = self.wanting()
            chosen = self._turns.choose(
                [(entry.status.task, entry.order.priority) for entry in wanting], self._clock.now()
            )
            for entry in wanting:
                task = entry.status.task
                if task not in chosen:
                    if task in self._live:
                        self._live[task].hold()
                elif task in self._live:
                    self._live[task].release()
                else:
                    await self._start(entry, add, jobs)
            await self._until_change(len(wanting) > len(chosen))

    def wanting(self) -> tuple[Entry, ...]:
        """Return who would run if there were room, oldest first."""
        unfinished = self._board.unfinished()
        return tuple(e for e in unfinished if not e.cancelled and not e.progress.paused)

    async def _start(self, entry: Entry, add: Add, jobs: Jobs) -> None:
        try:
            live = self._live[entry.status.task] = self._make(entry)
        except ConfigError as error:  # taken by another release, or with another catalogue
            await self._fail(entry, str(error))
        else:
            jobs.start(self._follow(entry, live, add))
        started, self._started = self._started, asyncio.Event()
        started.set()

    async def _follow(self, entry: Entry, live: LiveTask, add: Add) -> None:
        task = entry.status.task
        try:
            await live.work(add, lambda: self._had_round(task))
        except OSError:
            raise  # the database: nothing can go on
        except Exception as error:  # noqa: BLE001  one task's bug must not stop every start
            _LOG.exception("task %s ended with an error of its algorithm", task.hex())
            live.cancel()
            await self._fail(entry, f"{type(error).__name__}: {error}")
        finally:
            if entry.ended:  # else the driver has stopped, and the task goes on at the next start
                del self._live[task]
                self.look()

    async def _fail(self, entry: Entry, reason: str) -> None:
        await self._board.end(entry, TaskPhase.FAILED, reason)
        self.look()

    def _had_round(self, task: TaskId) -> None:
        if self._turns.had_round(task, self._clock.now()):
            self.look()

    async def _until_change(self, somebody_waits: bool) -> None:
        due = self._turns.next_change() if somebody_waits else None
        if due is None:
            await self._changed.wait()
        else:
            await first_of(self._wait(), self._clock.sleep_until(due))

    async def _wait(self) -> None:
        await self._changed.wait()
