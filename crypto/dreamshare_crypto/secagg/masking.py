"""Masks of a round: which keys they come from and which sign they have (docs/protocol.md 3, 7.2).

Rules:
- every mask key is bound to rctx: a device that was shown another payload, active set or encoding
  makes masks that do not cancel;
- in each pair the device with the bytewise lower id adds and the other subtracts (3.1);
- both identities and both round keys are in the pair key's info, so that a device which publishes
  another's key as its own gets a different mask (3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_crypto.kdf import derive
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a pair: its id and its public key of the round."""

    id: bytes
    key: bytes


def self_mask_key(s: Secret, context: bytes, device: bytes) -> Secret:
    """Return the key of a device's own mask in the round of this context."""
    return derive(s, context, 32, "sa2/v1/self", device)


def pair_mask_key(own: AgreementKey, own_id: bytes, peer: Peer, context: bytes) -> Secret:
    """Return the key of the mask that the two devices share, the same from either end.

    Raises:
        MalformedError: the peer's key is refused by 2.5.
    """
    low, high = sorted(((own_id, own.public), (peer.id, peer.key)))
    return derive(
        own.exchange(peer.key), context, 32, "sa2/v1/pair", low[0], high[0], low[1], high[1]
    )


def pair_sign(own_id: bytes, peer_id: bytes) -> int:
    """Return +1 where the own device adds the pair's mask, -1 where it subtracts it."""
    return 1 if own_id < peer_id else -1


def signed_pair_masks(
    own: AgreementKey, own_id: bytes, peers: tuple[Peer, ...], context: bytes
) -> tuple[tuple[Secret, int], ...]:
    """Return (mask key, sign) of the own device towards each peer."""
    return tuple(
        (pair_mask_key(own, own_id, peer, context), pair_sign(own_id, peer.id)) for peer in peers
    )
