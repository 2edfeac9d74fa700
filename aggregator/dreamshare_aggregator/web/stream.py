"""Server-sent events: one reader of the feed over one response.

Rules:
- a reader goes on after its `Last-Event-ID`; where that is impossible it is told "reset" and
  fetches a snapshot;
- a client that takes nothing for `STALL_S` is let go; a comment every `QUIET_S` finds out who left;
- at most `MOST_READERS` at a time, the next one is told to come back later.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dreamshare_aggregator.web.feed import Feed, Item

MOST_READERS = 64
STALL_S = 20.0
QUIET_S = 15.0
RETRY_MS = 2000


class Readers:
    """Counts who reads."""

    def __init__(self, most: int = MOST_READERS) -> None:
        self._most = most
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether nobody else may read."""
        return self.count >= self._most


class EventStream:
    """A response that never ends by itself, as an ASGI application.

    Args:
        feed: what is read.
        readers: counts this one while it lasts.
        request: says where it stands.
    """

    def __init__(self, feed: Feed, readers: Readers, request: Request) -> None:
        self._feed = feed
        self._readers = readers
        name = request.headers.get("last-event-id") or request.query_params.get("after", "")
        self._place = feed.place(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._readers.count += 1
        leaving = asyncio.ensure_future(_until_gone(receive))
        writing = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait({leaving, writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._readers.count -= 1
            for task in (leaving, writing):
                task.cancel()
            await asyncio.gather(leaving, writing, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _say(send, f"retry: {RETRY_MS}\n\n")
        place = self._place
        if place is None:
            place = self._feed.last
            await _say(send, self._event(Item(place, "reset", "{}")))
        with suppress(TimeoutError):
            while not self._feed.closed:
                items = self._feed.after(place)
                if items is None:
                    place = self._feed.last
                    await _say(send, self._event(Item(place, "reset", "{}")))
                elif items:
                    place = items[-1].number
                    await _say(send, "".join(map(self._event, items)))
                else:
                    await self._feed.wait(place, QUIET_S)
                    if self._feed.last == place:
                        await _say(send, ": here\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _event(self, item: Item) -> str:
        return f"id: {self._feed.name(item.number)}\nevent: {item.kind}\ndata: {item.data}\n\n"


async def _say(send: Send, text: str) -> None:
    async with asyncio.timeout(STALL_S):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
