"""Headers, signatures of frames, and the two sealed forms (14.1 to 14.3)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tests.reference.certificates import sign
from tests.reference.curve import x25519, x25519_public
from tests.reference.suites import Suite
from tests.reference.values import KDF, u8, u16, u32, u64

SEALED, BROADCAST = 1, 2
EVERYBODY = b"\xff" * 16


@dataclass(frozen=True, slots=True)
class Header:
    """128 bytes, in the order of 14.1."""

    flags: int
    federation: bytes
    task: bytes
    session: bytes
    round: int
    stage: int
    key_id: int
    sender: bytes
    receiver: bytes
    birth: int
    sequence: int
    length: int

    def encoded(self) -> bytes:
        out = b"DS" + u8(1) + u8(self.flags) + self.federation + self.task + self.session
        out += u32(self.round) + u8(self.stage) + u8(0) + u16(self.key_id)
        out += self.sender + self.receiver + u64(self.birth) + u64(self.sequence)
        return out + u32(self.length)


def signature(header: bytes, travelling: bytes, secret: bytes) -> bytes:
    """Over the header and SHA-256 of the bytes that travel."""
    return sign(secret, "sa2/v1/envelope", header + hashlib.sha256(travelling).digest())


def sealed_to_one(
    suite: Suite, ephemeral: bytes, receiver_kem: bytes, header: bytes, body: bytes
) -> bytes:
    """eph_pk and the ciphertext; the header already carries the length of these bytes."""
    eph_pk = x25519_public(ephemeral)
    shared = x25519(ephemeral, receiver_kem)
    key = KDF(shared, eph_pk + receiver_kem, 32, "sa2/v1/seal", header)
    return eph_pk + suite.seal(key, bytes(12), body, header)


def sealed_to_all(suite: Suite, group_key: bytes, salt: bytes, header: bytes, body: bytes) -> bytes:
    key = KDF(group_key, salt, 32, "sa2/v1/broadcast", header)
    return salt + suite.seal(key, bytes(12), body, header)
