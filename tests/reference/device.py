"""What one device computes: section 3 row by row, then its messages.

`seed` and `rounding_key` are the device's only secrets that come from entropy; everything else
follows from them, from its identity key and from what it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.reference.certificates import Party
from tests.reference.curve import x25519, x25519_public
from tests.reference.session import Session
from tests.reference.values import KDF, H, element, evaluate, lp, mod_p, u8, u32

PAIR, SELF = 0, 1
"""Kinds of secrets: p and s."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device in one epoch."""

    party: Party
    seed: bytes
    rounding_key: bytes

    @property
    def id(self) -> bytes:
        return self.party.id

    # ---- before the roster ----------------------------------------------------------------------

    def box_sk(self, ho: bytes) -> bytes:
        return KDF(self.seed, ho, 32, "sa2/v1/box-sk")

    def nonce(self, ho: bytes) -> bytes:
        return KDF(self.seed, ho, 32, "sa2/v1/nonce")

    def nonce_com(self, ho: bytes) -> bytes:
        return H("sa2/v1/nonce-com", ho, self.id, self.nonce(ho))

    def secret(self, ho: bytes, kind: int, r: int) -> int:
        label = "sa2/v1/p" if kind == PAIR else "sa2/v1/s"
        return mod_p(KDF(self.seed, ho, 64, label, u32(r)))

    def round_sk(self, ho: bytes, r: int) -> bytes:
        return pair_sk(self.secret(ho, PAIR, r), ho, self.id, r)

    def com(self, ho: bytes, r: int) -> bytes:
        return commitment(self.secret(ho, SELF, r), ho, self.id, r)

    # ---- dealing --------------------------------------------------------------------------------

    def polynomial(self, session: Session, kind: int, r: int) -> list[int]:
        """t coefficients, the secret first; 64 bytes of the stream for each of the others."""
        key = KDF(self.seed, session.sid, 32, "sa2/v1/poly", u8(kind), u32(r))
        stream = session.suite.stream(key, 64 * (session.derived.t - 1))
        rest = [mod_p(stream[i : i + 64]) for i in range(0, len(stream), 64)]
        return [self.secret(session.ho, kind, r), *rest]

    def polynomials(self, session: Session) -> list[list[int]]:
        """p of round 0, s of round 0, p of round 1, ..: the order inside a box."""
        rounds = range(session.offer.R)
        return [self.polynomial(session, kind, r) for r in rounds for kind in (PAIR, SELF)]

    def box_key(self, session: Session, me: int, other: int) -> bytes:
        shared = x25519(self.box_sk(session.ho), session.box_pk(other))
        return KDF(
            shared,
            session.sid,
            32,
            "sa2/v1/box",
            session.id(me),
            session.id(other),
            session.box_pk(me),
            session.box_pk(other),
        )

    def box(
        self, session: Session, me: int, other: int, polynomials: Sequence[Sequence[int]]
    ) -> bytes:
        """The box from `me` to `other`: 12 + 64 R + 16 bytes."""
        plain = b"".join(element(evaluate(p, other + 1)) for p in polynomials)
        return self.box_of(session, me, other, plain)

    def box_of(self, session: Session, me: int, other: int, plain: bytes) -> bytes:
        """The box around any plaintext; honest dealers put shares in."""
        key = self.box_key(session, me, other)
        nonce = box_nonce(key, session.sid, plain)
        aad = box_aad(session, me, other)
        return nonce + session.suite.seal(key, nonce, plain, aad)

    # ---- masks ----------------------------------------------------------------------------------

    def self_key(self, session: Session, r: int, rctx: bytes) -> bytes:
        return self_mask_key(self.secret(session.ho, SELF, r), rctx, self.id)

    def pair_key(
        self, session: Session, r: int, rctx: bytes, other: int, pks: Mapping[int, bytes]
    ) -> bytes:
        """pks: everybody's round key by roster index, one's own among them."""
        return pair_mask_key(self.round_sk(session.ho, r), rctx, session, self.id, other, pks)


def pair_sk(p: int, ho: bytes, device_id: bytes, r: int) -> bytes:
    return KDF(element(p), ho, 32, "sa2/v1/pair-sk", device_id, u32(r))


def commitment(s: int, ho: bytes, device_id: bytes, r: int) -> bytes:
    return H("sa2/v1/com", ho, device_id, u32(r), element(s))


def box_nonce(key: bytes, sid: bytes, plain: bytes) -> bytes:
    return KDF(key, sid, 12, "sa2/v1/box-nonce", H("sa2/v1/box-plain", plain))


def box_aad(session: Session, me: int, other: int) -> bytes:
    return lp(
        session.sid,
        session.id(me),
        session.id(other),
        u32(session.offer.R),
        u32(session.derived.t),
    )


def self_mask_key(s: int, rctx: bytes, device_id: bytes) -> bytes:
    return KDF(element(s), rctx, 32, "sa2/v1/self", device_id)


def pair_mask_key(
    sk: bytes,
    rctx: bytes,
    session: Session,
    my_id: bytes,
    other: int,
    pks: Mapping[int, bytes],
) -> bytes:
    mine = x25519_public(sk)
    lo, hi = sorted([(my_id, mine), (session.id(other), pks[other])])
    shared = x25519(sk, pks[other])
    return KDF(shared, rctx, 32, "sa2/v1/pair", lo[0], hi[0], lo[1], hi[1])


def masked(
    session: Session,
    words: Sequence[int],
    me: int,
    self_key: bytes,
    pair_keys: Mapping[int, bytes],
) -> list[int]:
    """y of 7.2: the lower id adds a pair's mask, the higher one subtracts it (3.1)."""
    total = list(words)
    keys = [(1, self_key)]
    keys += [(1 if me < other else -1, key) for other, key in sorted(pair_keys.items())]
    for sign, key in keys:
        stream = session.suite.stream(key, 8 * len(words))
        for i in range(len(words)):
            mask = int.from_bytes(stream[8 * i : 8 * i + 8], "little")
            total[i] = (total[i] + sign * mask) % 2**64
    return total
