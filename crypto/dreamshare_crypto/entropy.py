"""Where random bytes come from: an argument, so that vectors and simulations can repeat.

Rules:
- machines and key generation take an `Entropy`; nothing in this package asks the system itself;
- `SeededEntropy` is for vectors, tests and simulation: its output is as secret as its seed.
"""

from __future__ import annotations

import os
from typing import Protocol

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.kdf import hash_parts


class Entropy(Protocol):
    """A source of uniform, independent, secret bytes."""

    def draw(self, n: int) -> bytes:
        """Return `n` fresh bytes, n >= 0. Never returns the same bytes on purpose."""
        ...


class SystemEntropy:
    """The operating system's generator; what every real party uses (docs/protocol.md section 3)."""

    __slots__ = ()

    def draw(self, n: int) -> bytes:
        """Return `n` bytes of system entropy."""
        return os.urandom(n)


class SeededEntropy:
    """A deterministic stream: block i is `H("sa2/v1/seeded", seed, u64 i)`, read in order.

    Two objects with one seed give the same bytes; `fork` gives an independent stream that does not
    depend on how much was drawn before.
    """

    __slots__ = ("_block", "_rest", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = bytes(seed)
        self._block = 0
        self._rest = b""

    def draw(self, n: int) -> bytes:
        """Return the next `n` bytes of the stream."""
        if n < 0:
            raise ParameterError(f"cannot draw {n} bytes")
        parts = [self._rest]
        have = len(self._rest)
        while have < n:
            parts.append(hash_parts("sa2/v1/seeded", self._seed, self._block.to_bytes(8, "little")))
            self._block += 1
            have += 32
        joined = b"".join(parts)
        self._rest = joined[n:]
        return joined[:n]

    def fork(self, label: str) -> SeededEntropy:
        """Return an independent stream named `label`, the same however much was drawn here."""
        return SeededEntropy(hash_parts("sa2/v1/seeded-fork", self._seed, label.encode()))
