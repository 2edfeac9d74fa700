"""The root's side of its shards: which device is where, and what goes to and from them.

Rules:
- a shard is a trunk: one that breaks takes its devices' vectors along, and its devices with it once
  they had the grace time to come in elsewhere;
- a device is where it checked in last, here or at one shard;
- everything that a device says reaches its task as if it were connected here, but for vectors: of
  those the claim does, and the sum.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import replace

from dreamshare.clock import Clock
from dreamshare.driver.presence import Presence
from dreamshare.driver.seating import Seating, Shard
from dreamshare.driver.task import TaskRun
from dreamshare.driver.trunk import Trunk
from dreamshare.errors import PeerProtocolError
from dreamshare.ids import PartyId, TaskId, short
from dreamshare.protocol import events, trunk
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import CheckIn, Declined, DeviceStatus, Sa2, TaskClosed, TellDone
from dreamshare.transport.base import Connection, Listener
from dreamshare.wire.codec import decode_message, encode_message
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.shard_messages import Collect, FromShard, Lost, ToShard

_LOG = logging.getLogger(__name__)

MOST_SHARDS = 256
"""Of one root; each trunk costs it a little memory, and what comes over it some time."""


class Shards:
    """Every shard of one root.

    Attributes:
        seating: who answers requests that come in over brokers.

    Args:
        listener: where shards come in; it takes nobody but this aggregator.
        identity: the aggregator's.
        clock: what time it is.
        grace_s: seconds that devices of a lost shard have to come in elsewhere.
        presence: who hears of devices.
        is_here: says whether a device has checked in with the root itself.
    """

    def __init__(
        self,
        listener: Listener,
        identity: Identity,
        clock: Clock,
        grace_s: float,
        presence: Presence,
        is_here: Callable[[PartyId], bool],
    ) -> None:
        self.listener = listener
        self._identity = identity
        self._name = identity.id.hex()
        self._clock = clock
        self._grace_s = grace_s
        self._presence = presence
        self._runs = presence.runs
        self._is_here = is_here
        self._shards: dict[int, Shard] = {}
        self._at: dict[PartyId, Shard] = {}
        self._offers: dict[PartyId, CheckIn] = {}  # of all who came in over shards
        self._moved: dict[PartyId, tuple[int, int]] = {}
        self.seating = Seating(self._shards)
        self._orders: dict[TaskId, Collect] = {}
        self._opened = 0

    # ---- what the driver asks --------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many shards are here."""
        return len(self._shards)

    def has(self, device: PartyId) -> bool:
        """Whether a device is at a shard."""
        return device in self._at

    def came_here(self, device: PartyId) -> None:
        """A device has checked in with the root itself."""
        self.seating.came(device)
        shard = self._at.pop(device, None)
        if shard is not None:
            shard.devices.pop(device, None)

    def joined(self) -> Iterable[events.Joined]:
        """Return every device that is at a shard, as a new task is told of it."""
        for device, shard in self._at.items():
            offer = shard.devices[device]
            yield events.Joined(device, offer.algorithms, attributes=offer.attributes)

    def beside(self, here: tuple[DeviceStatus, ...]) -> tuple[DeviceStatus, ...]:
        """Return what operators see, devices that came in over shards added.

        Their traffic there is what shards have told of it: it was counted when a sum was given.
        """
        own = {each.device: each for each in here}
        return tuple(
            self._seen(device, own.get(device)) for device in dict.fromkeys((*own, *self._offers))
        )

    def _seen(self, device: PartyId, own: DeviceStatus | None) -> DeviceStatus:
        up, down = self._moved.get(device, (0, 0))
        if own is not None:
            up, down = up + own.bytes_up, down + own.bytes_down
            if device not in self._at:
                return replace(own, bytes_up=up, bytes_down=down)
        offer, there = self._offers[device], device in self._at
        return DeviceStatus(
            device, offer.label, there, offer.algorithms, up, down, offer.attributes
        )

    def post(self, devices: Iterable[PartyId], address: Address, body: bytes) -> None:
        """Send a message to devices, as far as they are at shards."""
        groups: dict[int, list[PartyId]] = {}
        for device in devices:
            if device in self._at and self._at[device].number in self._shards:  # else it is lost
                groups.setdefault(self._at[device].number, []).append(device)
        for number, group in groups.items():
            self._shards[number].line.put(trunk.Post(address, tuple(group), body))

    def order(self, task: TaskId, order: Collect | None) -> None:
        """Tell every shard of a task's round, or that none is open."""
        if order is None:
            self._orders.pop(task, None)
            return
        self._orders[task] = order
        for shard in self._shards.values():
            shard.line.put(trunk.Order(task, order))

    def tell(self, task: TaskId, said: ToShard) -> None:
        """Tell one shard what a task says about its vectors."""
        shard = self._shards.get(said.shard)
        if shard is not None:
            shard.line.put(trunk.Answer(task, said.message))

    def begun(self, largest: int) -> None:
        """Another task is at work, or one less; the largest message of all is this."""
        for shard in self._shards.values():
            shard.line.put(trunk.Wanted(largest))

    def ended(self, task: TaskId) -> None:
        """A task is over."""
        self._orders.pop(task, None)
        for shard in self._shards.values():
            shard.line.put(trunk.TaskOver(task))

    # ---- trunks ----------------------------------------------------------------------------------

    async def serve(self, start: Callable[[Coroutine[None, None, None]], object]) -> None:
        """Take shards until the listener is closed; `start` runs work in the background."""
        arrivals: AsyncIterator[Connection] = self.listener.connections()
        async for connection in arrivals:
            start(self._follow(connection, start))

    async def renew(self, identity: Identity) -> None:
        """Hang up on every shard: they come again with what they then read of the identity.

        They are told the newest revocation list, too, where they cannot read it.
        """
        self._identity = identity
        for shard in tuple(self._shards.values()):
            await shard.line.close()

    async def close(self) -> None:
        """Hang up on every shard, for good."""
        await self.listener.close()

    async def _follow(
        self, connection: Connection, start: Callable[[Coroutine[None, None, None]], object]
    ) -> None:
        if connection.peer != self._name:
            _LOG.warning("%s is not this aggregator: it is no shard", connection.peer)
            await connection.close()
            return
        self._opened += 1
        shard = Shard(self._opened, Trunk(connection))
        self._shards[shard.number] = shard
        _LOG.info("shard %d came", shard.number)
        shard.line.put(trunk.Wanted(largest_of(self._runs.values())))
        shard.line.put(trunk.Revoked(self._identity.revocations.encode()))
        for task, order in self._orders.items():
            shard.line.put(trunk.Order(task, order))
        try:
            await shard.line.serve(lambda message: self._hear(shard, message))
        finally:
            del self._shards[shard.number]
            self.seating.lost(shard)
            _LOG.warning("shard %d is gone, with %d devices", shard.number, len(shard.devices))
            for run in self._runs.values():
                run.give(FromShard(shard.number, Lost()))
            start(self._after_grace(shard))

    async def _after_grace(self, shard: Shard) -> None:
        await self._clock.sleep_until(self._clock.now() + self._grace_s)
        for device in tuple(shard.devices):
            self._left(shard, device)

    def _left(self, shard: Shard, device: PartyId) -> None:
        shard.devices.pop(device, None)
        if self._at.get(device) is shard:
            del self._at[device]
            if not self._is_here(device):
                self._presence.departed(device)

    def _hear(self, shard: Shard, message: trunk.TrunkMessage) -> None:
        match message:
            case trunk.Came(device, fresh, body):
                offer = decode_message(body)
                if not isinstance(offer, CheckIn):
                    raise PeerProtocolError(f"{short(device)} came without checking in")
                self.came_here(device)  # from wherever it was
                shard.devices[device] = offer
                self._at[device] = shard
                self._offers[device] = offer
                self._presence.joined(
                    events.Joined(device, offer.algorithms, fresh, offer.attributes)
                )
            case trunk.Seated(broker, there):
                self.seating.sit(shard, broker, there=there)
            case trunk.NoDevice(party):
                self.seating.keep(party)
            case trunk.Moved(counts):
                for device, up, down in counts:
                    if device in self._offers:
                        before = self._moved.get(device, (0, 0))
                        self._moved[device] = (before[0] + up, before[1] + down)
            case trunk.Went(device):
                self._left(shard, device)
            case trunk.Heard(number, task, device, body):
                self._heard(shard, number, task, device, body)
            case trunk.Said(task, said):
                run = self._runs.get(task)
                if run is not None:
                    run.give(FromShard(shard.number, said))
            case _:
                raise PeerProtocolError("a shard spoke as a root")

    def _heard(self, shard: Shard, number: int, task: TaskId, device: PartyId, body: bytes) -> None:
        run = self._runs.get(task)
        message = decode_message(body)
        if run is None or not isinstance(message, Sa2 | Declined | TellDone):
            if not self._presence.front.knows(task):
                closed = encode_message(TaskClosed("unknown"))
                shard.line.put(trunk.Post(Address(task), (device,), closed))
            shard.line.put(trunk.Handled(number))
            return
        run.traffic += len(body)
        run.give(events.HeardFrom(device, message), lambda: shard.line.put(trunk.Handled(number)))


def largest_of(runs: Iterable[TaskRun]) -> int:
    """Return the largest message that a device of these tasks may have to send, bytes."""
    return max((run.coordinator.terms.largest_answer for run in runs), default=0)
