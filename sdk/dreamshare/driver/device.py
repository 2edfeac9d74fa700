"""A device's driver: messages to machines, effects to journal, link and worker.

Rules:
- one input is handled at a time, with all its effects, before the next one is looked at; the
  machine's step, what the desk reads and writes, and large frames run in the engine meanwhile;
- a frame is acknowledged after its effects; a frame that does not hold is dropped and counted;
- one computation per task, and as many at once as the owner allows, each in a task of its own; a
  result that nobody waits for is dropped, or carried over (`work`);
- a device that is not needed, and takes part in no task, hangs up and comes back later;
- `close` declines what is being computed, gives the link a moment to say so, and stops. What was
  acknowledged is in the journals, so nothing is lost however it ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from dreamshare.clock import Clock
from dreamshare.driver.caller import Caller
from dreamshare.driver.desk import Desk, Seat, Worker
from dreamshare.driver.effects import Stored, store
from dreamshare.driver.offloading import encoded
from dreamshare.driver.peering import Opened, Peering
from dreamshare.driver.timer import Timer
from dreamshare.driver.waiting import at_most, stop
from dreamshare.driver.work import Result, Workbench, WorkSettings
from dreamshare.engine import Engine, InlineEngine
from dreamshare.errors import PeerProtocolError
from dreamshare.ids import NO_SESSION, NO_TASK, SessionId, TaskId
from dreamshare.protocol import events
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import (
    Declined,
    DownMessage,
    Message,
    NotNeeded,
    RoundOpening,
    Sa2,
    TellOrder,
)
from dreamshare.protocol.outcomes import DeviceOutcome
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.base import Link
from dreamshare.wire.bulk import BULK
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage

LAST_WORDS_S = 2.0
"""Seconds that `close` waits for the aggregator to acknowledge what is queued."""

LONGEST_AWAY_S = 86_400.0
"""Seconds after which a device comes back, however long it is not needed."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An input for one task's machine."""

    task: TaskId
    event: events.ParticipantInput


class DeviceDriver:
    """One device: any number of tasks over one link.

    Args:
        link: the way to the aggregator.
        identity: the device's own.
        clock: what time it is.
        desk: where machines come from.
        worker: who computes.
        rng: jitter of reconnects.
        backoff: waits between connections.
        engine: where machines' steps run, one thing at a time; not the worker's, which is busy for
            as long as a computation takes.
        work: how much is computed at once.
    """

    def __init__(
        self,
        link: Link,
        identity: Identity,
        clock: Clock,
        desk: Desk,
        worker: Worker,
        rng: random.Random,
        backoff: BackoffSettings | None = None,
        engine: Engine | None = None,
        work: WorkSettings | None = None,
    ) -> None:
        self._clock = clock
        self._desk = desk
        self._engine = engine or InlineEngine()
        self._bench = Workbench(worker, self._give, clock, work)
        self._caller = Caller(link, identity, clock, rng, backoff)
        self._inputs: asyncio.Queue[Arrival | _Input | None] = asyncio.Queue()
        self._outcomes: asyncio.Queue[DeviceOutcome | None] = asyncio.Queue()
        self._seats: dict[TaskId, Seat] = {}
        self._timer = Timer(clock, self._due)
        self._idle = asyncio.Event()
        self._closed = asyncio.Event()
        self._dropped = 0

    @property
    def connected(self) -> bool:
        """Whether the link is open."""
        return self._caller.connected

    @property
    def dropped(self) -> int:
        """Frames that did not hold and were dropped."""
        return self._dropped

    async def run(self) -> None:
        """Serve until `close`; for one call only.

        Raises:
            Rejected: the aggregator does not take this identity or version.
            FrameTooLarge: a message is larger than the aggregator takes.
            OSError: a journal cannot be written.
        """
        for seat in await self._engine.run(self._desk.stored):
            self._seats[seat.participant.task] = seat
        self._due()
        serving = asyncio.ensure_future(self._serve())
        calling = asyncio.ensure_future(self._caller.call(self._connected, self._inputs.put_nowait))
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({serving, calling, closing}, return_when=asyncio.FIRST_COMPLETED)
            for ended in (serving, calling):
                if ended.done():
                    ended.result()
            await closing
        finally:
            self._timer.cancel()
            await stop(serving, calling, closing, *self._bench.running)
            self._idle.set()
            self._closed.set()
            self._outcomes.put_nowait(None)

    async def outcomes(self) -> AsyncIterator[DeviceOutcome]:
        """Yield what happened, in order, until the driver has stopped; for one reader."""
        while (outcome := await self._outcomes.get()) is not None:
            yield outcome

    def interrupt(self, text: str) -> None:
        """Decline what is being computed: the owner's conditions changed, and `text` says how."""
        for task in self._seats:
            self._give(task, events.Interrupted(text))

    def check_in(self) -> None:
        """Tell the aggregator again what this device offers: its owner's conditions changed."""
        if self._caller.connected and self._caller.peering is not None:
            self._caller.peering.send(Address(NO_TASK), self._desk.check_in())

    async def close(self) -> None:
        """Stop: decline what is being computed, say so, and hang up. Idempotent."""
        self.interrupt("the agent stops")
        self._inputs.put_nowait(None)
        if not self._closed.is_set():
            await at_most(self._clock, LAST_WORDS_S, self._last_words())
            await self._caller.hang_up()
            self._closed.set()

    async def _last_words(self) -> None:
        await self._idle.wait()
        if self._caller.connected and self._caller.peering is not None:
            await self._caller.peering.until_settled()

    # ---- inputs ----------------------------------------------------------------------------------

    def _give(self, task: TaskId, event: events.ParticipantInput) -> None:
        self._inputs.put_nowait(_Input(task, event))

    def _connected(self) -> None:
        self.check_in()
        for task in self._seats:
            self._give(task, events.Connected())

    def _due(self) -> None:
        now = self._clock.now()
        for task, seat in self._seats.items():
            deadline = seat.participant.deadline
            if deadline is not None and deadline <= now:
                self._give(task, events.Ticked())
        self._set_timer()

    def _set_timer(self) -> None:
        now = self._clock.now()
        deadlines = [seat.participant.deadline for seat in self._seats.values()]
        self._timer.set(min((d for d in deadlines if d is not None and d > now), default=None))

    async def _serve(self) -> None:
        while (item := await self._inputs.get()) is not None:
            if isinstance(item, Arrival):
                await self._arrived(item)
            else:
                await self._feed(item)
            self._set_timer()
        self._idle.set()

    async def _arrived(self, arrival: Arrival) -> None:
        peering = self._caller.peering
        if peering is None:
            return
        place = arrival.place
        try:
            opened = await self._open(peering, arrival)
            if opened is None:
                peering.acknowledge(place)
                return
            if isinstance(opened.message, NotNeeded) and not self._seats:
                self._caller.rest(min(opened.message.for_s, LONGEST_AWAY_S))
            task, message = TaskId(opened.header.task), opened.message
            seat = await self._seat_for(task, message)
            if seat is not None and isinstance(message, DownMessage):
                await self._handle(seat, events.Heard(message))
        except PeerProtocolError:
            self._dropped += 1
        peering.acknowledge(place)

    async def _open(self, peering: Peering, arrival: Arrival) -> Opened | None:
        if arrival.size < BULK:
            return peering.open(arrival)
        return await self._engine.run(lambda: peering.open(arrival))

    async def _seat_for(self, task: TaskId, message: Message) -> Seat | None:
        """Return the task's seat, opened where the message is one that begins something."""
        seat = self._seats.get(task)
        match message:
            case Sa2(Stage.OFFER, _) | TellOrder() | RoundOpening() if seat is None:
                seat = await self._engine.run(lambda: self._desk.seat(task))
                if seat is None:
                    await self._send(task, Declined(RefusalCode.S6, None))
                else:
                    self._seats[task] = seat
        return seat

    async def _feed(self, item: _Input) -> None:
        seat = self._seats.get(item.task)
        if isinstance(item.event, Result) and not self._bench.collect(item.task, item.event):
            return  # stopped or replaced meanwhile
        if seat is not None:
            await self._handle(seat, item.event)

    async def _handle(self, seat: Seat, event: events.ParticipantInput) -> None:
        now = self._clock.now()
        await self._carry_out(
            seat, await self._engine.run(lambda: seat.participant.handle(event, now))
        )

    # ---- effects ---------------------------------------------------------------------------------

    async def _carry_out(self, seat: Seat, effects: tuple[events.ParticipantEffect, ...]) -> None:
        task = seat.participant.task
        waiting: list[Stored] = []
        for effect in effects:
            if isinstance(effect, Stored):
                waiting.append(effect)
                continue
            await store(seat.journal, waiting)
            waiting = []
            match effect:
                case events.Send(message):
                    await self._send(task, message)
                case events.Compute() | events.Learn():
                    self._bench.start(task, effect)
                case events.SetAside(plan, update):
                    await self._bench.set_aside(task, plan, update)
                case events.Stop():
                    self._bench.stop(task)
                case events.Emit(outcome):
                    self._outcomes.put_nowait(outcome)
                case events.KeepEvidence():
                    self._desk.evidence(task, effect)
                case events.Close():
                    self._bench.stop(task)
                    del self._seats[task]
                    await self._engine.run(lambda: self._desk.leave(task))
        await store(seat.journal, waiting)

    async def _send(self, task: TaskId, message: Message) -> None:
        ready = await encoded(self._engine, message)
        peering = self._caller.peering
        if peering is None:
            return  # before the first greeting; each connection begins with what matters
        seat = self._seats.get(task)
        session = None if seat is None else seat.participant.session
        address = Address(task, NO_SESSION if session is None else SessionId(session))
        sealed = None
        if len(ready.body) >= BULK:
            sealed = await self._engine.run(lambda: peering.seal(address, ready))
        peering.send(address, ready, sealed)
