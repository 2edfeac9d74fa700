"""Identities, certificates and the revocation list (5.1, 5.2, 5.7), tokens' macs (5.4)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.curve import ed25519_public, ed25519_sign, x25519_public
from tests.reference.values import H, listed, lp, mac, u8, u64, var

DEVICE, AGGREGATOR, OPERATOR, VIEWER = 1, 2, 3, 4


def sign(secret: bytes, label: str, body: bytes) -> bytes:
    """Sig_X(label, body) of 2.2."""
    return ed25519_sign(secret, lp(label.encode("ascii"), body))


def authority_key_id(public: bytes) -> bytes:
    return H("sa2/v1/authority", public)


@dataclass(frozen=True, slots=True)
class Party:
    """Who holds keys: `ik_secret` signs, `kem_secret` opens sealed bodies."""

    federation: bytes
    role: int
    ik_secret: bytes
    kem_secret: bytes
    serial: int
    not_before: int
    not_after: int

    @property
    def ik(self) -> bytes:
        return ed25519_public(self.ik_secret)

    @property
    def id(self) -> bytes:
        return H("sa2/v1/id", self.federation, self.ik)[:16]

    def certificate(self, authority_secret: bytes) -> bytes:
        """218 bytes."""
        body = b"".join(
            (
                u8(1),
                self.federation,
                u8(self.role),
                self.id,
                self.ik,
                x25519_public(self.kem_secret),
                u64(self.serial),
                u64(self.not_before),
                u64(self.not_after),
                authority_key_id(ed25519_public(authority_secret)),
            )
        )
        return body + sign(authority_secret, "sa2/v1/cert", body)


def revocation_list(
    authority_secret: bytes,
    federation: bytes,
    number: int,
    this_update: int,
    next_update: int,
    serials: tuple[int, ...],
) -> bytes:
    body = federation + u64(number) + u64(this_update) + u64(next_update)
    body += listed([u64(serial) for serial in serials])
    return body + sign(authority_secret, "sa2/v1/revocation", body)


def enrol_request(
    token_id: bytes, token_key: bytes, party: Party, device_nonce: bytes, tls_csr: bytes
) -> bytes:
    """5.4; the signature covers the mac too."""
    body = token_id + party.federation + party.ik + x25519_public(party.kem_secret)
    body += device_nonce + var(tls_csr)
    body += mac(token_key, lp(b"sa2/v1/enrol", body))
    return body + sign(party.ik_secret, "sa2/v1/enrol", body)


def renewal_request(party: Party, device_nonce: bytes, tls_csr: bytes) -> bytes:
    """5.6, 17.14: the same request, its token id and its mac zero."""
    body = bytes(16) + party.federation + party.ik + x25519_public(party.kem_secret)
    body += device_nonce + var(tls_csr) + bytes(32)
    return body + sign(party.ik_secret, "sa2/v1/enrol", body)


def enrol_reply(
    authority_secret: bytes,
    token_key: bytes,
    device_nonce: bytes,
    certificate: bytes,
    tls_chain: bytes,
    aggregators: list[bytes],
    tls_roots: bytes,
    revocations: bytes,
) -> bytes:
    """5.4, 17.14; without a token key (a renewal) the mac is zero."""
    body = ed25519_public(authority_secret) + certificate + var(tls_chain)
    body += listed(aggregators) + var(tls_roots) + var(revocations)
    covered = device_nonce + body
    tag = mac(token_key, lp(b"sa2/v1/enrolled", covered)) if token_key else bytes(32)
    return body + tag + sign(authority_secret, "sa2/v1/enrolled", covered)


def fingerprint(federation: bytes, ik: bytes, kem: bytes) -> bytes:
    """17.11: the 16 bytes that people compare."""
    return H("sa2/v1/fingerprint", federation, ik, kem)[:16]
