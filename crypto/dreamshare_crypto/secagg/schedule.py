"""The key schedule of an epoch: everything that follows from one seed (docs/protocol.md 3).

Rules:
- a seed is used with one offer, one roster and one session only (9.4); all of a device's keys,
  commitments, polynomials and boxes are functions of it, so that what is sent again is the same;
- round keys are independent of each other: opening one round opens no other;
- functions that the aggregator needs to check a reconstructed secret stand alone, below the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from dreamshare_crypto.kdf import derive, hash_parts
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.prg import expand
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import coefficient_bytes, encode_element, reduce_wide
from dreamshare_crypto.suite import Suite

SEED_BYTES = 32


class Kind(IntEnum):
    """Which of a round's two shared secrets: p makes the pair key, s the self mask."""

    P = 0
    S = 1


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """One device's secrets of one epoch.

    Attributes:
        seed: 32 bytes of system entropy, one per (federation, task, epoch).
        offer_hash: ho.
        device: the owner's id.
    """

    seed: Secret
    offer_hash: bytes
    device: bytes

    def box_key(self) -> AgreementKey:
        """Return box_sk with its public half."""
        return AgreementKey.from_secret(derive(self.seed, self.offer_hash, 32, "sa2/v1/box-sk"))

    def nonce(self) -> bytes:
        """Return the share of the graph's seed that a seeder reveals; never sent in profile C."""
        return derive(self.seed, self.offer_hash, 32, "sa2/v1/nonce").reveal()

    def nonce_commitment(self) -> bytes:
        """Return nonce_com."""
        return nonce_commitment(self.nonce(), self.offer_hash, self.device)

    def secret(self, kind: Kind, r: int) -> Secret:
        """Return p[r] or s[r]: 32 bytes, a canonical field element."""
        label = "sa2/v1/p" if kind is Kind.P else "sa2/v1/s"
        wide = derive(self.seed, self.offer_hash, 64, label, _u32(r))
        return Secret(encode_element(reduce_wide(wide.reveal())), f"{kind.name.lower()}[{r}]")

    def pair_key(self, r: int) -> AgreementKey:
        """Return sk[r] with pk[r]."""
        return pair_key(self.secret(Kind.P, r), self.offer_hash, self.device, r)

    def commitment(self, r: int) -> bytes:
        """Return com[r]."""
        return commitment(self.secret(Kind.S, r), self.offer_hash, self.device, r)

    def coefficients(self, kind: Kind, r: int, session: bytes, t: int, suite: Suite) -> bytes:
        """Return the random part of the polynomial that shares `secret(kind, r)`.

        The session is part of the key: a seed that was ever used with another roster would deal
        other polynomials, never two points too many on one.
        """
        key = derive(self.seed, session, 32, "sa2/v1/poly", bytes([kind]), _u32(r))
        return expand(key, coefficient_bytes(t), suite)


def pair_key(p: Secret, offer_hash: bytes, device: bytes, r: int) -> AgreementKey:
    """Return the key pair that p[r] of `device` stands for."""
    return AgreementKey.from_secret(
        derive(p, offer_hash, 32, "sa2/v1/pair-sk", device, _u32(r)),
    )


def commitment(s: Secret, offer_hash: bytes, device: bytes, r: int) -> bytes:
    """Return com[r], the public commitment to s[r] of `device`."""
    return hash_parts("sa2/v1/com", offer_hash, device, _u32(r), s.reveal())


def nonce_commitment(nonce: bytes, offer_hash: bytes, device: bytes) -> bytes:
    """Return nonce_com, what a device advertises of its share of the graph's seed."""
    return hash_parts("sa2/v1/nonce-com", offer_hash, device, nonce)


def graph_seed(roster_digest: bytes, nonces: Sequence[bytes]) -> bytes:
    """Return graph_seed of profile K from the seeders' nonces, in seeder order (6.3)."""
    return hash_parts("sa2/v1/graph", roster_digest, *nonces)


def session_id(offer_hash: bytes, roster_digest: bytes, seed: bytes, derived: bytes) -> bytes:
    """Return sid; `seed` is graph_seed, empty in profile C (section 3, 4.1)."""
    return hash_parts("sa2/v1/sid", offer_hash, roster_digest, seed, derived)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")
