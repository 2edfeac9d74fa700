"""Request and reply of an enrolment (docs/protocol.md 5.4, 5.6).

Rules:
- both are bound by the token's key, which the authority and the device alone know, so that whoever
  relays them can neither change them nor answer them (`enrolment_token`);
- a renewal is the same request without a token, signed with the identity key that it keeps; as no
  token key is left, its reply rests on the authority's signature, which every reply carries;
- decoders raise MalformedError and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Self

from dreamshare_crypto.certificates import (
    CERTIFICATE_BYTES,
    ID_BYTES,
    KEY_BYTES,
    MOST_REVOCATION_BYTES,
    Certificate,
    RevocationList,
    fingerprint,
)
from dreamshare_crypto.errors import AuthenticationError
from dreamshare_crypto.kdf import hash_parts, label_bytes, lp
from dreamshare_crypto.keys import SIGNATURE_BYTES, IdentityKey, check_public, verify_signature
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.transcript import Reader, Writer

MAC_BYTES = 32

_ENROL, _ENROLLED = "sa2/v1/enrol", "sa2/v1/enrolled"
_MOST_TLS = 65_536
_MOST_AGGREGATORS = 256


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """A device asks to be certified (5.4), or to be certified again (5.6).

    Attributes:
        token_id: of its token; `NO_TOKEN` in a renewal.
        federation: 16 bytes.
        ik: its Ed25519 public key.
        kem: its X25519 public key.
        device_nonce: 16 fresh bytes, which the reply answers.
        tls_csr: PKCS#10 over P-256, DER; empty where TLS ends elsewhere.
        mac: under the token key; zero in a renewal.
        signature: by `ik`, proof of possession.
    """

    token_id: bytes
    federation: bytes
    ik: bytes
    kem: bytes
    device_nonce: bytes
    tls_csr: bytes
    mac: bytes = bytes(MAC_BYTES)
    signature: bytes = bytes(SIGNATURE_BYTES)

    def seal(self, token_key: Secret | None, key: IdentityKey) -> Self:
        """Return the request with its mac (none in a renewal) and signature."""
        mac = bytes(MAC_BYTES) if token_key is None else _mac(token_key, _ENROL, self._fields())
        sealed = replace(self, mac=mac)
        return replace(sealed, signature=key.sign(_ENROL, sealed._fields() + mac))

    def verify(self, token_key: Secret | None) -> None:
        """Check mac and possession; AuthenticationError when one does not hold."""
        if token_key is not None:
            _check_mac(token_key, _ENROL, self._fields(), self.mac)
        elif self.mac != bytes(MAC_BYTES):
            raise AuthenticationError("a renewal carries a mac")
        self.check_possession()

    def check_possession(self) -> None:
        """Check that the sender holds `ik`: all that a relay can check; AuthenticationError."""
        verify_signature(self.ik, _ENROL, self._fields() + self.mac, self.signature)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return self._fields() + self.mac + self.signature

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read `encode`'s bytes; MalformedError on anything else."""
        reader = Reader(raw)
        request = cls(
            token_id=reader.raw(ID_BYTES),
            federation=reader.raw(ID_BYTES),
            ik=reader.raw(KEY_BYTES),
            kem=reader.raw(KEY_BYTES),
            device_nonce=reader.raw(ID_BYTES),
            tls_csr=reader.var(_MOST_TLS),
            mac=reader.raw(MAC_BYTES),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        check_public(request.kem)
        return request

    def hash(self) -> bytes:
        """Return the hash of the whole request: the same request gets the same reply."""
        return hash_parts("sa2/v1/enrol-request", self.encode())

    def fingerprint(self) -> str:
        """Return what people compare before they approve; the device shows the same."""
        return fingerprint(self.federation, self.ik, self.kem)

    def _fields(self) -> bytes:
        return (
            Writer()
            .raw(self.token_id, ID_BYTES)
            .raw(self.federation, ID_BYTES)
            .raw(self.ik, KEY_BYTES)
            .raw(self.kem, KEY_BYTES)
            .raw(self.device_nonce, ID_BYTES)
            .var(self.tls_csr)
            .finish()
        )


@dataclass(frozen=True, slots=True)
class EnrolReply:
    """The authority's answer (5.4).

    Attributes:
        authority_key: the authority's Ed25519 key; its hash is the token's.
        certificate: the device's.
        tls_chain: PEM, leaf first; empty when no TLS request was made.
        aggregators: certificates of the federation's aggregators.
        tls_roots: PEM roots to accept peers under.
        revocations: newest list.
        mac: under the token key, over device_nonce and all former fields; zero in a renewal.
        signature: the authority's over the same.
    """

    authority_key: bytes
    certificate: Certificate
    tls_chain: bytes
    aggregators: tuple[Certificate, ...]
    tls_roots: bytes
    revocations: RevocationList
    mac: bytes = bytes(MAC_BYTES)
    signature: bytes = bytes(SIGNATURE_BYTES)

    def seal(self, device_nonce: bytes, token_key: Secret | None, authority: IdentityKey) -> Self:
        """Return the reply with its mac (none in a renewal) and signature."""
        body = device_nonce + self._fields()
        mac = bytes(MAC_BYTES) if token_key is None else _mac(token_key, _ENROLLED, body)
        return replace(self, mac=mac, signature=authority.sign(_ENROLLED, body))

    def verify(self, device_nonce: bytes, token_key: Secret | None) -> None:
        """Check mac and signature; AuthenticationError when one does not hold.

        `authority_key` is the signer's claim: the caller compares it with the hash it pins (5.5).
        """
        body = device_nonce + self._fields()
        if token_key is not None:
            _check_mac(token_key, _ENROLLED, body, self.mac)
        verify_signature(self.authority_key, _ENROLLED, body, self.signature)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return self._fields() + self.mac + self.signature

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read `encode`'s bytes; MalformedError on anything else."""
        reader = Reader(raw)
        reply = cls(
            authority_key=reader.raw(KEY_BYTES),
            certificate=_read_certificate(reader),
            tls_chain=reader.var(_MOST_TLS),
            aggregators=reader.list(_read_certificate, _MOST_AGGREGATORS),
            tls_roots=reader.var(_MOST_TLS),
            revocations=RevocationList.decode(reader.var(MOST_REVOCATION_BYTES)),
            mac=reader.raw(MAC_BYTES),
            signature=reader.raw(SIGNATURE_BYTES),
        )
        reader.end()
        return reply

    def _fields(self) -> bytes:
        return (
            Writer()
            .raw(self.authority_key, KEY_BYTES)
            .raw(self.certificate.encode(), CERTIFICATE_BYTES)
            .var(self.tls_chain)
            .list(self.aggregators, lambda writer, one: writer.raw(one.encode()))
            .var(self.tls_roots)
            .var(self.revocations.encode())
            .finish()
        )


def _read_certificate(reader: Reader) -> Certificate:
    return Certificate.decode(reader.raw(CERTIFICATE_BYTES))


def _mac(token_key: Secret, label: str, body: bytes) -> bytes:
    return hmac.digest(token_key.reveal(), lp(label_bytes(label), body), hashlib.sha256)


def _check_mac(token_key: Secret, label: str, body: bytes, mac: bytes) -> None:
    if not hmac.compare_digest(_mac(token_key, label, body), mac):
        raise AuthenticationError("an enrolment message was not made with this token's key")
