"""A client's requests on their way: sent, asked again after a restart, answered in any order.

Rules:
- a connection that breaks is made again with back-off; frames that were not acknowledged travel
  again, so a request is not asked twice for it;
- an aggregator that was started again has forgotten who asked: what is unanswered is asked again,
  a stream from its last report on. Every request is safe to repeat: most only read, a submission
  has a key, a question to a task gets the same answer;
- what the aggregator refuses is raised where it was asked and never asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from dreamshare.clock import Clock
from dreamshare.driver.caller import Caller
from dreamshare.errors import (
    ConfigError,
    LocalProtocolError,
    PeerProtocolError,
    Rejected,
    Unreachable,
)
from dreamshare.ids import NO_TASK
from dreamshare.protocol.envelope import Address, refusal_of_request
from dreamshare.protocol.messages import (
    ControlError,
    ControlReply,
    ControlRequest,
    Reply,
    Request,
    TaskReport,
    Watch,
)
from dreamshare.transport.base import Connection, Link
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity


@dataclass(slots=True)
class Asked:
    """A request whose last reply was not read yet.

    What has arrived counts, read or not: where it is asked again, it is from there on, and what
    comes twice because it was asked twice is kept once.

    Attributes:
        request: as it would be asked again.
        times: how often it was sent, >= 0.
    """

    request: ControlRequest
    times: int = 0
    answered: bool = False
    replies: asyncio.Queue[Reply | Exception] = dataclass_field(default_factory=asyncio.Queue)

    def take(self, reply: Reply) -> None:
        """Keep a reply that has arrived, once."""
        match reply.reply, self.request:
            case TaskReport(number=number), Watch(task, after):
                if number <= after:
                    return
                self.request = Watch(task, number)
        self.answered = self.answered or reply.last
        self.replies.put_nowait(reply)


class Requests:
    """The connection of one client, and what is open on it.

    Args:
        link: the way to the aggregator.
        identity: an operator's or a viewer's.
        clock: times waits.
    """

    def __init__(self, link: Link, identity: Identity, clock: Clock) -> None:
        self._clock = clock
        self._link = _Remembering(link)
        jitter = random.Random(SystemEntropy().draw(16))
        self._caller = Caller(self._link, identity, clock, jitter)
        self._calling: asyncio.Task[None] | None = None
        self._role = identity.certificate.role
        self._greeted = asyncio.Event()
        self._birth = 0  # of the aggregator, when requests were last sent
        self._number = 0
        self._open: dict[int, Asked] = {}

    async def open(self, patience_s: float) -> None:
        """Connect, or give up after so many seconds.

        Raises:
            Unreachable: nobody answered in time.
            Rejected: the aggregator does not take this identity or version.
            LocalProtocolError: it was opened before.
        """
        if self._calling is not None:
            raise LocalProtocolError("a Client is opened once; make another one")
        self._calling = asyncio.create_task(self._call())
        greeted = asyncio.create_task(self._greeted.wait())
        waited = asyncio.create_task(self._clock.sleep_until(self._clock.now() + patience_s))
        try:
            await asyncio.wait(
                {self._calling, greeted, waited}, return_when=asyncio.FIRST_COMPLETED
            )
            if self._calling.done():
                self._calling.result()
            if not self._greeted.is_set():
                raise self._link.failure or Unreachable(f"{self._link} did not answer")
        except BaseException:
            await self.close()
            raise
        finally:
            greeted.cancel()
            waited.cancel()

    async def close(self) -> None:
        """Hang up; whoever still waits is told."""
        await self._caller.hang_up()
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)
        self._fail(LocalProtocolError("the client was closed before the answer came"))

    async def stream(self, asked: Asked) -> AsyncIterator[ControlReply]:
        """Ask, and yield the replies until the last one.

        Raises:
            ConfigError: the aggregator cannot do this; the text says why.
            Rejected: this identity may not ask for it, or is not taken any more.
            LocalProtocolError: the client is not open.
        """
        if self._calling is None or self._calling.done():
            raise LocalProtocolError("the client is not open; use it inside `async with`")
        refused = refusal_of_request(self._role, asked.request)
        if refused:
            raise Rejected(refused)
        self._number += 1
        number = self._number
        self._open[number] = asked
        self._send(number, asked)
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

    def _send(self, number: int, asked: Asked) -> None:
        peering = self._caller.peering
        if peering is not None:
            self._birth = peering.peer_birth
            asked.times += 1
            peering.send(Address(NO_TASK), Request(number, asked.request))

    def _connected(self) -> None:
        self._greeted.set()
        peering = self._caller.peering
        if peering is None or peering.peer_birth == self._birth:
            return
        for number, asked in self._open.items():
            if not asked.answered:
                self._send(number, asked)

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
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        for asked in self._open.values():
            if not asked.answered:
                asked.replies.put_nowait(error)


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
