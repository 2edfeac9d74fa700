"""Greetings over a relay: signed for one connection, so that nobody else greets (17.32).

Rules:
- a connection that leads to the peer itself needs none of this: its binding is empty;
- the signature covers the binding, which way the greeting goes, and every number in it. A relay
  that keeps a greeting has nothing for another connection; one that changes it is found out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.protocol.border import crypto_border
from dreamshare.wire.link import Hello, HelloReply
from dreamshare_crypto.certificates import Certificate
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import verify_signature
from dreamshare_crypto.transcript import Writer

G = TypeVar("G", Hello, HelloReply)

_LABEL = "sa2/v1/greeting"
_OPENS, _ANSWERS = 1, 2


def vouch(identity: Identity, greeting: G, binding: bytes) -> G:
    """Return the greeting as this party says it over a connection of this binding."""
    if not binding:
        return greeting
    return replace(greeting, proof=identity.signing.sign(_LABEL, _statement(greeting, binding)))


def check_vouched(certificate: Certificate, greeting: Hello | HelloReply, binding: bytes) -> None:
    """Check that the certificate's holder said this greeting over this connection.

    Raises:
        PeerProtocolError: UNAUTHENTICATED.
    """
    if not binding:
        return
    if not greeting.proof:
        text = "a greeting over a broker without its signature"
        raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
    with crypto_border():
        verify_signature(certificate.ik, _LABEL, _statement(greeting, binding), greeting.proof)


def _statement(greeting: Hello | HelloReply, binding: bytes) -> bytes:
    standing = greeting.standing
    received = standing.received
    writer = Writer().raw(binding).raw(standing.certificate)
    match greeting:
        case Hello(_, least, most):
            writer.u8(_OPENS).u32(least).u32(most)
        case HelloReply(_, version):
            writer.u8(_ANSWERS).u32(version).u32(version)
    for number in (
        *(standing.packet_limit, standing.frame_limit, standing.window),
        *(standing.birth, standing.first),
        *(received.birth, received.acknowledged, received.transfer, received.offset),
    ):
        writer.u64(number)
    return writer.finish()
