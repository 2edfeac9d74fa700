"""How much memory half-received frames may take, over all peers of one aggregator.

Rules:
- room for a whole frame is taken before its first byte is kept, and given back when the frame was
  acknowledged or dropped; who finds none waits, in the order of arrival, and reads nothing more
  meanwhile: that is the sender's back-pressure;
- a little is always there for everybody, so that small messages pass whoever fills the rest;
- a frame that comes slower than `LEAST_RATE` gives way when somebody waits; its sender is asked for
  it again, from the start, and waits behind the others;
- what was received under an earlier birth counts until it was handled: coming again frees nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dreamshare.clock import Clock
from dreamshare.driver.waiting import first_of
from dreamshare.wire import limits
from dreamshare.wire.transfer import Place

ROOM = 128 * limits.MIB
"""Bytes for frames of all peers together; never less than one frame."""

FREE = 64 * limits.KIB
"""Bytes that each peer has beside that."""

LEAST_RATE = 64 * limits.KIB
"""Bytes a second that a frame has to come at, behind `START_S`, while others wait."""

OVERHEAD = 512
"""Bytes that a frame counts beside its own: what is kept about it."""

START_S = 30.0
"""Seconds that any frame has."""


class Room:
    """The memory of one aggregator for frames that are not handled yet.

    Args:
        clock: what time it is.
        total: bytes, > 0; a single frame may be larger, alone.
    """

    def __init__(self, clock: Clock, total: int = ROOM) -> None:
        self._clock = clock
        self._total = total
        self._used = 0
        self._turn = asyncio.Lock()  # first come, first served
        self._freed = asyncio.Event()
        self._coming: dict[Share, float] = {}  # when each one's frame has to be here

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._used

    def take_now(self, size: int) -> bool:
        """Take room for so many bytes where nobody waits for it; say whether there was."""
        found = not self._turn.locked() and self._fits(size)
        if found:
            self._used += size
        return found

    async def take(self, size: int) -> None:
        """Wait until there is room for so many bytes, and take it."""
        async with self._turn:
            while not self._fits(size):
                self._make_way()
                if not self._fits(size):
                    self._freed.clear()
                    await first_of(self._until_freed(), self._until_overdue())
            self._used += size

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._total

    def give(self, size: int) -> None:
        """Give so many bytes back."""
        self._used -= size
        self._freed.set()

    def begins(self, share: Share, size: int) -> None:
        """A frame of so many bytes begins to come."""
        self._coming[share] = self._clock.now() + START_S + size / LEAST_RATE

    def ends(self, share: Share) -> None:
        """It is here, or comes no more."""
        self._coming.pop(share, None)

    def _make_way(self) -> None:
        now = self._clock.now()
        for share in [share for share, due in self._coming.items() if due <= now]:
            share.give_way()

    async def _until_freed(self) -> None:
        await self._freed.wait()

    async def _until_overdue(self) -> None:
        due = min(self._coming.values(), default=self._clock.now() + START_S)
        await self._clock.sleep_until(due)


class Share:
    """What the frames of one peer take of a room.

    Args:
        room: of all peers.
        let_go: drops the frame of this peer that is half here.
    """

    def __init__(self, room: Room, let_go: Callable[[], None]) -> None:
        self._room = room
        self._let_go = let_go
        self._size = 0  # of the frame that is coming
        self._taken = 0  # of the room, for it
        self._kept: dict[Place, tuple[int, int]] = {}  # frames that are here: the same two

    def begin_now(self, size: int) -> bool:
        """Begin a frame of so many bytes where there is room at once; say whether there was."""
        size += OVERHEAD
        here = sum(kept for kept, _ in self._kept.values())
        if here + size <= FREE:
            self._begin(size, 0)
            return True
        found = self._room.take_now(size)
        if found:
            self._begin(size, size)
        return found

    async def begin(self, size: int) -> None:
        """Wait until there is room for a frame of so many bytes, which begins to come."""
        size += OVERHEAD
        await self._room.take(size)
        self._begin(size, size)

    def _begin(self, size: int, taken: int) -> None:
        self.dropped()
        self._size, self._taken = size, taken
        if taken:
            self._room.begins(self, size)

    def arrived(self, place: Place) -> None:
        """The frame is here, until `handled`."""
        self._room.ends(self)
        self._kept[place] = (self._size, self._taken)
        self._size = self._taken = 0

    def dropped(self) -> None:
        """The frame that was coming is not kept."""
        self._room.ends(self)
        taken, self._size, self._taken = self._taken, 0, 0
        if taken:
            self._room.give(taken)

    def handled(self, place: Place) -> None:
        """A frame that was here is needed no more."""
        _, taken = self._kept.pop(place, (0, 0))
        if taken:
            self._room.give(taken)

    def give_way(self) -> None:
        """Somebody waits, and this peer's frame is too slow."""
        self._let_go()
        self.dropped()
