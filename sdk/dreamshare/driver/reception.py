"""The first moments of a connection: who is it, and may it come in?

Rules:
- whoever does not greet within `GREETING_S` is sent away, before anything is kept about it;
- the certificate's holder is checked against what the transport proved, where it proves anything,
  and over a relay by the greeting's signature;
- the aggregator answers with where it stands, and both go on where they broke off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dreamshare.clock import Clock
from dreamshare.driver.gate import Gate
from dreamshare.driver.party import Party
from dreamshare.driver.peering import Peering
from dreamshare.driver.stream import say_goodbye
from dreamshare.driver.vouching import check_vouched, vouch
from dreamshare.driver.waiting import greeting
from dreamshare.errors import AbortCode, PeerProtocolError, Unreachable
from dreamshare.ids import PartyId
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.envelope import accept_certificate
from dreamshare.transport.base import Connection
from dreamshare.wire.link import Hello, HelloReply, agree, encode_packet
from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.identity import Identity

MOST_BIRTH = 2**62
"""Microseconds since 1970 reach this in 146,000 years."""

_WELCOME = (Role.DEVICE, Role.OPERATOR, Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Greeting:
    """A Hello whose certificate holds."""

    identity: Identity
    connection: Connection
    hello: Hello
    certificate: Certificate
    version: int

    async def answer(self, party: Party, birth: int) -> None:
        """Say where this end stands; `birth` is the next one, used where something was missed.

        A party whose clock went back is told the birth that it had, and comes again with a later
        one: births grow (docs/protocol.md 14.5).

        Raises:
            PeerProtocolError: the party's position contradicts what was sent; it was told.
            Unreachable: it is gone, or has to come again.
        """
        peering, standing = party.peering, self.hello.standing
        try:
            if standing.birth < peering.peer_birth:
                await self._reply(peering)
                raise Unreachable("the party's clock went back; it comes again")
            if standing.received.birth > MOST_BIRTH:
                raise PeerProtocolError("a birth that no clock gives", AbortCode.MALFORMED)
            if standing.birth != peering.peer_birth or standing.received.birth > peering.birth:
                party.fresh = True
                peering.forget(max(birth, standing.received.birth + 1))
            if peering.carry(self.connection.binding):
                party.fresh = True
                peering.forget(max(birth, peering.birth + 1))
            peering.meet(standing)
            await self._reply(peering)
            peering.begin(standing, self.connection.packet_limit)
        except PeerProtocolError as error:
            await say_goodbye(self.connection, party.clock, error.code, str(error))
            raise

    async def _reply(self, peering: Peering) -> None:
        standing = peering.standing(self.connection.packet_limit)
        reply = HelloReply(standing, self.version)
        vouched = vouch(self.identity, reply, self.connection.binding)
        await self.connection.send(encode_packet(vouched))


async def sent_on(greeting: Greeting, gate: Gate, clock: Clock) -> bool:
    """Send an operator away who came to a shard over a broker, where the root chose for it."""
    if not greeting.connection.binding or greeting.certificate.role is Role.DEVICE:
        return False
    gate.no_device(PartyId(greeting.certificate.id))
    text = "only devices are answered here; come again, and the aggregator answers"
    await say_goodbye(greeting.connection, clock, AbortCode.UNEXPECTED, text)
    return True


async def receive(
    connection: Connection, packets: AsyncIterator[bytes], identity: Identity, clock: Clock
) -> Greeting:
    """Wait for the greeting of a new connection and check it.

    Raises:
        PeerProtocolError: no greeting, no common version, or a certificate that does not hold; the
            peer has been told why.
        Unreachable: the connection broke.
    """
    try:
        hello = await greeting(packets, clock)
        if not isinstance(hello, Hello):
            raise PeerProtocolError("a connection begins with a greeting", AbortCode.UNEXPECTED)
        version = agree(hello)
        with crypto_border():
            certificate = Certificate.decode(hello.standing.certificate)
        accept_certificate(identity, certificate, _WELCOME, clock.now())
        if connection.peer not in (None, certificate.id.hex()):
            text = f"the transport proved {connection.peer}, not the holder of the certificate"
            raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
        check_vouched(certificate, hello, connection.binding)
    except PeerProtocolError as error:
        await say_goodbye(connection, clock, error.code, str(error))
        raise
    return Greeting(identity, connection, hello, certificate, version)
