"""What all signed SA-2 messages share: a statement, a label, a signature over both.

Rules:
- the statement is the message's own canonical bytes (or their hash, for the long ones), so that a
  message kept as evidence can be checked by anybody who holds the signer's certificate (14.4);
- each kind of message has its own label: no signature for one purpose serves another (2.2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from dreamshare_crypto.keys import IdentityKey, verify_signature

UNSIGNED = bytes(64)
"""The signature of a message that was not signed yet; it verifies under no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed(ABC):
    """A message with a signature of its own, Ed25519 over lp(LABEL, statement)."""

    LABEL: ClassVar[str]

    signature: bytes = UNSIGNED

    @abstractmethod
    def statement(self) -> bytes:
        """Return the bytes that the signature covers."""

    @abstractmethod
    def encode(self) -> bytes:
        """Return the canonical bytes of the message, signature included."""

    def sign(self, key: IdentityKey) -> Self:
        """Return the same message, signed by `key`."""
        return replace(self, signature=key.sign(self.LABEL, self.statement()))

    def verify(self, public: bytes) -> None:
        """Check the signature against an Ed25519 public key; AuthenticationError when it fails."""
        verify_signature(public, self.LABEL, self.statement(), self.signature)
