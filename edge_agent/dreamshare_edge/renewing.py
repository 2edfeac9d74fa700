"""Renewal of a running agent's certificate, at two thirds of its life (docs/protocol.md 5.6).

Rules:
- the agent goes on under the old certificate meanwhile, which is good for the last third;
- the new identity is on the disk before anybody uses it;
- whoever cannot be renewed now is tried again every hour, and told once each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamshare.errors import ConfigError, TransportError
from dreamshare.transport.exchange import Door
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity
from dreamshare_edge.certifying import Applicant, Tell

AGAIN_S = 3600.0
"""Seconds between two attempts after one that was refused."""


def due_at(identity: Identity) -> float:
    """Return when two thirds of the certificate's life are over, seconds since 1970."""
    held = identity.certificate
    return held.not_before + (held.not_after - held.not_before) * 2 / 3


async def renewed(
    applicant: Applicant, identity: Identity, doors: Sequence[Door], tell: Tell
) -> Identity:
    """Wait until `identity` is due, have it renewed, keep the new one and return it."""
    clock = applicant.clock
    await clock.sleep_until(due_at(identity))
    while True:
        try:
            pending = applicant.renewal(identity)
            roots = identity.tls.roots_pem
            again = await applicant.certified(pending, doors, roots, tell)
            applicant.save(again)
        except (TransportError, CryptoError, ConfigError) as error:
            tell(f"the certificate cannot be renewed now, tried again in an hour: {error}")
            await clock.sleep_until(clock.now() + AGAIN_S)
        else:
            return again
