"""The newest revocation list, picked up while the aggregator runs (docs/protocol.md 5.7).

Rules:
- the list is the authority's: whoever may write the file can bring a newer one forward, or hold one
  back, and nothing else; lower numbers, other signers and other federations are refused and logged;
- a list counts from the moment that it was read: revoked parties are sent away, and the next offer
  carries it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from dreamshare.clock import Clock
from dreamshare.driver.revoking import newer
from dreamshare_crypto.certificates import MOST_REVOCATION_BYTES
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity

_LOG = logging.getLogger(__name__)

EVERY_S = 1.0
"""Seconds between two looks at the file."""


def newest(identity: Identity, path: Path, now: float) -> Identity:
    """Return `identity` with the list of `path` where that is a newer one that holds."""
    try:
        with path.open("rb") as file:
            return newer(identity, file.read(MOST_REVOCATION_BYTES + 1), now)
    except FileNotFoundError:
        return identity
    except (OSError, CryptoError) as error:
        _LOG.warning("the revocation list in %s is not used: %s", path, error)
    return identity


async def watch(
    identity: Identity, path: Path, clock: Clock, apply: Callable[[Identity], None]
) -> None:
    """Look at `path` for ever; hand the identity to `apply` whenever it has a newer list.

    Args:
        identity: the aggregator's, with the list that counts now.
        path: the file.
        clock: times the looks.
        apply: called on the event loop.
    """
    seen = (-1, -1)
    while True:
        written = await asyncio.to_thread(_written, path)
        if written != seen:
            seen = written
            later = await asyncio.to_thread(newest, identity, path, clock.now())
            if later is not identity:
                identity = later
                _LOG.info("revocation list %d counts from now on", identity.revocations.number)
                apply(identity)
        await clock.sleep_until(clock.now() + EVERY_S)


def _written(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
