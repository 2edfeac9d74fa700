"""The tasks of one aggregator: what is known of each, and who waits for news of it.

Rules:
- a step is on the disk before anybody hears of it;
- watchers read numbered reports from the store, so a watcher that comes late, or comes back, misses
  nothing and costs no memory while it is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.ids import NO_TASK, TaskId
from dreamshare.protocol.history import EndedRound
from dreamshare.protocol.messages import Submit, TaskPhase, TaskReport, TaskResult, TaskStatus
from dreamshare_aggregator.progress import Progress
from dreamshare_aggregator.store import Store

PATIENCE_S = 2.0
"""Seconds within which the database of an aggregator that serves answers."""

ENDED = (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)
"""Phases after which a task has no more reports."""


class AggregatorStopped(DreamshareError):
    """The aggregator stopped before a task was over; its next start goes on with the task."""


class Entry:
    """One task on the board."""

    def __init__(self, order: Submit, progress: Progress) -> None:
        self.order = order
        self.progress = progress
        self.news = asyncio.Event()
        self.lock = asyncio.Lock()
        self.cancelled = False  # an operator wants it ended

    @property
    def status(self) -> TaskStatus:
        """What operators see."""
        return self.progress.status

    @property
    def ended(self) -> bool:
        """Whether the task is over."""
        return self.status.phase in ENDED


class Board:
    """Every task, oldest first.

    Args:
        store: where everything is durable.
        watch: called with every report, when it is durable.
    """

    def __init__(self, store: Store, watch: Callable[[TaskReport], None] | None = None) -> None:
        self._store = store
        self._watch = watch or _nobody
        self._entries: dict[TaskId, Entry] = {}
        self._stopped = False

    def stop(self) -> None:
        """No task goes on from here: whoever waits for news is told so. Idempotent."""
        self._stopped = True
        for entry in self._entries.values():
            entry.news.set()

    async def load(self) -> None:
        """Read the tasks of earlier lives of the aggregator."""
        for stored in await self._store.tasks():
            self._entries[stored.status.task] = Entry(stored.order, Progress.stored(stored.status))

    async def add(self, order: Submit, status: TaskStatus) -> Entry:
        """Put a new task on the board, durably."""
        report = await self._store.add(order, status)
        entry = self._entries[status.task] = Entry(order, Progress(status))
        self._watch(report)
        return entry

    async def step(
        self,
        entry: Entry,
        change: Callable[[Progress], tuple[Progress | None, str]],
        metrics: Mapping[str, float] | None = None,
        state: bytes | None = None,
        done: EndedRound | None = None,
    ) -> None:
        """Note a step of a task, durably, with its new state and the round it ended, if any.

        Args:
            change: gives the next progress and the event's name; None where there is nothing to
                note. Steps of one task do not overlap.
        """
        async with entry.lock:
            progress, event = change(entry.progress)
            if progress is not None and not entry.ended:
                report = await self._store.advance(progress.status, event, metrics, state, done)
                self._tell(entry, progress, report)

    async def end(
        self,
        entry: Entry,
        phase: TaskPhase,
        detail: str,
        metrics: Mapping[str, float] | None = None,
        archive: bytes | None = None,
    ) -> None:
        """Note a task's end, durably, with its result where it has one."""
        async with entry.lock:
            progress = entry.progress.now(phase, detail)
            report = await self._store.finish(progress.status, phase.value, metrics, archive)
            self._tell(entry, progress, report)

    def statuses(self) -> tuple[TaskStatus, ...]:
        """Return every task's status, oldest first."""
        return tuple(entry.status for entry in self._entries.values())

    def submitted_as(self, key: bytes) -> Entry | None:
        """Return the task of the submission with this key, if it was taken."""
        return next((e for e in self._entries.values() if key and e.order.key == key), None)

    def unfinished(self) -> tuple[Entry, ...]:
        """Return the tasks that are not over, oldest first."""
        return tuple(entry for entry in self._entries.values() if not entry.ended)

    def entry(self, task: TaskId) -> Entry:
        """Return a task; raises ConfigError where there is none."""
        try:
            return self._entries[task]
        except KeyError:
            text = f"there is no task {task.hex()}; list the tasks to see which there are"
            raise ConfigError(text) from None

    async def reports(self, task: TaskId, after: int = 0) -> AsyncIterator[TaskReport]:
        """Yield the reports of a task above `after` until it is over.

        Raises:
            ConfigError: there is no such task.
            AggregatorStopped: no more will come from here.
        """
        entry = self.entry(task)
        while True:
            news, ended = entry.news, entry.ended
            found = await self._store.reports(task, after)
            for report in found:
                after = report.number
                yield report
            if ended and not found:
                return
            if not found:
                self._check_serving()
                await news.wait()

    async def page(self, task: TaskId, after: int) -> Sequence[TaskReport]:
        """Return some reports of a task above `after`, in order; none where there is none yet."""
        return await self._store.reports(task, after)

    async def checkpoint(self, task: TaskId) -> bytes | None:
        """Return a task's last stored state; None before there is one, and when it is over."""
        return await self._store.checkpoint(task)

    async def fault(self) -> str:
        """Return why the database does not answer, in words; "" when it answers."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._store.reports(NO_TASK, most=1)
        except (OSError, TimeoutError) as error:
            return f"the database does not answer: {error}"
        return ""

    async def until_ended(self, task: TaskId) -> TaskStatus:
        """Return a task's status when it is over.

        Raises:
            ConfigError: there is no such task.
            AggregatorStopped: it does not end here.
        """
        entry = self.entry(task)
        while not entry.ended:
            self._check_serving()
            await entry.news.wait()
        return entry.status

    def _check_serving(self) -> None:
        if self._stopped:
            raise AggregatorStopped("the aggregator stopped; its next start goes on with the task")

    async def result(self, task: TaskId) -> TaskResult:
        """Return the result of a task that is done; raises ConfigError where there is none."""
        status = self.entry(task).status
        found = await self._store.result(status)
        if found is None:
            raise ConfigError(f"task {task.hex()} has no result: it is {status.phase.value}")
        return found

    def _tell(self, entry: Entry, progress: Progress, report: TaskReport) -> None:
        entry.progress = progress
        entry.news.set()
        entry.news = asyncio.Event()
        self._watch(report)


def _nobody(report: TaskReport) -> None:
    """Watch without looking."""
