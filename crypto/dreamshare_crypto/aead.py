"""Authenticated encryption: AES-256-GCM and ChaCha20-Poly1305 (docs/protocol.md 2.6).

Rules:
- nonces are given by the caller, because each use derives them in its own way (section 3, 14.2);
- meant for boxes and envelopes; masks are `prg`'s, and bulk data does not belong on an event loop.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


def seal(key: Secret, nonce: bytes, plaintext: bytes, aad: bytes, suite: Suite) -> bytes:
    """Return ciphertext and tag, `len(plaintext) + 16` bytes; `aad` is bound, not hidden.

    A (key, nonce) pair must never seal two plaintexts.

    Raises:
        ParameterError: the key is not 32 bytes or the nonce not 12.
    """
    return _cipher(key, nonce, suite).encrypt(nonce, plaintext, aad)


def open_box(key: Secret, nonce: bytes, ciphertext: bytes, aad: bytes, suite: Suite) -> bytes:
    """Return the plaintext of `seal`.

    Raises:
        AuthenticationError: the tag does not hold for this key, nonce, aad and suite.
        ParameterError: the key is not 32 bytes or the nonce not 12.
    """
    try:
        return _cipher(key, nonce, suite).decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        raise AuthenticationError(f"a box does not open with its key ({key.kind})") from None


def _cipher(key: Secret, nonce: bytes, suite: Suite) -> AESGCM | ChaCha20Poly1305:
    if len(key) != KEY_BYTES:
        raise ParameterError(f"the key of a box has {KEY_BYTES} bytes, not {len(key)}")
    if len(nonce) != NONCE_BYTES:
        raise ParameterError(f"the nonce of a box has {NONCE_BYTES} bytes, not {len(nonce)}")
    match suite:
        case Suite.AES:
            return AESGCM(key.reveal())
        case Suite.CHACHA:
            return ChaCha20Poly1305(key.reveal())
