"""What operators ask the aggregator, answered.

Rules:
- the driver has checked who asks: an operator may change things, a viewer only look (5.1 of
  docs/protocol.md), and is told so; a request arrives here after that;
- what cannot be done is a ControlError with the reason in words, never an exception on the wire;
- answers hold public things only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.history import FetchHistory, RoundEntry, TaskHistory
from dreamshare.protocol.messages import (
    Cancel,
    ControlError,
    DeviceList,
    DeviceStatus,
    FetchResult,
    ListDevices,
    ListTasks,
    Pause,
    Reply,
    Request,
    Resume,
    Submit,
    TaskList,
    TaskStatus,
    Watch,
)
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare_aggregator.board import ENDED, Board


@dataclass(frozen=True, slots=True)
class Control:
    """The front desk's operator window.

    Attributes:
        board: the tasks.
        submit: starts a task; raises ConfigError.
        cancel: ends a task; raises ConfigError.
        pause: lets a task rest, its open round given up where True; raises ConfigError.
        resume: lets it go on; raises ConfigError.
        devices: who came.
        history: ended rounds of a task above a number, so many at most.
        ask: answers a question to a task, when its sum is closed; raises ConfigError.
    """

    board: Board
    submit: Callable[[Submit], Awaitable[TaskStatus]]
    cancel: Callable[[TaskId], Awaitable[TaskStatus]]
    pause: Callable[[TaskId, bool], Awaitable[TaskStatus]]
    resume: Callable[[TaskId], Awaitable[TaskStatus]]
    devices: Callable[[], tuple[DeviceStatus, ...]]
    history: Callable[[TaskId, int, int], Awaitable[Sequence[RoundEntry]]]
    ask: Callable[[AskTask], Awaitable[TaskAnswer]]

    async def answer(self, request: Request) -> AsyncIterator[Reply]:
        """Yield the replies to a request; the last one has `last` set."""
        number = request.number
        try:
            match request.request:
                case Submit() as order:
                    yield Reply(number, await self.submit(order))
                case ListTasks():
                    yield Reply(number, TaskList(self.board.statuses()))
                case Cancel(task):
                    yield Reply(number, await self.cancel(task))
                case Pause(task, give_up):
                    yield Reply(number, await self.pause(task, give_up))
                case Resume(task):
                    yield Reply(number, await self.resume(task))
                case FetchResult(task):
                    yield Reply(number, await self.board.result(task))
                case FetchHistory(task, after, most):
                    self.board.entry(task)
                    rounds = await self.history(task, after, most)
                    yield Reply(number, TaskHistory(tuple(rounds)))
                case AskTask() as asked:
                    yield Reply(number, await self.ask(asked))
                case ListDevices():
                    yield Reply(number, DeviceList(self.devices()))
                case Watch(task, after):
                    async for reply in self._watch(number, task, after):
                        yield reply
        except ConfigError as error:
            yield Reply(number, ControlError(str(error)))

    async def _watch(self, number: int, task: TaskId, after: int) -> AsyncIterator[Reply]:
        seen = after
        async for report in self.board.reports(task, after):
            seen = report.number
            yield Reply(number, report, last=report.status.phase in ENDED)
            if report.status.phase in ENDED:
                return
        raise ConfigError(f"task {task.hex()} is over and has no report after number {seen}")
