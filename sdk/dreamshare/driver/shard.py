"""A shard at work: an aggregator's driver whose devices belong to the root (docs/adr/0033).

Rules:
- a life begins with a trunk and ends with it: devices are hung up on then, and come in elsewhere or
  here again; nothing is kept, since devices keep what they sent until their round is over;
- vectors are checked, claimed and added here, one at a time and in order with what the root says;
  everything else is passed on, and acknowledged when the root has made it durable.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from dreamshare.clock import Clock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.offloading import Encoded
from dreamshare.driver.revoking import newer
from dreamshare.driver.trunk import Trunk
from dreamshare.driver.waiting import first_of
from dreamshare.engine import Engine
from dreamshare.errors import PeerProtocolError, TransportError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol import events, trunk
from dreamshare.protocol.messages import CheckIn, ControlError, Reply, Request, Sa2
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare.transport.base import Connection, Link, Listener, Seat
from dreamshare.wire.bulk import BULK
from dreamshare.wire.codec import decode_message, encode_message
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.shard import Shard
from dreamshare_crypto.secagg.shard_messages import GiveSum, Granted

_LOG = logging.getLogger(__name__)

BACKOFF = BackoffSettings(first_s=0.2, longest_s=5.0)
"""Waits between trunks: devices wait as long."""


@dataclass(frozen=True, slots=True)
class _Vector:
    task: TaskId
    device: PartyId
    body: bytes
    handled: Callable[[], None]


class Lobby:
    """A shard's shell: it has no tasks, and operators ask the root."""

    async def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        text = "this is a shard of an aggregator; ask the aggregator itself"
        yield Reply(request.number, ControlError(text))

    def device_came(self, device: PartyId) -> None:
        """The root is told by the gate."""

    def device_went(self, device: PartyId) -> None:
        """The root is told by the gate."""

    def knows(self, task: TaskId) -> bool:
        return True

    def evidence(self, task: TaskId, evidence: events.KeepEvidence) -> None:
        """The root finds it."""


class ShardLife:
    """One trunk's life; see `Gate` for what the driver calls.

    Args:
        connection: to the root, just opened.
        listeners: where devices come in; not started.
        identity: the aggregator's.
        clock: what time it is.
        engine: where frames are opened and vectors added.
    """

    def __init__(
        self,
        connection: Connection,
        listeners: Sequence[Listener],
        identity: Identity,
        clock: Clock,
        engine: Engine,
    ) -> None:
        self._line = Trunk(connection)
        self._identity = identity
        self._clock = clock
        self._moved: dict[PartyId, tuple[int, int]] = {}  # what the root was told
        self._seats = {str(each): each for each in listeners if isinstance(each, Seat)}
        self._engine = engine
        self._driver = AggregatorDriver(
            listeners, identity, clock, Lobby(), engine=engine, gate=self
        )
        self._items: asyncio.Queue[_Vector | trunk.TrunkMessage] = asyncio.Queue()
        self._machines: dict[TaskId, Shard] = {}
        self._claimed: dict[tuple[TaskId, bytes], list[Callable[[], None]]] = {}
        self._heard: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._largest = 0

    async def run(self) -> None:
        """Serve until the trunk ends.

        Raises:
            ConfigError: a listener cannot be bound.
            Unreachable: another process has taken the place of this one at a broker.
        """
        for broker, seat in self._seats.items():
            seat.attend(partial(self._attended, broker))
        await self._driver.start()
        serving = asyncio.ensure_future(self._driver.run())
        try:
            await first_of(self._line.serve(self._hear), self._work(), _ended(serving))
        finally:
            await self._line.close()
            await self._driver.close()
            await serving

    # ---- what devices say ------------------------------------------------------------------------

    @property
    def largest(self) -> int:
        return self._largest

    def came(self, device: PartyId, offer: CheckIn, *, fresh: bool) -> None:
        self._line.put(trunk.Came(device, fresh, encode_message(offer)))

    def went(self, device: PartyId) -> None:
        self._line.put(trunk.Went(device))

    def no_device(self, party: PartyId) -> None:
        self._line.put(trunk.NoDevice(party))

    def _attended(self, broker: str, there: bool) -> None:
        self._line.put(trunk.Seated(broker, there))

    def heard(self, task: TaskId, heard: events.HeardFrom, handled: Callable[[], None]) -> None:
        match heard.message:
            case Sa2(Stage.MASKED_INPUT, body):
                self._items.put_nowait(_Vector(task, heard.device, body, handled))
            case message:
                self._count += 1
                self._heard[self._count] = handled
                body = encode_message(message)
                self._line.put(trunk.Heard(self._count, task, heard.device, body))

    # ---- what the root says ----------------------------------------------------------------------

    def _hear(self, message: trunk.TrunkMessage) -> None:
        match message:
            case trunk.Wanted(largest):
                self._largest = largest
            case trunk.Handled(number):
                handled = self._heard.pop(number, None)
                if handled is not None:
                    handled()
            case trunk.Revoked(body):
                self._revoke(body)
            case trunk.Invite(broker, party, opener):
                if broker in self._seats:
                    self._seats[broker].invite(party.hex(), opener)
            case trunk.Post() | trunk.Order() | trunk.Answer() | trunk.TaskOver():
                self._items.put_nowait(message)
            case _:
                raise PeerProtocolError("a root spoke as a shard")

    async def _work(self) -> None:
        """Do what came, in order."""
        while True:
            match await self._items.get():
                case _Vector() as vector:
                    await self._take(vector)
                case trunk.Post() as post:
                    await self._post(post)
                case trunk.Order(task, collect):
                    self._settle(task)
                    self._machines.setdefault(task, Shard()).collect(collect)
                case trunk.Answer(task, Granted() as answer) if task in self._machines:
                    await self._engine.run(partial(self._machines[task].decide, answer))
                    for handled in self._claimed.pop((task, answer.device), ()):
                        handled()
                case trunk.Answer(task, GiveSum() as asked) if task in self._machines:
                    given = await self._engine.run(partial(self._machines[task].give, asked))
                    if given is not None:
                        self._line.put(trunk.Said(task, given))
                        self._tell_traffic()
                case trunk.TaskOver(task):
                    self._settle(task)
                    self._machines.pop(task, None)
                    self._tell_traffic()

    def _tell_traffic(self) -> None:
        """Tell the root what went over devices' connections; now and then is enough."""
        counts = []
        for each in self._driver.devices():
            up, down = self._moved.get(each.device, (0, 0))
            if (each.bytes_up, each.bytes_down) != (up, down):
                self._moved[each.device] = (each.bytes_up, each.bytes_down)
                counts.append((each.device, each.bytes_up - up, each.bytes_down - down))
        if counts:
            self._line.put(trunk.Moved(tuple(counts)))

    def _revoke(self, body: bytes) -> None:
        """Send those away whom the root's list names, where it is newer than the own one."""
        try:
            later = newer(self._identity, body, self._clock.now())
        except CryptoError as error:
            _LOG.warning("the root's revocation list is not used: %s", error)
            return
        if later is not self._identity:
            self._identity = later
            self._driver.renew(later)

    async def _take(self, vector: _Vector) -> None:
        machine = self._machines.get(vector.task)
        claim = None
        if machine is not None:
            claim = await self._engine.run(partial(machine.take, vector.device, vector.body))
        if claim is None:
            vector.handled()  # it is asked for again where it is wanted
            return
        self._claimed.setdefault((vector.task, vector.device), []).append(vector.handled)
        self._line.put(trunk.Said(vector.task, claim))

    def _settle(self, task: TaskId) -> None:
        """What was claimed in an earlier round gets no answer any more."""
        for key in [key for key in self._claimed if key[0] == task]:
            for handled in self._claimed.pop(key):
                handled()

    async def _post(self, post: trunk.Post) -> None:
        body = post.body
        if len(body) < BULK:
            ready = _ready(body)
        else:
            ready = await self._engine.run(lambda: _ready(body))
        await self._driver.post(post.devices, post.address, ready)


async def _ended(serving: asyncio.Future[None]) -> None:
    await asyncio.wait({serving})


def _ready(body: bytes) -> Encoded:
    return Encoded(decode_message(body), body, hashlib.sha256(body).digest())


async def serve_shard(
    link: Link,
    listeners: Callable[[Identity], Sequence[Listener]],
    identity: Callable[[], Identity],
    clock: Clock,
    engine: Engine,
    rng: random.Random,
    backoff: BackoffSettings = BACKOFF,
) -> None:
    """Be a shard until cancelled, one life after the other.

    Args:
        link: to the root.
        listeners: makes where devices come in, for one life.
        identity: returns the aggregator's, as it is at that moment.
        clock, engine: as for a life.
        rng: jitter of reconnects.
        backoff: waits between lives.

    Raises:
        ConfigError: a listener cannot be bound, or the identity cannot be read.
        Unreachable: another process has taken this one's place at a broker.
    """
    waits = Backoff(backoff, rng)
    while True:
        began = clock.now()
        me = identity()
        try:
            connection = await link.connect()
        except TransportError as error:
            _LOG.warning("no trunk to %s: %s", link, error)
        else:
            await ShardLife(connection, listeners(me), me, clock, engine).run()
            _LOG.warning("the trunk to %s ended; devices come in again with the next one", link)
        now = clock.now()
        await clock.sleep_until(now + waits.next_wait(now - began))
