"""The way to the aggregator: one connection after the other, for as long as the owner wants.

Rules:
- the caller greets first; each connection goes on where the last one broke off;
- an aggregator's certificate is checked before anything it sends is looked at;
- a caller that is not needed hangs up and calls again when it was told to;
- Unreachable is waited out with back-off; Rejected, and a Close that says why, end the caller;
- over a relay a Close is nobody's word: it ends the connection and not the caller.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from dreamshare.clock import Clock
from dreamshare.driver.peering import Peering
from dreamshare.driver.stream import converse, say_goodbye
from dreamshare.driver.vouching import check_vouched, vouch
from dreamshare.driver.waiting import first_of, greeting
from dreamshare.errors import AbortCode, PeerProtocolError, Rejected, Unreachable
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.envelope import accept_certificate
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare.transport.base import Connection, Link
from dreamshare.wire.link import (
    Close,
    Hello,
    HelloReply,
    Standing,
    accept,
    encode_packet,
)
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.identity import Identity

_FINAL = (AbortCode.UNAUTHENTICATED, AbortCode.UNSUPPORTED_VERSION, AbortCode.REFUSED)
"""Closes after which another attempt does not help."""


class Caller:
    """A device's or an operator's end of its link.

    Args:
        link: how to reach the aggregator.
        identity: the caller's own.
        clock: times the waits.
        rng: jitter; training randomness is another one.
        backoff: the waits.
    """

    def __init__(
        self,
        link: Link,
        identity: Identity,
        clock: Clock,
        rng: random.Random,
        backoff: BackoffSettings | None = None,
    ) -> None:
        self._link = link
        self._identity = identity
        self._clock = clock
        self._backoff = Backoff(backoff or BackoffSettings(), rng)
        self._birth = max(1, int(clock.now() * 1_000_000))
        self._peering: Peering | None = None
        self._connection: Connection | None = None
        self._closing = False
        self._rest_s = 0.0
        self._resting: asyncio.Event = asyncio.Event()

    @property
    def peering(self) -> Peering | None:
        """What is kept about the aggregator; None before the first greeting."""
        return self._peering

    @property
    def connected(self) -> bool:
        """Whether a connection is open and both ends have greeted."""
        return self._connection is not None

    async def call(
        self, on_connected: Callable[[], None], deliver: Callable[[Arrival], None]
    ) -> None:
        """Keep a connection open until `hang_up`.

        Args:
            on_connected: called after each greeting, before anything is delivered.
            deliver: takes each complete frame.

        Raises:
            Rejected: the aggregator does not take this identity or version.
        """
        while not self._closing:
            started = self._clock.now()
            with suppress(Unreachable, PeerProtocolError):  # the next one finds what was lost
                await self._one_connection(on_connected, deliver)
            if not self._closing:
                wait = self._backoff.next_wait(self._clock.now() - started)
                wait, self._rest_s = max(wait, self._rest_s), 0.0
                self._resting.clear()
                await self._clock.sleep_until(self._clock.now() + wait)

    def rest(self, seconds: float) -> None:
        """Hang up when everything is acknowledged, and call again in so many seconds, > 0."""
        self._rest_s = seconds
        self._resting.set()

    async def hang_up(self) -> None:
        """Say goodbye and connect no more; what is not acknowledged is not sent again."""
        self._closing = True
        if self._connection is not None:
            await say_goodbye(self._connection, self._clock, None, "")

    async def _one_connection(
        self, on_connected: Callable[[], None], deliver: Callable[[Arrival], None]
    ) -> None:
        connection = await self._link.connect()
        packets = connection.packets()
        try:
            peering = self._peering
            if peering is not None and peering.carry(connection.binding):
                peering.forget(peering.birth + 1)
            hello = Hello(self._standing(connection.packet_limit))
            vouched = vouch(self._identity, hello, connection.binding)
            await connection.send(encode_packet(vouched))
            peering = await self._greeted(connection, packets)
            self._connection = connection
            on_connected()
            close = await first_of(
                converse(connection, packets, peering, self._clock, deliver),
                self._until_rest(connection, peering),
            )
            if close is not None:
                _raise_where_final(close, connection)
        finally:
            self._connection = None
            await connection.close()

    async def _until_rest(self, connection: Connection, peering: Peering) -> Close | None:
        await self._resting.wait()
        await peering.until_settled()
        await say_goodbye(connection, self._clock, None, "not needed")
        return None

    def _standing(self, packet_limit: int) -> Standing:
        if self._peering is not None:
            return self._peering.standing(packet_limit)
        certificate = self._identity.certificate.encode()
        return Standing(certificate=certificate, birth=self._birth, packet_limit=packet_limit)

    async def _greeted(self, connection: Connection, packets: AsyncIterator[bytes]) -> Peering:
        """Wait for the aggregator's greeting and return what is kept about it."""
        reply = await greeting(packets, self._clock)
        if isinstance(reply, Close):
            _raise_where_final(reply, connection)
            raise Unreachable(f"{self._link} closed the connection: {reply.text}")
        try:
            if not isinstance(reply, HelloReply):
                text = f"{self._link} did not answer the greeting"
                raise PeerProtocolError(text, AbortCode.UNEXPECTED)
            accept(reply)
            peering = self._peering_with(reply, connection.binding)
            if reply.standing.received.birth > peering.birth:
                peering.forget(reply.standing.received.birth + 1)
                raise Unreachable("this end's clock went back; it comes again with a later birth")
            peering.meet(reply.standing)
            peering.begin(reply.standing, connection.packet_limit)
        except PeerProtocolError as error:
            await say_goodbye(connection, self._clock, error.code, str(error))
            if error.code in _FINAL and not connection.binding:
                raise Rejected(f"{self._link}: {error}") from error
            raise
        return peering

    def _peering_with(self, reply: HelloReply, binding: bytes) -> Peering:
        with crypto_border():
            certificate = Certificate.decode(reply.standing.certificate)
        accept_certificate(self._identity, certificate, (Role.AGGREGATOR,), self._clock.now())
        check_vouched(certificate, reply, binding)
        if self._peering is None:
            self._peering = Peering(self._identity, certificate, self._birth)
            self._peering.carry(binding)
        elif self._peering.peer == certificate.id:
            self._peering.renew(certificate)
        else:
            self._peering = None
            raise PeerProtocolError("another aggregator answers here now", AbortCode.UNEXPECTED)
        return self._peering


def _raise_where_final(close: Close, connection: Connection) -> None:
    if close.code is not None and close.code in _FINAL and not connection.binding:
        raise Rejected(f"the aggregator closed the link ({close.code.name.lower()}): {close.text}")
