"""The two suites of 2.6: an AEAD and a PRG each."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.chacha import chacha20, chacha20_poly1305_seal
from tests.reference.ciphers import aes256_ctr, aes256_gcm_seal


@dataclass(frozen=True, slots=True)
class Suite:
    """number: the offer's `suite` byte, 1 or 2."""

    number: int

    def seal(self, key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        if self.number == 1:
            return aes256_gcm_seal(key, nonce, plain, aad)
        return chacha20_poly1305_seal(key, nonce, plain, aad)

    def stream(self, key: bytes, size: int) -> bytes:
        """The first `size` bytes of the key's only stream."""
        if self.number == 1:
            return aes256_ctr(key, bytes(16), size)
        return chacha20(key, 0, bytes(12), size)
