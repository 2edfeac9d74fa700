"""The token that lets a party enrol (docs/protocol.md 5.3, 17.33).

Rules:
- it is made by the authority and is a secret: shown once, as one word or a QR code, never logged;
- the authority keeps a hash of its secret, which is what requests are bound by: from the
  authority's file, or from a copy of it, no token can be shown again;
- it pins whom the party will believe: the authority's key, and the root of the TLS connection that
  carries the request;
- decoding raises MalformedError and nothing else.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Self

from dreamshare_crypto.certificates import ID_BYTES, KEY_BYTES
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.transcript import Reader, Writer

NO_TOKEN = bytes(ID_BYTES)
"""The token id of a renewal."""

MOST_ENDPOINTS = 8
"""Addresses that a token may name."""

_TEXT_PREFIX = "dreamshare-token-1:"
_MOST_TEXT = 4096
_MOST_ENDPOINT = 255


def token_key_of(secret: Secret) -> Secret:
    """Return the key that binds request and reply: a hash of the token's secret (17.33)."""
    return Secret(hash_parts("sa2/v1/token", secret.reveal()), "token key")


@dataclass(frozen=True, slots=True)
class Token:
    """An invitation to enrol, shown as text or QR code (5.3).

    Attributes:
        token_id: 16 bytes, not zero.
        secret: 32 bytes, known to who was shown the token.
        federation: 16 bytes.
        authority_hash: `authority_key_id` of the authority's key, pinned by the party.
        tls_hash: SHA-256 of the TLS root (DER), which the party pins before it says anything.
        endpoints: where the party sends its request: 1 to 8 URLs of at most 255 bytes each.
        expiry: last second of validity, seconds since 1970.
    """

    token_id: bytes
    secret: Secret
    federation: bytes
    authority_hash: bytes
    tls_hash: bytes
    endpoints: tuple[str, ...]
    expiry: int

    def __post_init__(self) -> None:
        if self.token_id == NO_TOKEN:
            raise ParameterError("a token's id is not zero")
        if not 0 < len(self.endpoints) <= MOST_ENDPOINTS:
            raise ParameterError(f"a token names 1 to {MOST_ENDPOINTS} endpoints")
        if any(not 0 < len(one.encode()) <= _MOST_ENDPOINT for one in self.endpoints):
            raise ParameterError(f"an endpoint of a token has 1 to {_MOST_ENDPOINT} bytes")

    @property
    def token_key(self) -> Secret:
        """The key of the macs (5.4); the authority holds it too, and nobody else does."""
        return token_key_of(self.secret)

    def encode(self) -> bytes:
        """Return the canonical bytes, the secret among them."""
        return (
            Writer()
            .raw(self.token_id, ID_BYTES)
            .raw(self.secret.reveal(), KEY_BYTES)
            .raw(self.federation, ID_BYTES)
            .raw(self.authority_hash, KEY_BYTES)
            .raw(self.tls_hash, KEY_BYTES)
            .list(self.endpoints, lambda writer, one: writer.var(one.encode()))
            .u64(self.expiry)
            .finish()
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read `encode`'s bytes; MalformedError on anything else."""
        reader = Reader(raw)
        try:
            token = cls(
                token_id=reader.raw(ID_BYTES),
                secret=Secret(reader.raw(KEY_BYTES), "token"),
                federation=reader.raw(ID_BYTES),
                authority_hash=reader.raw(KEY_BYTES),
                tls_hash=reader.raw(KEY_BYTES),
                endpoints=reader.list(_read_endpoint, MOST_ENDPOINTS),
                expiry=reader.u64(),
            )
        except (ParameterError, UnicodeDecodeError):
            raise MalformedError("not an enrolment token") from None
        reader.end()
        return token

    def text(self) -> str:
        """Return the token as one word that can be copied or shown as a QR code; it is secret."""
        return _TEXT_PREFIX + base64.urlsafe_b64encode(self.encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `text`'s word; MalformedError on anything else."""
        body = text.strip()
        if not body.startswith(_TEXT_PREFIX):
            raise MalformedError(f"an enrolment token begins with {_TEXT_PREFIX!r}; copy all of it")
        body = body.removeprefix(_TEXT_PREFIX)
        if len(body) > _MOST_TEXT:
            raise MalformedError("an enrolment token is not that long; copy nothing else")
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return cls.decode(raw)
        except (ValueError, MalformedError):
            raise MalformedError("an enrolment token is broken; copy all of it again") from None


def _read_endpoint(reader: Reader) -> str:
    return reader.var(_MOST_ENDPOINT).decode()
