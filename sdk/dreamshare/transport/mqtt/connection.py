"""A Connection over a broker: packets counted, credit given, and nothing believed.

Rules:
- packets are numbered; one that came before is dropped, one that is missing breaks the connection,
  because a broker loses messages that it has acknowledged. The greeting of the next connection
  finds where to go on (docs/protocol.md 17.8);
- an end sends at most `WINDOW_PACKETS` and `WINDOW_BYTES` more than the other end's reader took, so
  that no queue on the way grows with the message; one that sends more is cut off;
- sending and receiving share no lock, so that neither side waits for the other's reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from dreamshare.errors import Unreachable
from dreamshare.transport.base import PACKET_LIMIT, check_packet
from dreamshare.transport.mqtt.client import Envelope
from dreamshare.transport.mqtt.notes import Kind, Note, tag_of
from dreamshare.transport.mqtt.session import Refusal, Session

WINDOW_PACKETS = 64
"""Packets that may be under way before the other end's reader has taken any."""

WINDOW_BYTES = 1024 * 1024
"""Bytes that may be under way; a packet that is larger than what is left waits."""

EXPIRY_S = 60
"""Seconds after which a packet that was not delivered is of no use: the connection is over."""

GRACE_S = 3.0
"""Seconds that a broker has to take a goodbye."""

_TELL_PACKETS = WINDOW_PACKETS // 4
_TELL_BYTES = WINDOW_BYTES // 4
_IN_TIME = Envelope(expiry_s=EXPIRY_S)


@dataclass(frozen=True, slots=True)
class Route:
    """Which topics carry one end of a connection.

    Attributes:
        packets: where this end's packets go.
        taken: where this end says what its reader took.
    """

    packets: str
    taken: str


class MqttConnection:
    """One end of a connection; see `base.Connection`.

    Args:
        session: the client's time at the broker.
        route: topics of this end.
        binding: what both ends drew for this connection.
        peer: what the broker says that the other end is.
        ended: called once, when this end is closed or broken.
        leave: the last thing that `close` does.
    """

    def __init__(
        self,
        session: Session,
        route: Route,
        binding: bytes,
        peer: str | None,
        *,
        ended: Callable[[MqttConnection], None] | None = None,
        leave: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._session = session
        self._route = route
        self._binding = binding
        self._tag = tag_of(binding)
        self._peer = peer
        self._ended = ended
        self._leave = leave
        self._over = False  # nothing goes out any more
        self._closing = False
        self._failure: Unreachable | None = None
        self._change = asyncio.Event()  # credit, or the end
        self._sending = asyncio.Lock()
        self._sent = 0
        self._under_way: deque[int] = deque()  # sizes of packets sent and not taken
        self._arrived: asyncio.Event = asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._finished = False  # the other end has said that it closes
        self._heard = 0
        self._taken = 0
        self._told = 0
        self._held_bytes = 0  # arrived, and not reported as taken
        self._bytes_in = 0
        self._bytes_out = 0

    @property
    def peer(self) -> str | None:
        return self._peer

    @property
    def binding(self) -> bytes:
        return self._binding

    @property
    def tag(self) -> bytes:
        """Name of the connection in its notes."""
        return self._tag

    @property
    def broken(self) -> bool:
        """Whether it ended otherwise than by a goodbye of either end."""
        return self._failure is not None

    @property
    def packet_limit(self) -> int:
        return self._session.packet_limit

    @property
    def bytes_in(self) -> int:
        return self._bytes_in

    @property
    def bytes_out(self) -> int:
        return self._bytes_out

    # ---- sending ---------------------------------------------------------------------------------

    async def send(self, packet: bytes) -> None:
        check_packet(packet, self.packet_limit)
        async with self._sending:
            await self._until_room(len(packet))
            await self._put(Kind.PACKET, packet)
            self._under_way.append(len(packet))
        self._bytes_out += len(packet)

    async def _until_room(self, size: int) -> None:
        while not self._over:
            flying = self._under_way
            if not flying or (len(flying) < WINDOW_PACKETS and sum(flying) + size <= WINDOW_BYTES):
                return
            self._change.clear()
            await self._change.wait()

    async def _put(self, kind: Kind, rest: bytes) -> None:
        await self._session.turn()
        if self._over:
            self._session.skip()
            raise self._failure or Unreachable("the connection is gone; connect again")
        note = Note(kind, rest, self._tag, self._sent + 1)
        self._session.put(self._route.packets, note.encode(), _IN_TIME, self._refused)
        self._sent += 1

    def _refused(self, refusal: Refusal) -> None:
        self.sever(f"the broker did not take a packet for {self._route.packets} ({refusal})")

    # ---- receiving -------------------------------------------------------------------------------

    def take(self, note: Note) -> None:
        """Take a note of this connection that arrived; called in the order of arrival."""
        match note.kind:
            case Kind.TAKEN:
                self._take_credit(note.number)
            case Kind.PACKET | Kind.END if note.number <= self._heard:
                return  # the broker delivers at least once
            case Kind.PACKET | Kind.END if note.number > self._heard + 1 or self._finished:
                self.sever(f"packet {self._heard + 1} was lost on the way")
            case Kind.PACKET:
                self._take_packet(note.rest)
            case Kind.END:
                self._heard += 1
                self._finish()

    def _take_credit(self, number: int) -> None:
        if number > self._sent:
            self.sever("the other end took packets that were not sent")
            return
        while self._sent - len(self._under_way) < number:
            self._under_way.popleft()
        self._change.set()

    def _take_packet(self, packet: bytes) -> None:
        self._heard += 1
        self._held_bytes += len(packet)
        late = self._heard - self._told > WINDOW_PACKETS
        alone = self._heard - self._told == 1
        if len(packet) > PACKET_LIMIT or late or (self._held_bytes > WINDOW_BYTES and not alone):
            self.sever("the other end sends more than it was given credit for")
            return
        if not self._closing:
            self._waiting.append(packet)
            self._arrived.set()

    def _finish(self) -> None:
        self._finished = True
        self._stop()

    async def packets(self) -> AsyncIterator[bytes]:
        while True:
            await self._tell_taken()
            if self._waiting and not self._closing:
                packet = self._waiting.popleft()
                self._taken += 1
                self._bytes_in += len(packet)
                yield packet
                continue
            if self._failure is not None and not self._closing:
                raise self._failure
            if self._finished or self._closing:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def _tell_taken(self) -> None:
        """Give credit for what the reader took, every few packets."""
        fresh = self._taken - self._told
        waiting = sum(map(len, self._waiting))
        if fresh < _TELL_PACKETS and self._held_bytes - waiting < _TELL_BYTES:
            return
        await self._session.turn()
        if self._over:
            self._session.skip()
            return
        note = Note(Kind.TAKEN, tag=self._tag, number=self._taken)
        self._told = self._taken
        self._held_bytes = sum(map(len, self._waiting))
        try:
            self._session.put(self._route.taken, note.encode(), _IN_TIME, self._refused)
        except Unreachable as error:
            self.sever(str(error))

    # ---- the end ---------------------------------------------------------------------------------

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._waiting.clear()
        self._arrived.set()
        try:
            async with asyncio.timeout(GRACE_S):
                if not self._over:
                    await self._put(Kind.END, b"")
        except (TimeoutError, Unreachable):
            pass  # the other end finds out by its own means
        self._stop()
        if self._leave is not None:
            await self._leave()

    def sever(self, reason: str) -> None:
        """Break the connection at this end; what arrived before is still read."""
        if self._failure is None and not self._finished:
            self._failure = Unreachable(f"{reason}; connect again")
        self._stop()

    def _stop(self) -> None:
        self._change.set()
        self._arrived.set()
        if not self._over:
            self._over = True
            if self._ended is not None:
                self._ended(self)
