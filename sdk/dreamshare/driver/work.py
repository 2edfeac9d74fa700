"""What a device computes, one thing per task, each in a task of its own.

Rules:
- a new order replaces the running one, and a result that nobody waits for any more is dropped;
- whatever a learner raises is told to the machine: an app's error ends no driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dreamshare.driver.desk import Worker
from dreamshare.errors import PrivacyError
from dreamshare.ids import TaskId
from dreamshare.protocol.events import (
    Compute,
    Computed,
    ComputeFailed,
    Learn,
    LearnFailed,
    Learnt,
)
from dreamshare_crypto.errors import RefusalCode

Result = Computed | ComputeFailed | Learnt | LearnFailed


class Workbench:
    """The running computations of one device.

    Args:
        worker: who computes.
        finished: called with each result; `collect` says whether it is still wanted.
    """

    def __init__(self, worker: Worker, finished: Callable[[TaskId, Result], None]) -> None:
        self._worker = worker
        self._finished = finished
        self._running: dict[TaskId, asyncio.Task[None]] = {}
        self._results: dict[TaskId, Result] = {}

    def start(self, task: TaskId, order: Compute | Learn) -> None:
        """Begin; what the task was computing is stopped."""
        self.stop(task)
        self._running[task] = asyncio.ensure_future(self._work(task, order))

    def stop(self, task: TaskId) -> None:
        """Stop what the task is computing; a result that is ready already is dropped."""
        self._results.pop(task, None)
        running = self._running.pop(task, None)
        if running is not None:
            running.cancel()

    def collect(self, task: TaskId, result: Result) -> bool:
        """Take a finished result off the bench; False when it was stopped or replaced meanwhile."""
        wanted = self._results.get(task) is result
        if wanted:
            del self._results[task]
        return wanted

    @property
    def running(self) -> tuple[asyncio.Task[None], ...]:
        """What is being computed, to be stopped at the end."""
        return tuple(self._running.values())

    async def _work(self, task: TaskId, order: Compute | Learn) -> None:
        result = await (
            self._compute(task, order) if isinstance(order, Compute) else self._learn(task, order)
        )
        del self._running[task]
        self._results[task] = result
        self._finished(task, result)

    async def _compute(self, task: TaskId, order: Compute) -> Result:
        try:
            update = await self._worker.compute(task, order)
        except PrivacyError as error:
            return ComputeFailed(order.payload_hash, str(error), RefusalCode.S6)
        except Exception as error:  # noqa: BLE001  the border to the app's learner: it is reported
            return ComputeFailed(order.payload_hash, f"{type(error).__name__}: {error}")
        return Computed(order.payload_hash, update)

    async def _learn(self, task: TaskId, order: Learn) -> Result:
        try:
            await self._worker.learn(task, order)
        except Exception as error:  # noqa: BLE001  as above
            return LearnFailed(order.number, f"{type(error).__name__}: {error}")
        return Learnt(order.number)
