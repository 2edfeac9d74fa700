"""A custom client: an operator's way to submit, watch and end tasks.

    async with Client(GrpcLink("grpcs://aggregator.example:7443", tls=tls), identity) as client:
        task = await client.submit(CodreamConfig(...), cohort=Cohort(least=4, most=8))
        async for report in client.watch(task):
            print(report.event, report.status.detail)
        result = await client.result(task)

Rules:
- an operator's certificate may do all of it, a viewer's may list, watch and fetch;
- requests survive a broken connection and a restart of the aggregator: they are asked again, a
  stream from its last report on, and a submission is taken once however often it is sent. They
  wait as long as that takes: `asyncio.timeout` is for who will not;
- what comes back is public: sums, statuses, results. There is nothing of a single device in it but
  its id, its label and its byte counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from dreamshare.algorithms.base import Question
from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.checkpoint import encode_arrays
from dreamshare.client.requests import Asked, Requests
from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError, PeerProtocolError
from dreamshare.ids import TaskId, parse_id, short
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.history import FetchHistory, RoundEntry, TaskHistory
from dreamshare.protocol.messages import (
    Cancel,
    Cohort,
    ControlReply,
    ControlRequest,
    Deadlines,
    DeviceList,
    DeviceStatus,
    FetchResult,
    ListDevices,
    ListTasks,
    Pause,
    Resume,
    Submit,
    TaskList,
    TaskPhase,
    TaskReport,
    TaskResult,
    TaskStatus,
    Watch,
)
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.results import Artifact, Result, TaskEnded
from dreamshare.showing import Rows
from dreamshare.transport.base import Link
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

PATIENCE_S = 20.0
"""Seconds until a first connection is given up."""

_ID_DIGITS = 32


class Client:
    """An operator's or a viewer's session; open it with `async with`, once.

    Every method raises Rejected where the identity may not do it (a viewer that wants to change
    something), and LocalProtocolError outside `async with`.

    Args:
        link: the way to the aggregator.
        identity: the operator's own, e.g. `Identity.load("operator.key")`.
        clock: times waits.
        patience_s: seconds until a first connection is given up, > 0.

    Attributes:
        revocations: the federation's list, as the identity has it; an epoch's offer carries it.

    Raises:
        ConfigError: the identity is a device's or an aggregator's, or the patience is not > 0.
    """

    def __init__(
        self,
        link: Link,
        identity: Identity,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        role = identity.certificate.role
        if role not in (Role.OPERATOR, Role.VIEWER):
            raise ConfigError(
                f"a client takes an operator's or a viewer's identity, this one is the "
                f"{role.name.lower()}'s: enrol one (docs/enrolment.md)"
            )
        if not patience_s > 0:
            raise ConfigError(f"patience_s is {patience_s}; it must be above 0")
        self._patience_s = patience_s
        self._link = link
        self._role = role
        self.revocations = identity.revocations
        self._requests = Requests(link, identity, clock or SystemClock())

    def __repr__(self) -> str:
        return f"Client({self._link}, {self._role.name.lower()})"

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody answered in time.
            Rejected: the aggregator does not take this identity or version.
        """
        await self._requests.open(self._patience_s)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._requests.close()

    # ---- tasks begin -----------------------------------------------------------------------------

    async def submit(
        self,
        config: object,
        cohort: Cohort,
        deadlines: Deadlines | None = None,
        seed: int = 0,
        name: str = "",
        privacy: Privacy | None = None,
        priority: int = 0,
    ) -> TaskId:
        """Start a task and return its id, 16 bytes.

        Args:
            config: of a registered algorithm, e.g. CodreamConfig(...).
            cohort: who takes part.
            deadlines: of each stage, in seconds.
            seed: public seed of the algorithm's own draws, >= 0.
            name: for people.
            privacy: noise of every sum; None for none.
            priority: 0 to 9; tasks of a higher one go first.

        Raises:
            ConfigError: the config is of no registered algorithm, or the aggregator cannot run
                it; the text says why.
            Rejected: this identity is a viewer's.
        """
        algorithm, canonical = config_json_of(config)
        times = deadlines or Deadlines()
        order = Submit(algorithm, canonical, cohort, times, seed, name, privacy, priority)
        return (await self.order(order)).task

    async def order(self, order: Submit) -> TaskStatus:
        """Start a task whose config is canonical JSON already; see `submit`.

        An order without a key is given one: sent twice by its caller, it is two tasks.
        """
        key = order.key or SystemEntropy().draw(16)
        return await self._status(Asked(replace(order, key=key)))

    # ---- tasks are followed ----------------------------------------------------------------------

    async def watch(self, task: TaskId, after: int = 0) -> AsyncIterator[TaskReport]:
        """Yield the reports of a task with numbers above `after`, until it ends.

        Raises:
            ConfigError: there is no such task, or it is over and has no such report.
        """
        async for reply in self._requests.stream(Asked(Watch(task, after))):
            if not isinstance(reply, TaskReport):
                raise _surprise(reply)
            yield reply

    async def list(self) -> Rows[TaskStatus]:
        """Return every task, oldest first; a notebook shows a table."""
        reply = await self._ask(Asked(ListTasks()))
        if not isinstance(reply, TaskList):
            raise _surprise(reply)
        return Rows(reply.tasks)

    async def status(self, task: TaskId) -> TaskStatus:
        """Return where a task stands; raises ConfigError where there is no such task."""
        for status in await self.list():
            if status.task == task:
                return status
        raise ConfigError(f"there is no task {task.hex()} here")

    async def find(self, beginning: str) -> TaskId:
        """Return the task whose id in hex begins so; all 32 digits are taken as they are.

        Raises:
            ConfigError: no task begins so, or more than one does.
        """
        if len(beginning) == _ID_DIGITS:
            return TaskId(parse_id(beginning))
        ids = [status.task for status in await self.list()]
        found = [task for task in ids if task.hex().startswith(beginning.lower())]
        if len(found) != 1:
            how_many = "no task begins" if not found else f"{len(found)} tasks begin"
            raise ConfigError(f"{how_many} with {beginning!r}; see `dreamshare run list`")
        return found[0]

    async def history(self, task: TaskId, after: int = 0) -> AsyncIterator[RoundEntry]:
        """Yield the ended rounds of a task with numbers above `after`, in order, page by page.

        It ends where the rounds do at the moment; ConfigError where there is no such task.
        """
        while True:
            reply = await self._ask(Asked(FetchHistory(task, after)))
            if not isinstance(reply, TaskHistory):
                raise _surprise(reply)
            for entry in reply.rounds:
                if entry.number <= after:
                    raise PeerProtocolError(f"round {entry.number} came after round {after}")
                after = entry.number
                yield entry
            if not reply.rounds:
                return

    async def devices(self) -> Rows[DeviceStatus]:
        """Return the devices that the aggregator has met since it was started."""
        reply = await self._ask(Asked(ListDevices()))
        if not isinstance(reply, DeviceList):
            raise _surprise(reply)
        return Rows(reply.devices)

    # ---- tasks are changed -----------------------------------------------------------------------

    async def cancel(self, task: TaskId) -> TaskStatus:
        """End a task; an open round is given up. ConfigError where it is over already."""
        asked = Asked(Cancel(task))
        try:
            return await self._status(asked)
        except ConfigError:
            # Asked again after a restart that came between the deed and its answer.
            status = await self.status(task) if asked.times > 1 else None
            if status is None or status.phase is not TaskPhase.CANCELLED:
                raise
            return status

    async def pause(self, task: TaskId, give_up: bool = False) -> TaskStatus:
        """Let a task rest until `resume`; ConfigError where it is over.

        Its open round is finished first, unless `give_up`; it stays paused over restarts.
        """
        return await self._status(Asked(Pause(task, give_up)))

    async def resume(self, task: TaskId) -> TaskStatus:
        """Let a paused task go on when its turn comes; ConfigError where it is over."""
        return await self._status(Asked(Resume(task)))

    async def ask(self, task: TaskId, question: Question) -> TaskAnswer:
        """Return a task's answer to a question, when its sum is closed; "" as step ends the task.

        Raises:
            ConfigError: the task takes none, or not this one, or is over; the text says why.
        """
        archive = encode_arrays(question.tensors) if question.tensors else b""
        reply = await self._ask(Asked(AskTask(task, question.step, archive)))
        if not isinstance(reply, TaskAnswer):
            raise _surprise(reply)
        return reply

    # ---- tasks leave something -------------------------------------------------------------------

    async def result(self, task: TaskId) -> Result:
        """Return the public result of a task that is done; ConfigError where there is none yet."""
        reply = await self._ask(Asked(FetchResult(task)))
        if not isinstance(reply, TaskResult):
            raise _surprise(reply)
        return Result.of(reply)

    async def finished(self, task: TaskId) -> Result:
        """Wait for the end of a task and return its result.

        Raises:
            TaskEnded: it failed or was cancelled; the text says why.
            ConfigError: there is no such task.
        """
        status = await self.status(task)
        if status.phase not in (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED):
            async for report in self.watch(task):
                status = report.status
        if status.phase is not TaskPhase.DONE:
            raise TaskEnded(f"task {short(task)} {status.phase.value}: {status.detail}")
        return await self.result(task)

    async def artifacts(self, task: TaskId) -> Rows[Artifact]:
        """Return what a done task's result consists of: name, dtype, shape, bytes, hash.

        Raises:
            ConfigError: there is no result yet.
        """
        return (await self.result(task)).artifacts

    async def download(
        self, task: TaskId, path: Path, only: Collection[str] = ()
    ) -> Rows[Artifact]:
        """Write a done task's arrays to a .npz file without pickles; return what is in it.

        Args:
            task: that is done.
            path: of the file; one that is there is replaced.
            only: names of the arrays that are wanted; empty for all.

        Raises:
            ConfigError: there is no result yet, no such array, or the file cannot be written.
        """
        result = await self.result(task)
        result.save(path, only)
        return Rows(one for one in result.artifacts if not only or one.name in only)

    # ---- how it gets there -----------------------------------------------------------------------

    async def _status(self, asked: Asked) -> TaskStatus:
        reply = await self._ask(asked)
        if not isinstance(reply, TaskStatus):
            raise _surprise(reply)
        return reply

    async def _ask(self, asked: Asked) -> ControlReply:
        async for reply in self._requests.stream(asked):
            return reply
        raise PeerProtocolError(f"the aggregator gave no answer to {_name(asked.request)}")


def _name(request: ControlRequest) -> str:
    return type(request).__name__


def _surprise(reply: ControlReply) -> PeerProtocolError:
    return PeerProtocolError(f"the aggregator answered with {type(reply).__name__}")
