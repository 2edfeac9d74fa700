"""Certificates and the revocation list of the authority (docs/protocol.md, section 5).

Rules:
- the authority's Ed25519 key signs both; devices pin it and the aggregator does not hold it (1.1);
- a certificate has exactly 218 bytes; its role says whose messages it may sign: a device's, an
  aggregator's, or the control requests of an operator or a viewer (5.1);
- the revocation list is the authority's, never the aggregator's; serials ascend (5.7);
- checks raise; whoever decodes has not yet verified.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import SIGNATURE_BYTES, IdentityKey, check_public, verify_signature
from dreamshare_crypto.transcript import Reader, Writer

CERTIFICATE_BYTES = 218
ID_BYTES = 16
KEY_BYTES = 32
VERSION = 1
MOST_REVOKED = 65_536
"""Most serials of a revocation list that is read."""

MOST_REVOCATION_BYTES = 108 + 8 * MOST_REVOKED
"""Bytes of the longest list that is read."""

_UNSIGNED = bytes(SIGNATURE_BYTES)


class Role(IntEnum):
    """What the holder of a certificate may sign (5.1)."""

    DEVICE = 1
    AGGREGATOR = 2
    OPERATOR = 3  # control requests that change something
    VIEWER = 4  # control requests that only read


def device_id(federation: bytes, ik: bytes) -> bytes:
    """Return the 16-byte id of the party whose first identity key is `ik` (5.2)."""
    return hash_parts("sa2/v1/id", federation, ik)[:ID_BYTES]


def authority_key_id(authority_key: bytes) -> bytes:
    """Return the 32-byte name of an authority's key: `issuer_key_id`, a token's hash (5.1, 5.3)."""
    return hash_parts("sa2/v1/authority", authority_key)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The authority's word that `ik` and `kem` belong to `id` (5.1).

    Attributes:
        federation: 16 bytes.
        role: what the holder may sign.
        id: 16 bytes, kept over renewals (5.2).
        ik: Ed25519 public key.
        kem: X25519 public key that envelopes are sealed to (14.2).
        serial: number of the certificate, for revocation.
        not_before: first second of validity, seconds since 1970.
        not_after: last second of validity.
        issuer_key_id: `authority_key_id` of the signer.
        signature: the authority's.
    """

    federation: bytes
    role: Role
    id: bytes
    ik: bytes
    kem: bytes
    serial: int
    not_before: int
    not_after: int
    issuer_key_id: bytes
    signature: bytes = _UNSIGNED

    def __post_init__(self) -> None:
        try:
            Role(self.role)
        except ValueError:
            raise ParameterError(f"certificate role {self.role} is unknown") from None
        try:
            check_public(self.kem)
        except MalformedError as error:
            raise ParameterError(f"certificate: {error}") from None
        if self.not_before > self.not_after:
            raise ParameterError("a certificate ends before it begins")
        lengths = (len(self.federation), len(self.id), len(self.ik), len(self.issuer_key_id))
        if lengths != (ID_BYTES, ID_BYTES, KEY_BYTES, KEY_BYTES):
            raise ParameterError("a field of a certificate has a wrong length")
        if len(self.signature) != SIGNATURE_BYTES:
            raise ParameterError("the signature of a certificate has a wrong length")

    def encode(self) -> bytes:
        """Return the 218 bytes."""
        return self._statement() + self.signature

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read 218 bytes; MalformedError on anything that is no certificate of this version."""
        reader = Reader(raw)
        version = reader.u8()
        if version != VERSION:
            raise MalformedError(f"certificate version {version} is unknown")
        try:
            federation, role = reader.raw(ID_BYTES), Role(reader.u8())
            certificate = cls(
                federation=federation,
                role=role,
                id=reader.raw(ID_BYTES),
                ik=reader.raw(KEY_BYTES),
                kem=reader.raw(KEY_BYTES),
                serial=reader.u64(),
                not_before=reader.u64(),
                not_after=reader.u64(),
                issuer_key_id=reader.raw(KEY_BYTES),
                signature=reader.raw(SIGNATURE_BYTES),
            )
        except (ParameterError, ValueError) as error:
            raise MalformedError(f"not a certificate: {error}") from None
        reader.end()
        return certificate

    def sign(self, authority: IdentityKey) -> Self:
        """Return the certificate signed by the authority, whose key id it must name already."""
        if self.issuer_key_id != authority_key_id(authority.public):
            raise ParameterError("the certificate names another issuer")
        return replace(self, signature=authority.sign("sa2/v1/cert", self._statement()))

    def verify(self, authority_key: bytes, now: float) -> None:
        """Check issuer, signature and validity at `now`, seconds since 1970 (5.1).

        Federation, role and revocation are the caller's to compare: they depend on the use.

        Raises:
            AuthenticationError: one of them does not hold.
        """
        if self.issuer_key_id != authority_key_id(authority_key):
            raise AuthenticationError("the certificate was issued by another authority")
        verify_signature(authority_key, "sa2/v1/cert", self._statement(), self.signature)
        if now < self.not_before:
            raise AuthenticationError(
                f"the certificate of {self.id.hex()} is not valid yet; check the clocks"
            )
        if now > self.not_after:
            raise AuthenticationError(f"the certificate of {self.id.hex()} has expired; renew it")

    def fingerprint(self) -> str:
        """Return what people compare: the hash of the certificate's keys, in groups of four."""
        return fingerprint(self.federation, self.ik, self.kem)

    def _statement(self) -> bytes:
        return (
            Writer()
            .u8(VERSION)
            .raw(self.federation)
            .u8(self.role)
            .raw(self.id)
            .raw(self.ik)
            .raw(self.kem)
            .u64(self.serial)
            .u64(self.not_before)
            .u64(self.not_after)
            .raw(self.issuer_key_id)
            .finish()
        )


def fingerprint(federation: bytes, ik: bytes, kem: bytes) -> str:
    """Return what people compare before approving an enrolment (5.4): 32 hex digits in groups."""
    digits = hash_parts("sa2/v1/fingerprint", federation, ik, kem)[:16].hex()
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Serials that no longer count (5.7).

    Attributes:
        federation: 16 bytes.
        number: grows with every list; a party keeps the highest that it saw.
        this_update: when the list was signed, seconds since 1970.
        next_update: when a newer list is due.
        serials: revoked serials, ascending, none twice.
        signature: the authority's.
    """

    federation: bytes
    number: int
    this_update: int
    next_update: int
    serials: tuple[int, ...] = ()
    signature: bytes = _UNSIGNED

    def __post_init__(self) -> None:
        if len(self.federation) != ID_BYTES or len(self.signature) != SIGNATURE_BYTES:
            raise ParameterError("a field of a revocation list has a wrong length")
        if self.this_update > self.next_update:
            raise ParameterError("a revocation list is due before it was signed")
        if len(self.serials) > MOST_REVOKED:
            raise ParameterError(f"a revocation list holds at most {MOST_REVOKED} serials")
        if any(a >= b for a, b in zip(self.serials, self.serials[1:], strict=False)):
            raise ParameterError("the serials of a revocation list ascend")

    @classmethod
    def issue(
        cls,
        authority: IdentityKey,
        federation: bytes,
        number: int,
        this_update: int,
        next_update: int,
        serials: Iterable[int],
    ) -> Self:
        """Return a list signed by the authority."""
        unsigned = cls(federation, number, this_update, next_update, tuple(sorted(set(serials))))
        signature = authority.sign("sa2/v1/revocation", unsigned._statement())
        return replace(unsigned, signature=signature)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return self._statement() + self.signature

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read `encode`'s bytes; MalformedError on anything else."""
        reader = Reader(raw)
        try:
            revocations = cls(
                federation=reader.raw(ID_BYTES),
                number=reader.u64(),
                this_update=reader.u64(),
                next_update=reader.u64(),
                serials=reader.list(Reader.u64, MOST_REVOKED),
                signature=reader.raw(SIGNATURE_BYTES),
            )
        except ParameterError as error:
            raise MalformedError(f"not a revocation list: {error}") from None
        reader.end()
        return revocations

    def verify(self, authority_key: bytes, now: float, grace_s: float = 0.0) -> None:
        """Check the signature, and that the list is not stale at `now` (5.7).

        Raises:
            AuthenticationError: another signer, or `now` is past next_update + `grace_s` seconds.
        """
        verify_signature(authority_key, "sa2/v1/revocation", self._statement(), self.signature)
        if now > self.next_update + grace_s:
            raise AuthenticationError(
                f"revocation list {self.number} is stale; fetch a newer one from the authority"
            )

    def revokes(self, certificate: Certificate) -> bool:
        """Return whether the list names `certificate`; whoever must not go on calls `check`."""
        at = bisect_left(self.serials, certificate.serial)
        return at < len(self.serials) and self.serials[at] == certificate.serial

    def check(self, certificate: Certificate) -> None:
        """Raise AuthenticationError when the list revokes `certificate`."""
        if self.revokes(certificate):
            raise AuthenticationError(f"the certificate of {certificate.id.hex()} is revoked")

    def _statement(self) -> bytes:
        return (
            Writer()
            .raw(self.federation)
            .u64(self.number)
            .u64(self.this_update)
            .u64(self.next_update)
            .list(self.serials, Writer.u64)
            .finish()
        )
