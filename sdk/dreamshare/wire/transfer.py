"""Frames in pieces: exactly once, in order, over connections that break (docs/protocol.md 14).

Rules:
- an Outbox here and the Inbox there outlive their connections; they see packets, never a socket;
- a frame is acknowledged by the receiver's owner, after the durable write, not by its arrival;
- every chunk names (birth, transfer, offset): repeats and strays change nothing;
- pieces are taken in order. A gap is reported once and the sender goes back to it; what is lost
  without a trace (a report, the last chunk) is found by the next greeting, so an owner that waits
  too long for an acknowledgement says Hello again;
- memory is bounded: the sender begins no frame past the peer's window, and the receiver refuses one
  that does. A single frame may exceed the window, alone, up to the receiver's frame limit;
- a frame larger than anything that is wanted now is counted and not kept: it arrives empty, to be
  dropped and acknowledged, so that a sender who could not know better is not stuck with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dreamshare.errors import AbortCode, FrameTooLarge, LocalProtocolError
from dreamshare.wire import limits
from dreamshare.wire.border import refuse
from dreamshare.wire.link import Ack, Chunk, Received, Standing

_PIECE = 256 * limits.KIB


class Outbox:
    """Frames on their way to one peer.

    Args:
        birth: of this end, >= 1; grows with every start of the process.
    """

    def __init__(self, birth: int) -> None:
        if birth < 1:
            raise LocalProtocolError(f"a birth counts from 1, not {birth}")
        self._birth = birth
        self._frames: deque[_Frame] = deque()  # transfers first, first + 1, ...
        self._backlog = 0  # bytes of all of them
        self._first = 1
        self._cursor = (1, 0)  # transfer and offset of the next chunk
        self._highest = (1, 0)  # where the cursor ever was
        self._peer: Standing | None = None
        self._piece = 0

    @property
    def birth(self) -> int:
        """Birth of this end."""
        return self._birth

    @property
    def first(self) -> int:
        """Lowest transfer that is not acknowledged; goes into the greeting."""
        return self._first

    @property
    def backlog(self) -> int:
        """Bytes put and not acknowledged; an owner that sees it grow stops putting."""
        return self._backlog

    @property
    def crowded(self) -> bool:
        """Whether more waits behind the first frame than a window, or than FRAMES_WAITING."""
        behind = self._backlog - (self._frames[0].size if self._frames else 0)
        return behind > limits.WINDOW or len(self._frames) > limits.FRAMES_WAITING

    def put(self, *parts: bytes) -> int:
        """Queue a frame, in one piece or several, and return the number of its transfer.

        The pieces are kept as they are: what many frames share is there once.

        Raises:
            FrameTooLarge: empty, or more than the peer takes (as far as it has said).
        """
        most = limits.FRAME_LIMIT if self._peer is None else self._peer.frame_limit
        frame = _Frame(parts)
        if not 0 < frame.size <= min(most, limits.FRAME_LIMIT):
            raise FrameTooLarge(f"a frame of {frame.size} bytes; the peer takes 1 to {most}")
        self._frames.append(frame)
        self._backlog += frame.size
        return self._first + len(self._frames) - 1

    def connected(self, peer: Standing, packet_limit: int) -> tuple[int, ...]:
        """Go on where the peer says that it stands; return the transfers that it has acknowledged.

        Args:
            peer: from its greeting.
            packet_limit: of the connection; the peer's own counts as well.

        Raises:
            PeerProtocolError: the peer claims to have what was never sent.
            FrameTooLarge: a queued frame is more than this peer takes.
        """
        known = peer.received.birth == self._birth
        done = self._settle(peer.received) if known else ()
        largest = max((frame.size for frame in self._frames), default=0)
        if largest > peer.frame_limit:
            raise FrameTooLarge(f"a frame of {largest} bytes; the peer takes {peer.frame_limit}")
        self._peer = peer
        size = min(packet_limit, peer.packet_limit, limits.PACKET_MOST)
        self._piece = size - limits.CHUNK_OVERHEAD
        start = (peer.received.transfer, peer.received.offset) if known else (self._first, 0)
        self._cursor = max(start, (self._first, 0))
        return done

    def disconnected(self) -> None:
        """The connection is gone: no chunk leaves until `connected`."""
        self._piece = 0

    def next_chunk(self) -> Chunk | None:
        """Return the next chunk to send, or None: nothing to send, window full, no connection."""
        transfer, offset = self._cursor
        place = transfer - self._first
        if not self._piece or place >= len(self._frames):
            return None
        frame = self._frames[place]
        if offset == 0 and place and self._peer is not None:
            begun = sum(self._frames[i].size for i in range(place))
            if begun + frame.size > self._peer.window:
                return None
        data = frame.cut(offset, offset + self._piece)
        end = offset + len(data)
        self._cursor = (transfer, end) if end < frame.size else (transfer + 1, 0)
        self._highest = max(self._highest, self._cursor)
        return Chunk(self._birth, transfer, offset, frame.size, data)

    def acknowledged(self, ack: Ack) -> tuple[int, ...]:
        """Take note of an acknowledgement; return the transfers that it settles, in order.

        Raises:
            PeerProtocolError: the peer claims to have what was never sent.
        """
        if ack.received.birth != self._birth:
            return ()  # about an earlier life of this end
        done = self._settle(ack.received)
        position = (ack.received.transfer, ack.received.offset)
        if ack.resend or position > self._cursor:
            self._cursor = max(position, (self._first, 0))
        return done

    def _settle(self, received: Received) -> tuple[int, ...]:
        if (received.transfer, received.offset) > self._highest:
            raise refuse(
                f"the peer has byte {received.offset} of transfer {received.transfer}; "
                f"byte {self._highest[1]} of {self._highest[0]} was not sent yet"
            )
        before = self._first
        while self._first <= received.acknowledged:
            self._backlog -= self._frames.popleft().size
            self._first += 1
        self._cursor = max(self._cursor, (self._first, 0))
        return tuple(range(before, self._first))


class _Frame:
    """A frame to send, as the pieces it was given in."""

    __slots__ = ("_parts", "size")

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        self._parts = parts
        self.size = sum(map(len, parts))

    def cut(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to `stop`, as far as there are any."""
        found = []
        for part in self._parts:
            if start < len(part) and stop > 0:
                found.append(part[max(start, 0) : stop])
            start, stop = start - len(part), stop - len(part)
        return b"".join(found)


class Place(NamedTuple):
    """Which of a sender's frames one is: what its acknowledgement needs."""

    birth: int
    transfer: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete frame. Whoever made it durable calls `Inbox.acknowledge(birth, transfer)`.

    Attributes:
        birth, transfer: which of the sender's frames it is.
        pieces: the frame as it came; joining a large one is not for an event loop.
    """

    birth: int
    transfer: int
    pieces: tuple[bytes, ...]

    @property
    def place(self) -> Place:
        """Which frame it is, for its acknowledgement."""
        return Place(self.birth, self.transfer)

    @property
    def size(self) -> int:
        """Length of the frame in bytes."""
        return sum(map(len, self.pieces))

    @property
    def frame(self) -> bytes:
        """The frame in one piece, joined anew at each call."""
        return b"".join(self.pieces)


class Inbox:
    """Frames on their way from one peer.

    Args:
        frame_limit: largest frame taken, in bytes.
        window: bytes held before they are acknowledged, beyond which no further frame is begun.
        wanted: returns the largest frame that is kept at present; None keeps what is taken.
    """

    def __init__(
        self,
        frame_limit: int = limits.FRAME_LIMIT,
        window: int = limits.WINDOW,
        wanted: Callable[[], int] | None = None,
    ) -> None:
        self._frame_limit = frame_limit
        self._window = window
        self._wanted = wanted
        self._kept = True  # whether the frame that is coming is
        self._birth = 0
        self._acknowledged = 0
        self._transfer = 1
        self._partial: list[bytes] = []
        self._tail = bytearray()  # what comes after `_partial`
        self._have = 0  # bytes of both
        self._total = 0
        self._held: dict[int, int] = {}  # delivered, not acknowledged: transfer -> bytes
        self._settled: set[int] = set()  # acknowledged out of order
        self._gap_told = False

    @property
    def received(self) -> Received:
        """Where this end stands; goes into the greeting."""
        return Received(self._birth, self._acknowledged, self._transfer, self._have)

    @property
    def coming(self) -> bool:
        """Whether a part of a frame is here that is kept."""
        return self._have > 0 and self._kept

    def begins(self, chunk: Chunk) -> int:
        """Return how many bytes a chunk would begin to keep: its frame's, or none."""
        starts = (chunk.birth, chunk.transfer, chunk.offset) == (self._birth, self._transfer, 0)
        return chunk.total if starts and not self._have and self._keeps(chunk) else 0

    def connected(self, peer: Standing) -> None:
        """Prepare for what the peer will send.

        Frames below the peer's `first` are settled for it (an earlier life of this end took them),
        so they are not waited for.

        Raises:
            PeerProtocolError: a first transfer that nobody can have counted to.
        """
        if peer.first > limits.TRANSFERS_LIMIT:
            raise refuse(f"a first transfer {peer.first}; at most {limits.TRANSFERS_LIMIT}")
        self._gap_told = False
        if peer.birth != self._birth:
            self._birth = peer.birth
            self._acknowledged = peer.first - 1
            self._transfer = peer.first
            self.let_go()
            self._held = {}
            self._settled = set()
        elif peer.first > self._acknowledged + 1:
            self._acknowledged = peer.first - 1
            if peer.first > self._transfer:
                self._transfer = peer.first
                self.let_go()
            self._held = {t: size for t, size in self._held.items() if t >= peer.first}
            self._settle()

    def let_go(self) -> None:
        """Drop the frame that is half here: the peer is gone, and sends it from the start again."""
        self._partial, self._tail, self._have = [], bytearray(), 0

    def take(self, chunk: Chunk) -> Arrival | Ack | None:
        """Take a chunk; return the frame that it completes, or a packet to send back, or None.

        Raises:
            PeerProtocolError: a frame over the limit, past the window, or of two lengths.
        """
        if chunk.birth != self._birth:
            return None
        if chunk.transfer < self._transfer:
            return Ack(self.received)  # all here; the peer may have missed the acknowledgement
        have = self._have
        if (chunk.transfer, chunk.offset) > (self._transfer, have):
            if self._gap_told:
                return None
            self._gap_told = True
            return Ack(self.received, resend=True)
        if not have:
            self._begin(chunk)
        elif chunk.total != self._total:
            raise refuse(f"transfer {chunk.transfer} of {self._total} bytes, then {chunk.total}")
        fresh = chunk.data[have - chunk.offset :]
        if not fresh:
            return None
        self._gap_told = False
        if self._kept:
            self._tail += fresh
        self._have += len(fresh)
        if self._have < self._total and len(self._tail) < _PIECE:
            return None
        if self._kept:
            self._partial.append(bytes(self._tail))  # few pieces, however small the chunks are
        self._tail = bytearray()
        if self._have < self._total:
            return None
        arrival = Arrival(self._birth, self._transfer, tuple(self._partial))
        self._held[self._transfer] = self._total if self._kept else 0
        self._transfer += 1
        self.let_go()
        return arrival

    def acknowledge(self, birth: int, transfer: int) -> Ack | None:
        """The frame of this transfer is durable; return what to send, or None when out of date.

        Raises:
            LocalProtocolError: no such frame was handed out.
        """
        if birth != self._birth:
            return None  # the peer started anew and knows nothing of it
        if transfer >= self._transfer:
            raise LocalProtocolError(f"transfer {transfer} has not arrived yet")
        if self._held.pop(transfer, None) is not None:
            self._settled.add(transfer)
            self._settle()
        return Ack(self.received)

    def _settle(self) -> None:
        self._settled = {t for t in self._settled if t > self._acknowledged}
        while self._acknowledged + 1 in self._settled:
            self._acknowledged += 1
            self._settled.remove(self._acknowledged)

    def _keeps(self, chunk: Chunk) -> bool:
        if self._wanted is None or chunk.total <= limits.WANTED_LEAST:
            return True
        return chunk.total <= self._wanted()

    def _begin(self, chunk: Chunk) -> None:
        held = sum(self._held.values())
        if chunk.total > self._frame_limit or (held and held + chunk.total > self._window):
            raise refuse(
                f"a frame of {chunk.total} bytes while {held} wait; at most {self._frame_limit} "
                f"are taken alone and {self._window} together",
                AbortCode.TOO_LARGE,
            )
        self._total, self._kept = chunk.total, self._keeps(chunk)
