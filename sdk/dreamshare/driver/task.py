"""One task on the aggregator: its coordinator fed, its effects carried out, its reports handed on.

Rules:
- one input at a time, with all its effects; tasks do not wait for one another;
- the coordinator's steps, and the encoding of what is large, run in the engine;
- a device's frame is acknowledged when its effects have been carried out and what it said is
  durable; frames that wait at the same time share one write (docs/protocol.md 9.8);
- a message for many devices is encoded once;
- an error of this program that one device's message found drops that message, where the machine
  stands as it stood; anywhere else it ends the task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from dreamshare.clock import Clock
from dreamshare.driver.effects import store
from dreamshare.driver.offloading import Encoded, encoded
from dreamshare.driver.timer import Timer
from dreamshare.driver.trace import Heard, Reported, Stored, Trace, sending, untraced
from dreamshare.engine import Engine
from dreamshare.errors import DreamshareError, PeerProtocolError
from dreamshare.ids import NO_SESSION, PartyId, TaskId, short
from dreamshare.protocol import events
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.journal import Journal
from dreamshare.protocol.messages import DownMessage, Sa2, TellOrder
from dreamshare.protocol.outcomes import TaskOutcome
from dreamshare.protocol.plan import RoundPlan
from dreamshare.wire.codec import decode_message
from dreamshare_crypto.secagg.events import Record, RecordKind, Stage
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, FromShard, ToShard

_LOG = logging.getLogger(__name__)

MOST_TOGETHER = 64
"""Inputs after which those that were handled are acknowledged, whatever else waits."""

Post = Callable[[tuple[PartyId, ...], Address, Encoded], Awaitable[None]]
"""Queue an encoded message for parties."""


class VectorShards(Protocol):
    """Where vectors of a task come in beside this process."""

    def order(self, task: TaskId, order: Collect | None) -> None:
        """Tell every shard of a task's round, or that none is open."""
        ...

    def tell(self, task: TaskId, said: ToShard) -> None:
        """Tell one shard what a task says about its vectors."""
        ...


@dataclass(frozen=True, slots=True)
class _Item:
    """An input, and what to call when it has been handled."""

    event: events.CoordinatorInput
    handled: Callable[[], None] | None


class TaskRun:
    """A coordinator at work.

    Args:
        coordinator: the task's machine.
        journal: where it stores.
        clock: what time it is.
        post: how messages leave.
        keep_evidence: takes contradictions that devices signed.
        engine: where the coordinator's steps run.
        trace: is told what happens, as facts without payloads.
        shards: where other processes of this aggregator take vectors; None where there are none.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        journal: Journal,
        clock: Clock,
        post: Post,
        keep_evidence: Callable[[TaskId, events.KeepEvidence], None],
        engine: Engine,
        trace: Trace = untraced,
        shards: VectorShards | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._journal = journal
        self._clock = clock
        self._post = post
        self._keep_evidence = keep_evidence
        self._engine = engine
        self._trace = trace
        self._shards = shards
        self._order: Collect | None = None  # the round that shards were told of
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._reports: asyncio.Queue[TaskOutcome | None] = asyncio.Queue()
        self._timer = Timer(clock, lambda: self.give(events.Ticked()))
        self._open = True
        self._unsynced: list[events.Persist] = []
        self.dropped = 0
        self.traffic = 0  # bytes of the task's messages, both ways

    @property
    def task(self) -> TaskId:
        """The task's id."""
        return self._coordinator.task

    @property
    def coordinator(self) -> Coordinator:
        """The machine, to look at its phase and members; feed it through `give` alone."""
        return self._coordinator

    def give(
        self, event: events.CoordinatorInput, handled: Callable[[], None] | None = None
    ) -> None:
        """Queue an input; `handled` is called when its effects have been carried out."""
        self._items.put_nowait(_Item(event, handled))

    async def reports(self) -> AsyncIterator[TaskOutcome]:
        """Yield what happened, in order, until the task is over; for one reader."""
        while (outcome := await self._reports.get()) is not None:
            yield outcome

    async def serve(self) -> None:
        """Handle inputs until the coordinator closes.

        Raises:
            OSError: the journal cannot be written.
            LocalProtocolError, ConfigError: the owner gave an order that has no place.
        """
        try:
            while self._open:
                handled = [await self._handle(await self._items.get())]
                while len(handled) < MOST_TOGETHER and not self._items.empty():
                    handled.append(await self._handle(self._items.get_nowait()))
                if self._unsynced:
                    await self._carry_out(await self._step(events.Acknowledging()))
                await self._sync()
                for settle in handled:
                    if settle is not None:
                        settle()
            self._settle_rest()
        finally:
            self._timer.cancel()
            self._reports.put_nowait(None)

    async def _handle(self, item: _Item) -> Callable[[], None] | None:
        """Handle one input; return what is to be called when it is durable."""
        round_, phase = self._coordinator.round, self._coordinator.phase
        try:
            effects = await self._step(item.event)
        except PeerProtocolError:
            self.dropped += 1
        except DreamshareError:
            raise
        except Exception:
            device = item.event.device if isinstance(item.event, events.HeardFrom) else None
            if device is None or self._coordinator.phase is not phase:
                raise
            self.dropped += 1
            _LOG.exception("a message of %s was left with an error of this program", short(device))
        else:
            self._trace_heard(item.event, round_)
            self._order_shards()
            await self._carry_out(effects)
        self._timer.set(self._coordinator.deadline)
        return item.handled

    def _order_shards(self) -> None:
        """Tell shards of a round before any device is: their vectors may be there at once."""
        order = self._coordinator.collecting
        if self._shards is not None and order is not self._order:
            self._order = order
            self._shards.order(self.task, order)

    async def _step(self, event: events.CoordinatorInput) -> tuple[events.CoordinatorEffect, ...]:
        now = self._clock.now()
        return await self._engine.run(lambda: self._coordinator.handle(event, now))

    def _settle_rest(self) -> None:
        """The task is over: what still waits changes nothing, and is not to be sent again."""
        while not self._items.empty():
            item = self._items.get_nowait()
            if item.handled is not None:
                item.handled()

    async def _carry_out(self, effects: tuple[events.CoordinatorEffect, ...]) -> None:
        waiting: list[events.Persist] = []
        for effect in effects:
            match effect:
                case events.Persist():
                    waiting.append(effect)
                    continue
                case events.KeepTell(number, plan):
                    told = await encoded(self._engine, TellOrder(number, plan))
                    waiting.append(events.Persist(Record(RecordKind.OWNER, told.body)))
                    continue
            await self._store(waiting)
            waiting = []
            match effect:
                case events.SendTo(devices, message):
                    await self._send(devices, message)
                case events.Report(outcome):
                    self._reports.put_nowait(outcome)
                    self._trace(Reported(self.task, outcome, self._clock.now()))
                case events.KeepEvidence():
                    self._keep_evidence(self.task, effect)
                case ToShard() if self._shards is not None:
                    self._shards.tell(self.task, effect)
                case events.Close():
                    self._open = False
        await self._store(waiting)

    async def _store(self, waiting: list[events.Persist]) -> None:
        """Store a run of records; those behind the last one that must be durable wait for more."""
        self._unsynced += waiting
        if any(effect.sync for effect in waiting):
            await self._sync()

    async def _sync(self) -> None:
        """Make durable what waits for it, in one write."""
        waiting, self._unsynced = self._unsynced, []
        if waiting:
            waiting = [
                *(replace(each, sync=False) for each in waiting[:-1]),
                replace(waiting[-1], sync=True),
            ]
            began = self._clock.now()
            await store(self._journal, waiting)
            now = self._clock.now()
            self._trace(Stored(self.task, len(waiting), max(0.0, now - began), now))

    def _trace_heard(self, event: events.CoordinatorInput, round_: int | None) -> None:
        match event:
            case events.HeardFrom(device, Sa2(stage, body)):
                now = self._clock.now()
                self._trace(Heard(self.task, device, stage, round_, len(body), now))
            case FromShard(_, Claim(device, receipt)):
                stage, now = Stage.MASKED_INPUT, self._clock.now()
                who, size = PartyId(device), len(receipt)
                self._trace(Heard(self.task, who, stage, round_, size, now))

    async def _send(self, devices: tuple[PartyId, ...], message: DownMessage) -> None:
        session = self._coordinator.session
        address = Address(
            self.task, NO_SESSION if session is None else session, self._coordinator.round or 0
        )
        ready = await encoded(self._engine, message)
        self.traffic += len(ready.body) * len(devices)
        await self._post(devices, address, ready)
        fact = sending(self.task, devices, message, self._coordinator.round, self._clock.now())
        if fact is not None:
            self._trace(fact)


def stored_tells(records: Iterable[Record]) -> tuple[RoundPlan, ...]:
    """Return the Tells in a task's journal, oldest first, for a coordinator that goes on.

    Raises:
        PeerProtocolError: a record is damaged.
    """
    plans: list[RoundPlan] = []
    for record in records:
        if record.kind is RecordKind.OWNER:
            order = decode_message(record.body)
            if isinstance(order, TellOrder) and order.number == len(plans) + 1:
                plans.append(order.plan)
    return tuple(plans)
