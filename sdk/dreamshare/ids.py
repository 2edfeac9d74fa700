"""Identifiers, as distinct types over bytes.

Rules: fixed lengths, compared as bytes, shown as hex; nothing here draws randomness.
"""

from __future__ import annotations

from typing import NewType

from dreamshare.errors import ConfigError

FederationId = NewType("FederationId", bytes)  # 16 bytes
TaskId = NewType("TaskId", bytes)  # 16 bytes
PartyId = NewType("PartyId", bytes)  # 16 bytes: a device, an aggregator or an operator
SessionId = NewType("SessionId", bytes)  # 32 bytes: sid of docs/protocol.md section 3

NO_TASK = TaskId(bytes(16))
NO_SESSION = SessionId(bytes(32))
EVERYBODY = PartyId(b"\xff" * 16)


def parse_id(text: str) -> bytes:
    """Return the 16 bytes of a hex identifier; raise ConfigError on anything else."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not an identifier: 32 hex digits were expected") from None
    if len(raw) != 16:
        raise ConfigError(f"{text!r} has {len(raw)} bytes; an identifier has 16 (32 hex digits)")
    return raw


def short(identifier: bytes) -> str:
    """Return the first eight hex digits, for logs and tables."""
    return identifier[:4].hex()
