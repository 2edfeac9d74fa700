"""The page's read model: what it is shown first, and the news after that.

Rules:
- it looks at the board and the devices, and follows reports and rounds; it changes nothing;
- rounds are told at most every `GATHER_S`, devices every `DEVICES_S` and only while somebody looks:
  a cohort of thousands makes no more news than one of three;
- a task's past is read when somebody opens it, and kept up to date for the newest `MOST_OPEN`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from dreamshare.algorithms.base import Draws
from dreamshare.algorithms.checkpoint import decode_arrays
from dreamshare.binding import Lookup, TaskLoop
from dreamshare.clock import Clock
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.history import PAGE, RoundEntry
from dreamshare.protocol.messages import DeviceStatus, Submit, TaskPhase, TaskReport
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.telemetry.rounds import LiveRound, StageSpan
from dreamshare_aggregator.web.feed import Feed
from dreamshare_aggregator.web.ledger import (
    ROUND_EVENTS,
    Ledger,
    past_round,
    past_rounds,
    point_of,
    round_number,
)
from dreamshare_aggregator.web.pictures import Sheet, sheet_of
from dreamshare_aggregator.web.views import (
    MOST_DEVICES,
    Json,
    device_view,
    dumps,
    ledger_view,
    past_view,
    point_view,
    report_view,
    round_view,
    task_view,
    totals_view,
)

GATHER_S = 0.15
DEVICES_S = 1.0
MOST_OPEN = 32
MOST_TASKS = 200
MOST_TIMED = 4000
"""Rounds whose stages' times are kept, over all tasks."""


class ReadModel:
    """What pages read.

    Args:
        board: the tasks.
        history: ended rounds of a task above a number, so many at most.
        devices: who came.
        lookup: where algorithms come from.
        feed: where news go.
        clock: times the devices' news.
    """

    def __init__(
        self,
        board: Board,
        history: Callable[[TaskId, int, int], Awaitable[Sequence[RoundEntry]]],
        devices: Callable[[], tuple[DeviceStatus, ...]],
        lookup: Lookup,
        feed: Feed,
        clock: Clock,
    ) -> None:
        self.feed = feed
        self._board = board
        self._history = history
        self._devices = devices
        self._lookup = lookup
        self._clock = clock
        self._dirty: dict[int, LiveRound] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._current: OrderedDict[TaskId, LiveRound] = OrderedDict()
        self._over: dict[TaskId, deque[tuple[StageSpan, ...]]] = {}
        self._timed: OrderedDict[tuple[TaskId, int], tuple[StageSpan, ...]] = OrderedDict()
        self._ledgers: OrderedDict[TaskId, Ledger] = OrderedDict()
        self._told: dict[bytes, DeviceStatus] = {}
        self._sheets: OrderedDict[TaskId, tuple[int, Sheet | None]] = OrderedDict()
        self._meanwhile: list[tuple[TaskReport, tuple[StageSpan, ...]]] | None = None
        self._reading = asyncio.Lock()
        self._drawing = asyncio.Lock()
        self._drawable: dict[tuple[str, bytes], bool] = {}

    # ---- what happens ----------------------------------------------------------------------------

    def took(self, changed: LiveRound | None) -> None:
        """A round changed."""
        if changed is None:
            return
        self._current[changed.task] = changed
        self._current.move_to_end(changed.task)
        while len(self._current) > MOST_OPEN:
            self._current.popitem(last=False)
        self._dirty[changed.key] = changed
        if changed.over and changed.number is not None:
            self._over.setdefault(changed.task, deque(maxlen=8)).append(tuple(changed.spans))
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(GATHER_S, self._tell_rounds)

    def reported(self, report: TaskReport) -> None:
        """A task's report is durable."""
        task = report.status.task
        spans: tuple[StageSpan, ...] = ()
        news: dict[str, object] = {"task": self._task(task), "line": report_view(report)}
        if report.event in ROUND_EVENTS:
            known = self._over.get(task)
            spans = known.popleft() if known else ()
            self._timed[task, round_number(report)] = spans
            while len(self._timed) > MOST_TIMED:
                self._timed.popitem(last=False)
            news["past"] = past_view(past_round(report, spans))
        point = point_of(report)
        if point is not None:
            news["point"] = point_view(point)
        if task in self._ledgers:
            self._ledgers[task].add(report, spans)
        if self._meanwhile is not None:
            self._meanwhile.append((report, spans))
        if report.status.phase in (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED):
            self._over.pop(task, None)
        self.feed.put("report", dumps(news))

    async def tell_devices(self, looked_at: Callable[[], bool]) -> None:
        """Tell news of devices for ever, while `looked_at` says that somebody looks."""
        while True:
            await self._clock.sleep_until(self._clock.now() + DEVICES_S)
            if looked_at():
                self._tell_devices()

    # ---- what is shown ---------------------------------------------------------------------------

    def snapshot(self) -> Json:
        """Return everything that a page begins with, and the news that it stands at."""
        devices = self._devices()
        self._told = {device.device: device for device in devices}
        return {
            "at": self.feed.name(self.feed.last),
            "now": self._clock.now(),
            "tasks": [self._task(task) for task in self._listed()],
            "rounds": [round_view(live) for live in self._current.values()],
            "devices": [device_view(device) for device in _shown(devices)],
            "totals": totals_view(devices),
        }

    async def past(self, task: TaskId) -> Json:
        """Return a task with its past; raises ConfigError where there is none."""
        self._board.entry(task)
        async with self._reading:
            if task not in self._ledgers:
                await self._read(task)
        self._ledgers.move_to_end(task)
        return {"task": self._task(task), **ledger_view(self._ledgers[task])}

    async def sheet(self, task: TaskId) -> tuple[int, Sheet | None]:
        """Return the picture of a task's dreams and its version; None where there is none yet.

        Raises:
            ConfigError: there is no such task.
        """
        entry = self._board.entry(task)
        version = 2 * entry.status.aggregations + entry.ended
        async with self._drawing:  # one at a time: a picture costs a moment of a core
            known = self._sheets.get(task)
            if known is not None and known[0] == version:
                return known
            drawn = version, await self._draw(task, entry.order)
            self._sheets[task] = drawn
            self._sheets.move_to_end(task)
            while len(self._sheets) > MOST_OPEN:
                self._sheets.popitem(last=False)
        return drawn

    # ---- inside ----------------------------------------------------------------------------------

    async def _read(self, task: TaskId) -> None:
        ledger = Ledger()
        meanwhile = self._meanwhile = []  # what is reported while a page is fetched
        seen = 0
        while rounds := await self._history(task, seen, PAGE):
            for past in past_rounds(rounds, ledger.last_round):
                ledger.recall(replace(past, spans=self._timed.get((task, past.number), ())))
            seen = rounds[-1].number
        while page := await self._board.page(task, ledger.last):
            for report in page:
                ledger.add(report, self._timed.get((task, round_number(report)), ()))
        for report, spans in meanwhile:
            if report.status.task == task:
                ledger.add(report, spans)
        self._meanwhile = None
        self._ledgers[task] = ledger
        while len(self._ledgers) > MOST_OPEN:
            self._ledgers.popitem(last=False)

    async def _draw(self, task: TaskId, order: Submit) -> Sheet | None:
        if not self._draws(order):
            return None
        checkpoint = await self._board.checkpoint(task)
        archive = None
        if checkpoint is None and self._board.entry(task).status.phase is TaskPhase.DONE:
            archive = (await self._board.result(task)).archive
        if checkpoint is None and archive is None:
            return None
        return await asyncio.to_thread(self._drawn, order, checkpoint, archive)

    def _drawn(
        self, order: Submit, checkpoint: bytes | None, archive: bytes | None
    ) -> Sheet | None:
        algorithm = self._lookup(order.algorithm, order.config)
        if checkpoint is not None:
            gallery = TaskLoop(algorithm, order.config, order.seed, checkpoint).gallery
        elif archive is not None and isinstance(algorithm, Draws):
            gallery = algorithm.gallery_of(decode_arrays(archive))
        else:
            gallery = None
        return None if gallery is None else sheet_of(gallery)

    def _draws(self, order: Submit) -> bool:
        key = order.algorithm, order.config
        if key not in self._drawable:
            try:
                self._drawable[key] = isinstance(self._lookup(*key), Draws)
            except ConfigError:  # a task of another release, or of another catalogue
                self._drawable[key] = False
        return self._drawable[key]

    def _task(self, task: TaskId) -> Json:
        entry = self._board.entry(task)
        return task_view(entry.status, entry.order, self._draws(entry.order))

    def _listed(self) -> list[TaskId]:
        """Return what is listed, oldest first: all that is not over, and the newest of the rest."""
        statuses = self._board.statuses()
        newest = {status.task for status in statuses[-MOST_TASKS:]}
        unfinished = {entry.status.task for entry in self._board.unfinished()}
        return [s.task for s in statuses if s.task in newest or s.task in unfinished]

    def _tell_rounds(self) -> None:
        self._flush = None
        dirty, self._dirty = self._dirty, {}
        for live in dirty.values():
            self.feed.put("round", dumps(round_view(live)))

    def _tell_devices(self) -> None:
        devices = self._devices()
        told = self._told
        changed = [device for device in _shown(devices) if told.get(device.device) != device]
        self._told = {device.device: device for device in devices}
        if changed:
            views = [device_view(device) for device in changed]
            self.feed.put("devices", dumps({"changed": views, "totals": totals_view(devices)}))

    def close(self) -> None:
        """Tell no more."""
        if self._flush is not None:
            self._flush.cancel()
        self.feed.close()


def _shown(devices: tuple[DeviceStatus, ...]) -> tuple[DeviceStatus, ...]:
    """Return the devices that are listed: those that are here first."""
    return tuple(sorted(devices, key=lambda device: not device.connected)[:MOST_DEVICES])
