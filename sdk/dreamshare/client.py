"""A custom client: an operator's way to submit, watch and end tasks.

    async with Client(GrpcLink("grpcs://aggregator.example:7443", tls=tls), identity) as client:
        task = await client.submit(CodreamConfig(...), cohort=Cohort(least=4, most=8))
        async for report in client.watch(task):
            print(report.event, report.status.detail)
        result = await client.result(task)

Rules:
- an operator's certificate may do all of it, a viewer's may list, watch and fetch;
- requests survive a broken connection and a restart of the aggregator: they are asked again, a
  stream from its last report on, and a submission is taken once however often it is sent;
- what comes back is public: sums, statuses, results. There is nothing of a single device in it but
  its id, its label and its byte counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from dreamshare.algorithms.base import Question
from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.caller import Caller
from dreamshare.errors import (
    ConfigError,
    LocalProtocolError,
    PeerProtocolError,
    Rejected,
    Unreachable,
)
from dreamshare.ids import NO_TASK, TaskId
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.envelope import Address, refusal_of_request
from dreamshare.protocol.history import FetchHistory, RoundEntry, TaskHistory
from dreamshare.protocol.messages import (
    Cancel,
    Cohort,
    ControlError,
    ControlReply,
    ControlRequest,
    Deadlines,
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
    TaskReport,
    TaskResult,
    TaskStatus,
    Watch,
)
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.transport.base import Connection, Link
from dreamshare.updates import PublicArray
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

PATIENCE_S = 20.0
"""Seconds until a first connection is given up."""


@dataclass(frozen=True, slots=True)
class Result:
    """The public result of a finished task.

    Attributes:
        status: how it ended.
        arrays: what the algorithm gives out, by name.
        metrics: named scalars.
    """

    status: TaskStatus
    arrays: Mapping[str, PublicArray]
    metrics: Mapping[str, float]


class Client:
    """An operator's or a viewer's session; open it with `async with`, once.

    Args:
        link: the way to the aggregator.
        identity: the operator's own.
        clock: times waits.
        patience_s: seconds until a first connection is given up, > 0.
    """

    def __init__(
        self,
        link: Link,
        identity: Identity,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._clock = clock or SystemClock()
        self._patience_s = patience_s
        self._link = _Remembering(link)
        jitter = random.Random(SystemEntropy().draw(16))
        self._caller = Caller(self._link, identity, self._clock, jitter)
        self._calling: asyncio.Task[None] | None = None
        self._role = identity.certificate.role
        self._greeted = asyncio.Event()
        self._birth = 0  # of the aggregator, when requests were last sent
        self._number = 0
        self._open: dict[int, _Open] = {}

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody answered in time.
            Rejected: the aggregator does not take this identity or version.
        """
        if self._calling is not None:
            raise LocalProtocolError("a Client is opened once; make another one")
        self._calling = asyncio.create_task(self._call())
        greeted = asyncio.create_task(self._greeted.wait())
        waited = asyncio.create_task(self._clock.sleep_until(self._clock.now() + self._patience_s))
        try:
            await asyncio.wait(
                {self._calling, greeted, waited}, return_when=asyncio.FIRST_COMPLETED
            )
            if self._calling.done():
                self._calling.result()
            if not self._greeted.is_set():
                raise self._link.failure or Unreachable(f"{self._link} did not answer")
        except BaseException:
            await self._stop()
            raise
        finally:
            greeted.cancel()
            waited.cancel()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    # ---- what an operator does -------------------------------------------------------------------

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
        """Start a task and return its id.

        Args:
            config: of a registered algorithm, e.g. CodreamConfig(...).
            cohort: who takes part.
            deadlines: of each stage.
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
        return await self._ask_status(replace(order, key=key))

    async def watch(self, task: TaskId, after: int = 0) -> AsyncIterator[TaskReport]:
        """Yield the reports of a task with numbers above `after`, until it ends."""
        async for reply in self._stream(Watch(task, after)):
            if not isinstance(reply, TaskReport):
                raise _surprise(reply)
            yield reply

    async def list(self) -> tuple[TaskStatus, ...]:
        """Return every task, oldest first."""
        reply = await self._ask(ListTasks())
        if not isinstance(reply, TaskList):
            raise _surprise(reply)
        return reply.tasks

    async def cancel(self, task: TaskId) -> TaskStatus:
        """End a task; an open round is given up."""
        return await self._ask_status(Cancel(task))

    async def pause(self, task: TaskId, give_up: bool = False) -> TaskStatus:
        """Let a task rest until `resume`.

        Its open round is finished first, unless `give_up`; it stays paused over restarts.
        """
        return await self._ask_status(Pause(task, give_up))

    async def resume(self, task: TaskId) -> TaskStatus:
        """Let a paused task go on when its turn comes."""
        return await self._ask_status(Resume(task))

    async def result(self, task: TaskId) -> Result:
        """Return the public result of a task that is done; ConfigError where there is none."""
        reply = await self._ask(FetchResult(task))
        if not isinstance(reply, TaskResult):
            raise _surprise(reply)
        return Result(reply.status, decode_arrays(reply.archive), reply.metrics)

    async def ask(self, task: TaskId, question: Question) -> TaskAnswer:
        """Return a task's answer to a question, when its sum is closed; "" as step ends the task.

        Raises:
            ConfigError: the task takes none, or not this one, or is over; the text says why.
        """
        archive = encode_arrays(question.tensors) if question.tensors else b""
        reply = await self._ask(AskTask(task, question.step, archive))
        if not isinstance(reply, TaskAnswer):
            raise _surprise(reply)
        return reply

    async def history(self, task: TaskId, after: int = 0) -> AsyncIterator[RoundEntry]:
        """Yield the ended rounds of a task with numbers above `after`, in order, page by page.

        It ends where the rounds do at the moment; ConfigError where there is no such task.
        """
        while True:
            reply = await self._ask(FetchHistory(task, after))
            if not isinstance(reply, TaskHistory):
                raise _surprise(reply)
            for entry in reply.rounds:
                if entry.number <= after:
                    raise PeerProtocolError(f"round {entry.number} came after round {after}")
                after = entry.number
                yield entry
            if not reply.rounds:
                return

    async def devices(self) -> tuple[DeviceStatus, ...]:
        """Return the devices that the aggregator has met since it was started."""
        reply = await self._ask(ListDevices())
        if not isinstance(reply, DeviceList):
            raise _surprise(reply)
        return reply.devices

    # ---- how it gets there -----------------------------------------------------------------------

    async def _ask_status(self, request: Submit | Cancel | Pause | Resume) -> TaskStatus:
        reply = await self._ask(request)
        if not isinstance(reply, TaskStatus):
            raise _surprise(reply)
        return reply

    async def _ask(self, request: ControlRequest) -> ControlReply:
        async for reply in self._stream(request):
            return reply
        raise PeerProtocolError(f"the aggregator gave no answer to {type(request).__name__}")

    async def _stream(self, request: ControlRequest) -> AsyncIterator[ControlReply]:
        if self._calling is None or self._calling.done():
            raise LocalProtocolError("the client is not open; use it inside `async with`")
        refused = refusal_of_request(self._role, request)
        if refused:
            raise Rejected(refused)
        self._number += 1
        number, asked = self._number, _Open(request)
        self._open[number] = asked
        self._send(number, request)
        try:
            while True:
                reply = await asked.replies.get()
                if isinstance(reply, Exception):
                    raise reply
                if isinstance(reply.reply, ControlError):
                    raise ConfigError(reply.reply.text)
                yield reply.reply
                if reply.last:
                    return
        finally:
            self._open.pop(number, None)

    def _send(self, number: int, request: ControlRequest) -> None:
        peering = self._caller.peering
        if peering is not None:
            self._birth = peering.peer_birth
            peering.send(Address(NO_TASK), Request(number, request))

    def _connected(self) -> None:
        self._greeted.set()
        peering = self._caller.peering
        if peering is None or peering.peer_birth == self._birth:
            return
        for number, asked in self._open.items():
            if not asked.answered:
                self._send(number, asked.request)

    def _arrived(self, arrival: Arrival) -> None:
        peering = self._caller.peering
        if peering is None:
            return
        with contextlib.suppress(PeerProtocolError):  # a frame that does not hold is no reply
            opened = peering.open(arrival)
            message = None if opened is None else opened.message
            if isinstance(message, Reply) and message.number in self._open:
                self._open[message.number].take(message)
        peering.acknowledge(arrival.place)

    async def _call(self) -> None:
        try:
            await self._caller.call(self._connected, self._arrived)
        except Exception as error:
            for asked in self._open.values():
                asked.replies.put_nowait(error)
            raise

    async def _stop(self) -> None:
        await self._caller.hang_up()
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)


class _Open:
    """A request whose last reply was not read yet.

    What has arrived counts, read or not: where it is asked again, it is from there on, and what
    comes twice because it was asked twice is kept once.
    """

    def __init__(self, request: ControlRequest) -> None:
        self.request = request
        self.answered = False
        self.replies: asyncio.Queue[Reply | Exception] = asyncio.Queue()

    def take(self, reply: Reply) -> None:
        match reply.reply, self.request:
            case TaskReport(number=number), Watch(task, after):
                if number <= after:
                    return
                self.request = Watch(task, number)
        self.answered = self.answered or reply.last
        self.replies.put_nowait(reply)


class _Remembering:
    """A link that remembers why it could not connect, for the error of the first attempt."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.failure: Unreachable | None = None

    async def connect(self) -> Connection:
        try:
            return await self._link.connect()
        except Unreachable as error:
            self.failure = error
            raise

    def __str__(self) -> str:
        return str(self._link)


def _surprise(reply: ControlReply) -> PeerProtocolError:
    return PeerProtocolError(f"the aggregator answered with {type(reply).__name__}")
