"""Bytes that must not be shown: a value that prints as its kind and length only.

Rules:
- the bytes leave through `reveal()` alone, so that a search for it finds every use;
- equality takes constant time; a Secret cannot be hashed, copied into a pickle or iterated;
- Python gives no way to wipe memory: erasure of stored secrets is docs/protocol.md 9.3 to 9.5.
"""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Secret bytes with a name for their kind, for example `Secret(key, "pair mask key")`."""

    __slots__ = ("_kind", "_value")

    def __init__(self, value: bytes, kind: str = "secret") -> None:
        self._value = bytes(value)
        self._kind = kind

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._value

    @property
    def kind(self) -> str:
        """What the secret is, in words."""
        return self._kind

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash would depend on the bytes

    def __repr__(self) -> str:
        return f"<{self._kind}, {len(self._value)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled or copied; use reveal() and store it sealed")
