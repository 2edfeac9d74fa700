"""A simulated task that waits for questions, asked one by one by the caller.

    with SimulatedSession(AutodiffConfig(...), devices, cohort=Cohort(least=4, most=4)) as session:
        done = session.ask(Question("logistic/1:value", tensors))

Rules:
- between two questions nothing runs: devices, aggregator and clock stand still;
- a session is entered once, and used from one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from dreamshare.algorithms.base import Question
from dreamshare.driver.task import TaskRun
from dreamshare.errors import DreamshareError, LocalProtocolError
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import SumDone, TaskOutcome
from dreamshare.simulate.run import give, prepared
from dreamshare.simulate.values import SimulatedDevice, SimulationOptions


class SimulatedSession:
    """See the module's docstring; arguments and errors are those of `simulate`."""

    def __init__(
        self,
        config: object,
        devices: Sequence[SimulatedDevice],
        *,
        cohort: Cohort,
        seed: int = 0,
        options: SimulationOptions | None = None,
    ) -> None:
        self._run, self._loop, self._coordinator = prepared(config, devices, cohort, seed, options)
        self._runner: asyncio.Runner | None = None
        self._task: TaskRun | None = None
        self._reports: AsyncIterator[TaskOutcome] | None = None

    def __enter__(self) -> Self:
        if self._runner is not None:
            raise LocalProtocolError("a simulated session is entered once; make another one")
        self._runner = asyncio.Runner(loop_factory=self._run.new_event_loop)
        self._task = self._runner.run(self._run.begin(self._coordinator))
        self._reports = self._task.reports()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is None or self._task is None or self._reports is None:
            return
        with self._runner as runner:
            with contextlib.suppress(DreamshareError):  # of a task that has failed already
                give(self._task, self._loop.hear(Question("")))
                runner.run(self._run.follow(self._loop, self._task, self._reports))
            runner.run(self._run.end())

    def ask(self, question: Question) -> SumDone:
        """Return the sum that answers a question.

        Raises:
            ConfigError: it is none of the session's terms, or the session is over.
            SimulationStalled: too few devices are left.
            DreamshareError: the task failed.
        """
        if self._runner is None or self._task is None or self._reports is None:
            raise LocalProtocolError("the session is not open; use it inside `with`")
        give(self._task, self._loop.hear(question))
        report = self._runner.run(self._run.follow(self._loop, self._task, self._reports))
        if not isinstance(report, SumDone):
            raise DreamshareError("the task ended before it had answered")
        return report
