"""The aggregator's driver: connections to parties, frames to tasks, requests to the front desk.

Rules:
- a party is who its certificate says, and whom the transport proved where it proves anything;
- frames go to the task that their header names; a device whose task is unknown here is told so,
  unless the task only waits for its turn: it will be offered a new epoch then;
- a device that says goodbye departs at once, one that is cut off after `grace_s`;
- nothing that a party sends ends the driver: what does not hold is dropped, counted, acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from dreamshare.clock import Clock
from dreamshare.driver.answering import answer
from dreamshare.driver.broadcasts import Broadcasts, Shared
from dreamshare.driver.front import FrontDesk, Observer
from dreamshare.driver.gate import Gate
from dreamshare.driver.jobs import Jobs
from dreamshare.driver.offloading import Encoded, Opener, encode
from dreamshare.driver.party import Party
from dreamshare.driver.peering import Opened, Peering
from dreamshare.driver.presence import Presence
from dreamshare.driver.reception import receive, sent_on
from dreamshare.driver.room import ROOM, Room
from dreamshare.driver.shards import Shards, largest_of
from dreamshare.driver.stream import converse, say_goodbye
from dreamshare.driver.task import TaskRun
from dreamshare.driver.trace import Trace, untraced
from dreamshare.driver.waiting import at_most, first_of, until
from dreamshare.engine import Engine, InlineEngine
from dreamshare.errors import AbortCode, LocalProtocolError, PeerProtocolError, TransportError
from dreamshare.ids import NO_TASK, PartyId, TaskId, short
from dreamshare.protocol import events
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.journal import Journal
from dreamshare.protocol.messages import (
    CheckIn,
    Declined,
    DeviceStatus,
    Message,
    NotNeeded,
    Request,
    Sa2,
    TaskClosed,
    TellDone,
)
from dreamshare.transport.base import Connection, Listener
from dreamshare.wire import limits
from dreamshare.wire.transfer import Arrival, Place
from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

_LOG = logging.getLogger(__name__)

GRACE_S = 2.0
"""Seconds that a device may be cut off before rounds go on without it."""

LAST_WORDS_S = 2.0
"""Seconds that `close` waits for parties to acknowledge what is queued for them."""


class AggregatorDriver:
    """One aggregator: any number of listeners, parties and tasks.

    Attributes:
        room: what frames take that are not handled yet, to look at.

    Args:
        listeners: where parties come in.
        identity: the aggregator's own.
        clock: what time it is.
        front: the shell's answers.
        observer: sees every frame that arrived and held.
        grace_s: see `GRACE_S`.
        engine: where machines' steps run and large frames are opened; it may do several at once.
        trace: is told what happens in every task, as facts without payloads.
        room: bytes that frames may take which are not handled yet, of all parties together.
        trunks: where shards come in; None has none.
        gate: makes this process a shard: what devices say goes there, and nothing to tasks.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        identity: Identity,
        clock: Clock,
        front: FrontDesk,
        observer: Observer | None = None,
        grace_s: float = GRACE_S,
        engine: Engine | None = None,
        trace: Trace = untraced,
        room: int = ROOM,
        trunks: Listener | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._listeners = tuple(listeners)
        self._identity = identity
        self._clock = clock
        self._front = front
        self._observer = observer
        self._grace_s = grace_s
        self._engine = engine or InlineEngine()
        self._broadcasts = Broadcasts(identity, SystemEntropy(), self._engine)
        self._trace = trace
        self.room = Room(clock, room)
        self._birth = 0
        self._parties: dict[PartyId, Party] = {}
        self._openers: dict[PartyId, Opener] = {}
        self._tasks: dict[TaskId, TaskRun] = {}
        self._presence = Presence(self._tasks, front)
        self._gate = gate
        self._shards: Shards | None = None
        if trunks is not None:
            self._shards = Shards(trunks, identity, clock, grace_s, self._presence, self._is_here)
            self._shards.seating.spread(self._listeners)
        self._jobs: Jobs | None = None
        self._closed = asyncio.Event()

    async def start(self) -> None:
        """Bind every listener, for `run` and `add`; raises ConfigError where one cannot."""
        self._jobs = Jobs()
        for listener in self._listeners:
            await listener.start()
        if self._shards is not None:
            await self._shards.listener.start()

    async def run(self) -> None:
        """Serve until `close`; `start` comes first.

        Raises:
            OSError: a journal cannot be written.
            DreamshareError: a task's owner gave it an order that has no place.
        """
        jobs = self._started()
        for listener in self._listeners:
            jobs.start(self._listen(listener))
        if self._shards is not None:
            jobs.start(self._shards.serve(jobs.start))
        try:
            await first_of(until(self._closed), jobs.until_failed())
        finally:
            await jobs.stop()
            for listener in self._listeners:
                await listener.close()
            if self._shards is not None:
                await self._shards.close()

    def _started(self) -> Jobs:
        if self._jobs is None:
            raise LocalProtocolError("an aggregator's driver is started before it is used")
        return self._jobs

    async def close(self) -> None:
        """Take no more connections, send what is queued, hang up and stop. Idempotent."""
        if self._closed.is_set():
            return
        for listener in self._listeners:
            await listener.close()
        here = [party for party in self._parties.values() if party.connected]
        await at_most(self._clock, LAST_WORDS_S, _all_settled(here))
        for party in here:
            await party.hang_up()
        self._closed.set()

    def renew(self, identity: Identity) -> None:
        """Go on with a newer certificate or revocation list of the same party; after `start`.

        Revoked parties are sent away at once, and the next offer of every task carries the list.
        """
        self._identity = identity
        for run in self._tasks.values():
            run.coordinator.renew(identity)
        for party in self._parties.values():
            if party.connected and identity.revocations.revokes(party.peering.certificate):
                self._started().start(party.send_away("the certificate is revoked"))
        if self._shards is not None:
            self._started().start(self._shards.renew(identity))

    # ---- tasks -----------------------------------------------------------------------------------

    def add(self, coordinator: Coordinator, journal: Journal) -> TaskRun:
        """Begin a task; devices that are here are introduced to it at once. After `start`."""
        run = TaskRun(
            coordinator,
            journal,
            self._clock,
            self.post,
            self._front.evidence,
            self._engine,
            self._trace,
            self._shards,
        )
        self._tasks[run.task] = run
        if self._shards is not None:
            self._shards.begun(largest_of(self._tasks.values()))
            for joined in self._shards.joined():
                run.give(joined)
        self._started().start(self._serve(run))
        for party in self._parties.values():
            if party.offer is not None:
                offer = party.offer
                run.give(events.Joined(party.id, offer.algorithms, attributes=offer.attributes))
        return run

    def send_home(self, device: PartyId, for_s: float) -> None:
        """Tell a device that no task needs it for so many seconds, > 0."""
        if self._shards is not None:
            self._shards.post((device,), Address(NO_TASK), encode(NotNeeded(for_s)).body)
        party = self._parties.get(device)
        if party is not None and party.connected:
            self._tell(party, NO_TASK, NotNeeded(for_s))

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return every device that came since the start, by first arrival."""
        here = tuple(p.status() for p in self._parties.values() if p.role is Role.DEVICE)
        return here if self._shards is None else self._shards.beside(here)

    @property
    def shards(self) -> int:
        """How many shards are here."""
        return 0 if self._shards is None else self._shards.count

    async def _serve(self, run: TaskRun) -> None:
        try:
            await run.serve()
        finally:
            self._tasks.pop(run.task, None)
            self._broadcasts.forget(run.task)
            if self._shards is not None:
                self._shards.ended(run.task)

    async def post(self, devices: tuple[PartyId, ...], address: Address, message: Encoded) -> None:
        if self._shards is not None:
            self._shards.post(devices, address, message.body)
            devices = tuple(device for device in devices if not self._shards.has(device))
        parties = [self._parties[device] for device in devices if device in self._parties]
        shared = None
        if sum(party.peering.relayed for party in parties) > 1:
            shared = await self._broadcasts.seal(address, message, self._next_birth())
        for party in parties:
            self._put(party, address, message, shared)

    def _put(
        self,
        party: Party,
        address: Address,
        message: Message | Encoded,
        shared: Shared | None = None,
    ) -> None:
        if not party.post(address, message, shared):
            _LOG.warning("%s reads too slowly: it misses what waited for it", short(party.id))
            party.forget_waiting(self._next_birth())
            self._started().start(party.send_back("too much waits here: read faster"))

    # ---- connections -----------------------------------------------------------------------------

    async def _listen(self, listener: Listener) -> None:
        async for connection in listener.connections():
            self._started().start(self._connected(connection))

    async def _connected(self, connection: Connection) -> None:
        try:
            with suppress(TransportError, PeerProtocolError):  # the other end's affair; it was told
                await self._talk(connection)
        except Exception:  # noqa: BLE001  a bug that one party found must not end it for all
            _LOG.exception("a connection ended with an error of this program")
        await connection.close()

    async def _talk(self, connection: Connection) -> None:
        packets = connection.packets()
        greeting = await receive(connection, packets, self._identity, self._clock)
        if self._gate is not None and await sent_on(greeting, self._gate, self._clock):
            return
        party = self._party(greeting.certificate)
        older = party.attach(connection)
        if older is not None:
            text = "the party came again"
            self._started().start(say_goodbye(older, self._clock, AbortCode.UNEXPECTED, text))
        clean = False
        try:
            await greeting.answer(party, self._next_birth())
            close = await converse(
                connection,
                packets,
                party.peering,
                self._clock,
                self._openers[party.id].give,
            )
            clean = close is not None and close.code is None
        finally:
            if party.detach(connection):
                party.grace = self._started().start(
                    self._depart(party, 0.0 if clean else self._grace_s)
                )

    def _party(self, certificate: Certificate) -> Party:
        party = self._parties.get(PartyId(certificate.id))
        if party is None:
            birth = self._next_birth()
            peering = Peering(
                self._identity, certificate, birth, room=self.room, wanted=self._wanted
            )
            party = Party(peering, self._clock)
            self._parties[party.id] = party
            start = self._started().start
            self._openers[party.id] = Opener(self._engine, start, partial(self._open, party))
        else:
            party.peering.renew(certificate)
        return party

    def _wanted(self) -> int:
        """Return the largest frame that a device of the present tasks may have to send."""
        if self._gate is not None:
            return limits.WANTED_LEAST + self._gate.largest
        return limits.WANTED_LEAST + largest_of(self._tasks.values())

    def _next_birth(self) -> int:
        self._birth = max(self._birth + 1, int(self._clock.now() * 1_000_000))
        return self._birth

    async def _depart(self, party: Party, after_s: float) -> None:
        if after_s > 0:
            await self._clock.sleep_until(self._clock.now() + after_s)
        came = party.offer is not None
        party.depart(self._next_birth())
        if self._shards is not None and self._shards.has(party.id):
            return
        if self._gate is not None and came:
            self._gate.went(party.id)
        if came:
            self._presence.departed(party.id)

    # ---- frames ----------------------------------------------------------------------------------

    def _open(self, party: Party, arrival: Arrival) -> Callable[[], None]:
        """Open a frame, perhaps in a thread; return what the event loop does with it."""
        place = arrival.place
        try:
            opened = party.peering.open(arrival)
        except PeerProtocolError:
            opened = None
        if opened is None:
            return partial(self._drop, party, place)
        return partial(self._arrived, party, place, opened)

    def _drop(self, party: Party, place: Place) -> None:
        party.dropped += 1
        party.peering.acknowledge(place)

    def _arrived(self, party: Party, place: Place, opened: Opened) -> None:
        if self._observer is not None:
            self._observer(party.id, opened.header.encode(), opened.body)
        message = opened.message
        match message:
            case Sa2() | Declined() | TellDone():
                task, heard = TaskId(opened.header.task), events.HeardFrom(party.id, message)
                run = self._tasks.get(task)
                if self._gate is not None:
                    self._gate.heard(task, heard, lambda: party.peering.acknowledge(place))
                    return
                if run is not None:
                    run.traffic += len(opened.body)
                    run.give(heard, lambda: party.peering.acknowledge(place))
                    return
                if not self._front.knows(task):
                    self._tell(party, task, TaskClosed("unknown"))
            case CheckIn():
                self._checked_in(party, message)
            case Request():
                tell = partial(self._tell, party, NO_TASK)
                self._started().start(answer(party, message, self._front, self._engine, tell))
        party.peering.acknowledge(place)

    def _checked_in(self, party: Party, offer: CheckIn) -> None:
        joined = events.Joined(party.id, offer.algorithms, party.fresh, offer.attributes)
        party.offer = offer
        party.fresh = False
        if self._shards is not None:
            self._shards.came_here(party.id)
        if self._gate is not None:
            self._gate.came(party.id, offer, fresh=joined.fresh)
        self._presence.joined(joined)

    def _is_here(self, device: PartyId) -> bool:
        return device in self._parties and self._parties[device].offer is not None

    def _tell(self, party: Party, task: TaskId, message: Message) -> None:
        self._put(party, Address(task), message)


async def _all_settled(parties: Sequence[Party]) -> None:
    await asyncio.gather(*(party.peering.until_settled() for party in parties))
