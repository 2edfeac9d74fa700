"""Any network: whatever is lost, repeated, reordered or cut, frames arrive once and in order.

The operations of a run are data, so that a failure shrinks to the shortest run that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis
from hypothesis import strategies as st

from dreamshare.wire.limits import PACKET_LEAST
from dreamshare.wire.link import Ack, Chunk, Received, Standing, decode_packet, encode_packet
from dreamshare.wire.transfer import Arrival, Inbox, Outbox

WINDOW = 12_000  # three full chunks: both sides of the rule are met by the sizes below
LARGEST = 20_000


@dataclass(frozen=True, slots=True)
class Put:
    size: int


@dataclass(frozen=True, slots=True)
class Emit:
    chunks: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand over the packet at this place (modulo what is under way), or lose it, or repeat it."""

    up: bool
    place: int
    lose: bool = False
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledge:
    place: int


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Greet anew; `strays` says whether packets of the old connection may still arrive."""

    strays: bool
    receiver_forgets: bool = False
    packet_limit: int = PACKET_LEAST


Operation = Put | Emit | Deliver | Acknowledge | Reconnect
places = st.integers(0, 7)
limits = st.integers(PACKET_LEAST, 3 * PACKET_LEAST)
operations = st.one_of(
    st.builds(Put, st.integers(1, LARGEST)),
    st.builds(Emit, st.integers(1, 6)),
    st.builds(Deliver, st.booleans(), st.just(0)),
    st.builds(Deliver, st.booleans(), places, st.booleans(), st.booleans()),
    st.builds(Acknowledge, places),
    st.builds(Reconnect, st.booleans(), st.just(False), limits),
)


def through_the_codec(packet: Chunk | Ack) -> Chunk | Ack:
    decoded = decode_packet(encode_packet(packet))
    assert decoded == packet
    assert isinstance(decoded, Chunk | Ack)
    return decoded


@dataclass(slots=True)
class Run:
    """Both ends, and what is under way between them."""

    outbox: Outbox = field(default_factory=lambda: Outbox(3))
    inbox: Inbox = field(default_factory=lambda: Inbox(LARGEST, WINDOW))
    put: list[bytes] = field(default_factory=list)
    arrived: list[bytes] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    up: list[Chunk] = field(default_factory=list)
    down: list[Ack] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)

    def greet(self, packet_limit: int = PACKET_LEAST) -> None:
        mine = Standing(bytes(218), self.outbox.birth, self.outbox.first, Received())
        theirs = Standing(bytes(218), 1, 1, self.inbox.received, 1 << 20, LARGEST, WINDOW)
        self.inbox.connected(mine)
        self.settled += self.outbox.connected(theirs, packet_limit)

    def do(self, operation: Operation) -> None:
        match operation:
            case Put(size):
                frame = len(self.put).to_bytes(2, "big") * (size // 2) + b"x" * (size % 2)
                assert self.outbox.put(frame) == len(self.put) + 1
                self.put.append(frame)
            case Emit(number):
                for _ in range(number):
                    if (chunk := self.outbox.next_chunk()) is not None:
                        self.up.append(chunk)
            case Deliver(up, place, lose, repeat):
                under_way: list[Chunk] | list[Ack] = self.up if up else self.down
                if under_way:
                    place %= len(under_way)
                    packet = under_way[place] if repeat else under_way.pop(place)
                    if not lose:
                        self.receive(packet)
            case Acknowledge(place):
                if self.waiting:
                    self.acknowledge(place % len(self.waiting))
            case Reconnect(strays, forgets, packet_limit):
                self.outbox.disconnected()
                assert self.outbox.next_chunk() is None
                if not strays:
                    self.up, self.down = [], []
                if forgets:
                    self.inbox, self.waiting = Inbox(LARGEST, WINDOW), []
                self.greet(packet_limit)

    def receive(self, packet: Chunk | Ack) -> None:
        packet = through_the_codec(packet)
        if isinstance(packet, Ack):
            self.settled += self.outbox.acknowledged(packet)
            return
        taken = self.inbox.take(packet)
        if isinstance(taken, Arrival):
            self.arrived.append(taken.frame)
            self.waiting.append((taken.birth, taken.transfer))
        elif isinstance(taken, Ack):
            self.down.append(taken)

    def acknowledge(self, place: int) -> None:
        ack = self.inbox.acknowledge(*self.waiting.pop(place))
        assert ack is not None
        self.down.append(ack)

    def finish(self) -> None:
        """From here on the network works: one reconnect, then everything has to arrive."""
        self.do(Reconnect(strays=False))
        for _ in range(len(self.put) + 1):
            self.do(Emit(1 + LARGEST // 1000 * len(self.put)))
            while self.up:
                self.do(Deliver(up=True, place=0))
            while self.waiting:
                self.acknowledge(0)
            while self.down:
                self.do(Deliver(up=False, place=0))


@hypothesis.settings(max_examples=300)
@hypothesis.given(st.lists(operations, max_size=60))
def test_every_frame_arrives_once_and_in_order(ordered: list[Operation]) -> None:
    run = Run()
    run.greet()
    for operation in ordered:
        run.do(operation)
        assert run.arrived == run.put[: len(run.arrived)]
    run.finish()
    assert run.arrived == run.put
    assert run.settled == list(range(1, len(run.put) + 1))
    assert run.outbox.backlog == 0


@hypothesis.settings(max_examples=200)
@hypothesis.given(
    st.lists(operations | st.builds(Reconnect, st.just(False), st.booleans()), max_size=60)
)
def test_a_receiver_that_forgets_loses_nothing(ordered: list[Operation]) -> None:
    run = Run()
    run.greet()
    for operation in ordered:
        run.do(operation)
    run.finish()
    first_time = list(dict.fromkeys(run.arrived))
    assert sorted(first_time) == sorted(set(run.put))
    assert run.settled == list(range(1, len(run.put) + 1))
    assert run.outbox.backlog == 0
