"""Signing and agreement keys: Ed25519 and X25519 with the refusals of docs/protocol.md 2.2, 2.5.

Rules:
- a signature always covers `lp(label, body)`: no signature for one purpose serves another;
- X25519 public values are refused unless canonical and of full order, which is stricter than
  RFC 7748, so that one key has one encoding and every agreed secret depends on both sides;
- private keys leave through `secret()` alone.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import label_bytes, lp
from dreamshare_crypto.secret import Secret

__all__ = [
    "SIGNATURE_BYTES",
    "AgreementKey",
    "IdentityKey",
    "Secret",
    "check_public",
    "verify_signature",
]

SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_P = 2**255 - 19

# Canonical u-coordinates of order 1, 2, 4 and 8 on the curve and its twist: 0, 1, p - 1 and the
# two points of order eight (Bernstein, "Curve25519: new Diffie-Hellman speed records", 3; the
# non-canonical twins p, p + 1 and those with the top bit set fall to the canonical check).
_LOW_ORDER = frozenset(
    {
        0,
        1,
        _P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def _private_bytes(secret: Secret) -> bytes:
    if len(secret) != _KEY_BYTES:
        raise ParameterError(f"a private key has {_KEY_BYTES} bytes, not {len(secret)}")
    return secret.reveal()


class IdentityKey:
    """An Ed25519 signing key: who a party is (docs/protocol.md 2.2, 5.1)."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Entropy) -> IdentityKey:
        """Make a key from 32 bytes of `entropy`."""
        return cls.from_secret(Secret(entropy.draw(_KEY_BYTES), "Ed25519 private key"))

    @classmethod
    def from_secret(cls, secret: Secret) -> IdentityKey:
        """Restore a key from its 32-byte RFC 8032 seed; ParameterError on another length."""
        return cls(Ed25519PrivateKey.from_private_bytes(_private_bytes(secret)))

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._public

    def sign(self, label: str, body: bytes) -> bytes:
        """Return `Sig(label, body)`: 64 bytes, Ed25519 over lp(label, body) (2.2)."""
        return self._key.sign(lp(label_bytes(label), body))

    def secret(self) -> Secret:
        """Return the 32-byte seed, for storage."""
        return Secret(self._key.private_bytes_raw(), "Ed25519 private key")

    def __repr__(self) -> str:
        return f"<IdentityKey {self._public[:4].hex()}..>"


def verify_signature(public: bytes, label: str, body: bytes, signature: bytes) -> None:
    """Check `Sig(label, body)` of the holder of `public` (docs/protocol.md 2.2).

    Raises:
        AuthenticationError: the signature is not one of `public` over exactly this (M2).
    """
    try:
        verify_bytes(public, lp(label_bytes(label), body), signature)
    except AuthenticationError:
        raise AuthenticationError(f"the signature ({label}) does not hold") from None


def verify_bytes(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a bare Ed25519 signature (RFC 8032, 5.1.7). SA-2's own are `verify_signature`'s.

    Raises:
        AuthenticationError: it does not hold, or `public` is no key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise AuthenticationError("the signature does not hold") from None


def check_public(key: bytes) -> None:
    """Check an X25519 public value as docs/protocol.md 2.5 asks.

    Raises:
        MalformedError: not 32 bytes, not canonical (top bit set, or >= 2^255 - 19), or low order.
    """
    if len(key) != _KEY_BYTES:
        raise MalformedError(f"an X25519 public key has {_KEY_BYTES} bytes, not {len(key)}")
    value = int.from_bytes(key, "little")
    if value >= _P:
        raise MalformedError("an X25519 public key is not canonical")
    if value in _LOW_ORDER:
        raise MalformedError("an X25519 public key has low order")


class AgreementKey:
    """An X25519 key (docs/protocol.md 2.5)."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Entropy) -> AgreementKey:
        """Make a key from 32 bytes of `entropy`."""
        return cls.from_secret(Secret(entropy.draw(_KEY_BYTES), "X25519 private key"))

    @classmethod
    def from_secret(cls, secret: Secret) -> AgreementKey:
        """Restore or derive a key from 32 bytes; ParameterError on another length."""
        return cls(X25519PrivateKey.from_private_bytes(_private_bytes(secret)))

    @property
    def public(self) -> bytes:
        """The 32-byte public value, canonical."""
        return self._public

    def exchange(self, peer: bytes) -> Secret:
        """Return the 32-byte shared secret with `peer`.

        Raises:
            MalformedError: `peer` fails `check_public`, or the shared secret is zero (2.5).
        """
        check_public(peer)
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(peer))
        except ValueError:  # OpenSSL refuses an all-zero result
            raise MalformedError("an X25519 exchange gave a zero secret") from None
        return Secret(shared, "X25519 shared secret")

    def secret(self) -> Secret:
        """Return the 32 private bytes, for storage."""
        return Secret(self._key.private_bytes_raw(), "X25519 private key")

    def __repr__(self) -> str:
        return f"<AgreementKey {self._public[:4].hex()}..>"
