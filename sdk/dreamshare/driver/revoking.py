"""A revocation list that arrived, by whatever way: it counts where it is newer and holds (5.7).

Rules: a list is the authority's; who hands it over can bring a newer one forward, or hold one back,
and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from dreamshare_crypto.certificates import RevocationList
from dreamshare_crypto.identity import Identity


def newer(identity: Identity, encoded: bytes, now: float) -> Identity:
    """Return `identity` with this list; as it is where the list is another's or no newer one.

    Raises:
        CryptoError: it is no list, is stale, or the authority has not signed it.
    """
    found = RevocationList.decode(encoded)
    found.verify(identity.authority_key, now)
    if found.federation != identity.federation or found.number <= identity.revocations.number:
        return identity
    return replace(identity, revocations=found)
