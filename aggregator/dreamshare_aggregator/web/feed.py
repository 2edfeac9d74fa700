"""News for pages: one bounded line of numbered items that every reader follows at its own pace.

Rules:
- items are kept once, for all readers; a reader is a number and costs no memory, however slow;
- a reader that fell behind what is kept, or comes from another life of the aggregator, is told to
  begin anew with a snapshot; so nothing is missed unnoticed;
- numbers go up from 1; an id is "<birth>-<number>", as server-sent events carry it back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news: a kind and JSON text."""

    number: int
    kind: str
    data: str


class Feed:
    """The line.

    Args:
        birth: tells this life of the aggregator from others, e.g. its start in microseconds.
        most: items that are kept, 1 or more.
    """

    def __init__(self, birth: int, most: int = MOST_ITEMS) -> None:
        self._birth = birth
        self._items: deque[Item] = deque(maxlen=most)
        self._last = 0
        self._news = asyncio.Event()
        self._closed = False

    @property
    def last(self) -> int:
        """The newest item's number, 0 before any."""
        return self._last

    @property
    def closed(self) -> bool:
        """Whether no more will come."""
        return self._closed

    def put(self, kind: str, data: str) -> None:
        """Add an item and wake the readers."""
        self._last += 1
        self._items.append(Item(self._last, kind, data))
        self._wake()

    def close(self) -> None:
        """Let every reader go."""
        self._closed = True
        self._wake()

    def name(self, number: int) -> str:
        """Return an item's id."""
        return f"{self._birth}-{number}"

    def place(self, name: str) -> int | None:
        """Return the number behind an id, None for one of another life, or none at all."""
        birth, _, number = name.partition("-")
        if birth != str(self._birth) or not (number.isascii() and number.isdigit()):
            return None
        place = int(number[:19])
        return place if place <= self._last else None

    def after(self, number: int) -> Sequence[Item] | None:
        """Return the items after a number; None where some of them are gone."""
        if number < self._last - len(self._items):
            return None
        fresh = self._last - number
        return [self._items[i] for i in range(len(self._items) - fresh, len(self._items))]

    async def wait(self, number: int, timeout_s: float) -> None:
        """Return when there is an item after `number`, or the time is over."""
        if self._last > number or self._closed:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
