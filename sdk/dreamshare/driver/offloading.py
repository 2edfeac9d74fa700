"""What leaves the event loop: steps of machines, and frames that are large (docs/adr/0011).

Rules:
- machines stay plain: the driver hands a whole step to an engine and waits for its effects, so a
  machine has one step at a time, in the order of its inputs, wherever it runs;
- frames of one party are opened in the order in which they came; small ones at once, and a large
  one in the engine, with everything behind it waiting;
- what is large is a matter of bytes alone, so the order of events is the same at every run.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import NamedTuple

from dreamshare.engine import Engine
from dreamshare.protocol.messages import (
    Message,
    Reply,
    RoundOpening,
    Sa2,
    TaskResult,
    TellOrder,
)
from dreamshare.wire.bulk import BULK
from dreamshare.wire.codec import encode_message
from dreamshare.wire.transfer import Arrival

_LOG = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """A message ready to be signed, for one receiver or for many."""

    message: Message
    body: bytes
    digest: bytes  # SHA-256 of body


def encode(message: Message) -> Encoded:
    """Encode and hash; raises what `codec.encode_message` raises."""
    body = encode_message(message)
    return Encoded(message, body, hashlib.sha256(body).digest())


async def encoded(engine: Engine, message: Message) -> Encoded:
    """Return `encode(message)`, done in the engine where the message is large."""
    if _weight(message) < BULK:
        return encode(message)
    return await engine.run(lambda: encode(message))


def _weight(message: Message) -> int:
    """Return about how many bytes the parts of a message have that can be large."""
    match message:
        case Sa2(_, body):
            return len(body)
        case RoundOpening(_, plan) | TellOrder(_, plan):
            return sum(array.nbytes for array in plan.tensors.values())
        case Reply(reply=TaskResult(archive=archive)):
            return len(archive)
    return 0


class Opener:
    """Opens what one party sends, in order.

    Args:
        engine: where large frames are opened.
        start: runs a coroutine in the background until the driver stops.
        take: opens a frame; returns what to do with it on the event loop. It must not raise.
    """

    def __init__(
        self,
        engine: Engine,
        start: Callable[[Coroutine[None, None, None]], object],
        take: Callable[[Arrival], Callable[[], None]],
    ) -> None:
        self._engine = engine
        self._start = start
        self._take = take
        self._waiting: deque[Arrival] = deque()  # the first one is being opened

    def give(self, arrival: Arrival) -> None:
        """Open a frame: at once, or when those before it have been opened."""
        if not self._waiting and arrival.size < BULK:
            self._take(arrival)()
            return
        self._waiting.append(arrival)
        if len(self._waiting) == 1:
            self._start(self._open())

    async def _open(self) -> None:
        while self._waiting:
            try:
                await self._open_one(self._waiting[0])
            except Exception:  # noqa: BLE001  a bug that one party found must not end it for all
                _LOG.exception("a frame was left with an error of this program")
            self._waiting.popleft()

    async def _open_one(self, arrival: Arrival) -> None:
        if arrival.size < BULK:
            self._take(arrival)()
            return
        follow = await self._engine.run(lambda: self._take(arrival))
        follow()
