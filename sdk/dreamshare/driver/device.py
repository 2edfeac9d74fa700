"""A device's driver: messages to machines, effects to journal, link and worker.

Rules:
- one input is handled at a time, with all its effects, before the next one is looked at;
- a frame is acknowledged after its effects; a frame that does not hold is dropped and counted;
- one computation per task runs in a task of its own; a result that nobody waits for is dropped;
- `close` declines what is being computed, gives the link a moment to say so, and stops. What was
  acknowledged is in the journals, so nothing is lost however it ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial

from dreamshare.clock import Clock
from dreamshare.driver.backoff import BackoffSettings
from dreamshare.driver.caller import Caller
from dreamshare.driver.desk import Desk, Seat, Worker
from dreamshare.driver.effects import Stored, store
from dreamshare.driver.timer import Timer
from dreamshare.driver.waiting import at_most, stop
from dreamshare.errors import PeerProtocolError, PrivacyError
from dreamshare.ids import NO_SESSION, NO_TASK, SessionId, TaskId
from dreamshare.protocol import events
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import (
    Declined,
    DownMessage,
    Message,
    RoundOpening,
    Sa2,
    TellOrder,
)
from dreamshare.protocol.outcomes import DeviceOutcome
from dreamshare.transport.base import Link
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage

_Work = Callable[[], Coroutine[None, None, events.ParticipantInput]]

LAST_WORDS_S = 2.0
"""Seconds that `close` waits for the aggregator to acknowledge what is queued."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An input for one task's machine; `work` is the computation that it comes from."""

    task: TaskId
    event: events.ParticipantInput
    work: asyncio.Task[None] | None = None


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
    ) -> None:
        self._clock = clock
        self._desk = desk
        self._worker = worker
        self._caller = Caller(link, identity, clock, rng, backoff)
        self._inputs: asyncio.Queue[Arrival | _Input | None] = asyncio.Queue()
        self._outcomes: asyncio.Queue[DeviceOutcome | None] = asyncio.Queue()
        self._seats: dict[TaskId, Seat] = {}
        self._work: dict[TaskId, asyncio.Task[None]] = {}
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
        for seat in self._desk.stored():
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
            await stop(serving, calling, closing, *self._work.values())
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
            self._inputs.put_nowait(_Input(task, events.Interrupted(text)))

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

    def _connected(self) -> None:
        self._send(NO_TASK, self._desk.check_in())
        for task in self._seats:
            self._inputs.put_nowait(_Input(task, events.Connected()))

    def _due(self) -> None:
        now = self._clock.now()
        for task, seat in self._seats.items():
            deadline = seat.participant.deadline
            if deadline is not None and deadline <= now:
                self._inputs.put_nowait(_Input(task, events.Ticked()))
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
        try:
            opened = peering.open(arrival)
            task, message = TaskId(opened.header.task), opened.message
            seat = self._seat_for(task, message)
            if seat is not None and isinstance(message, DownMessage):
                heard = seat.participant.handle(events.Heard(message), self._clock.now())
                await self._carry_out(seat, heard)
        except PeerProtocolError:
            self._dropped += 1
        peering.acknowledge(arrival)

    def _seat_for(self, task: TaskId, message: Message) -> Seat | None:
        """Return the task's seat, opened where the message is one that begins something."""
        seat = self._seats.get(task)
        match message:
            case Sa2(Stage.OFFER, _) | TellOrder() | RoundOpening() if seat is None:
                seat = self._desk.seat(task)
                if seat is None:
                    self._send(task, Declined(RefusalCode.S6, None))
                else:
                    self._seats[task] = seat
        return seat

    async def _feed(self, item: _Input) -> None:
        seat = self._seats.get(item.task)
        if item.work is not None:
            if self._work.get(item.task) is not item.work:
                return  # stopped or replaced meanwhile
            del self._work[item.task]
        if seat is not None:
            await self._carry_out(seat, seat.participant.handle(item.event, self._clock.now()))

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
                    self._send(task, message)
                case events.Compute():
                    self._start(task, partial(self._compute, task, effect))
                case events.Learn():
                    self._start(task, partial(self._learn, task, effect))
                case events.Stop():
                    self._stop_work(task)
                case events.Emit(outcome):
                    self._outcomes.put_nowait(outcome)
                case events.KeepEvidence():
                    self._desk.evidence(task, effect)
                case events.Close():
                    self._stop_work(task)
                    del self._seats[task]
                    self._desk.leave(task)
        await store(seat.journal, waiting)

    def _send(self, task: TaskId, message: Message) -> None:
        peering = self._caller.peering
        if peering is None:
            return  # before the first greeting; each connection begins with what matters
        seat = self._seats.get(task)
        session = None if seat is None else seat.participant.session
        address = Address(task, NO_SESSION if session is None else SessionId(session))
        peering.send(address, message)

    # ---- work ------------------------------------------------------------------------------------

    def _start(self, task: TaskId, work: _Work) -> None:
        self._stop_work(task)
        self._work[task] = asyncio.ensure_future(self._finish(task, work))

    def _stop_work(self, task: TaskId) -> None:
        running = self._work.pop(task, None)
        if running is not None:
            running.cancel()

    async def _finish(self, task: TaskId, work: _Work) -> None:
        event = await work()
        self._inputs.put_nowait(_Input(task, event, asyncio.current_task()))

    async def _compute(self, task: TaskId, order: events.Compute) -> events.ParticipantInput:
        try:
            update = await self._worker.compute(task, order)
        except PrivacyError as error:
            return events.ComputeFailed(order.payload_hash, str(error), RefusalCode.S6)
        except Exception as error:  # noqa: BLE001  the border to the app's learner: it is reported
            return events.ComputeFailed(order.payload_hash, f"{type(error).__name__}: {error}")
        return events.Computed(order.payload_hash, update)

    async def _learn(self, task: TaskId, order: events.Learn) -> events.ParticipantInput:
        try:
            await self._worker.learn(task, order)
        except Exception as error:  # noqa: BLE001  as above
            return events.LearnFailed(order.number, f"{type(error).__name__}: {error}")
        return events.Learnt(order.number)
