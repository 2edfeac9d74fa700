"""The relay: what parties without a certificate say, handed to the authority (5.4, 17.34).

Rules:
- it can neither change nor answer what it relays: requests and replies are bound by the token's
  key and signed, and it has neither key;
- what it can check it does before anything is kept: size, shape, federation, possession of the key;
- a token, a mac or a reply is never logged; a request is named by its fingerprint;
- an office that decides at once is for development; else requests wait in the queue.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from dreamshare.clock import Clock
from dreamshare.errors import DreamshareError, PeerProtocolError
from dreamshare.protocol.border import crypto_border
from dreamshare.wire.enrol import (
    Answer,
    Ask,
    Decision,
    Down,
    Knock,
    Refusal,
    RefusalReason,
    Waiting,
    Welcome,
    decode_up,
    encode_down,
)
from dreamshare_aggregator.enrolment.queue import QueueFull, RequestQueue
from dreamshare_crypto.enrolment_messages import EnrolRequest
from dreamshare_crypto.errors import CryptoError

_LOG = logging.getLogger(__name__)

SHARDS_TOLD = 3
"""Shards that a device is told of: one to be at, others for when that one is away."""

RETRY_AFTER_S = 2
"""Seconds after which a waiting party asks again, where the authority is within reach."""

RETRY_FAR_S = 30
"""The same where requests wait for a file to travel: a fleet that renews must not crowd here."""


class Office(Protocol):
    """An authority that is within reach."""

    def decide(self, request: bytes) -> Decision | None:
        """Return what the authority says to an encoded request; None: a person decides.

        Called in a thread, one at a time. Raises ParameterError where it cannot work.
        """
        ...


@dataclass(frozen=True, slots=True)
class Greeting:
    """What everybody who knocks is told.

    Attributes:
        federation: 16 bytes.
        tls_root: PEM.
        links: where enrolled devices connect.
        shards: where else; each who knocks is told some of them, before the links.
    """

    federation: bytes
    tls_root: bytes
    links: tuple[str, ...]
    shards: tuple[str, ...] = ()


class Relay:
    """Answers one message at a time; `answer` is an `exchange.Answering`.

    Args:
        greeting: the federation's.
        queue: where requests wait.
        clock: what time it is.
        office: the authority, where it is within reach.
    """

    def __init__(
        self, greeting: Greeting, queue: RequestQueue, clock: Clock, office: Office | None = None
    ) -> None:
        self._greeting = greeting
        self._queue = queue
        self._clock = clock
        self._office = office
        self._knocks = 0
        self._one = asyncio.Lock()  # files and the office: one at a time

    async def answer(self, message: bytes, source: str) -> bytes:
        """Return the answer to a message that came from the address `source`; never raises."""
        try:
            said = await self._answer(message, source)
        except PeerProtocolError as error:
            said = Refusal(RefusalReason.MALFORMED, str(error))
        except QueueFull as error:
            said = Refusal(RefusalReason.BUSY, str(error))
        except (DreamshareError, CryptoError, OSError) as error:  # the operator's to mend
            _LOG.error("an enrolment cannot be taken: %s", error)
            said = Refusal(RefusalReason.BUSY, "the aggregator cannot take enrolments now")
        return encode_down(said)

    async def _answer(self, message: bytes, source: str) -> Down:
        match decode_up(message):
            case Knock():
                return Welcome(self._greeting.tls_root, self._links())
            case Ask(request):
                return await self._asked(request, source)

    def _links(self) -> tuple[str, ...]:
        """Return the next shards in turn, as devices stay with the first that answers."""
        shards = self._greeting.shards
        first = self._knocks % max(1, len(shards))
        self._knocks += 1
        return (*(shards[first:] + shards[:first])[:SHARDS_TOLD], *self._greeting.links)

    async def _asked(self, raw: bytes, source: str) -> Down:
        with crypto_border():
            request = EnrolRequest.decode(raw)
            request.check_possession()
        if request.federation != self._greeting.federation:
            return Refusal(RefusalReason.REFUSED, "the request is for another federation")
        async with self._one:
            decision = await asyncio.to_thread(self._decided, request, source)
        if decision is None:
            return Waiting(RETRY_FAR_S if self._office is None else RETRY_AFTER_S)
        if decision.reply:
            return Answer(decision.reply)
        return Refusal(RefusalReason.REFUSED, decision.refusal)

    def _decided(self, request: EnrolRequest, source: str) -> Decision | None:
        if self._office is not None:
            decision = self._office.decide(request.encode())
            if decision is not None:
                return decision
        return self._queue.put(request, source, self._clock.now())
