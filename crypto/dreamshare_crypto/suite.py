"""The symmetric primitives that an epoch runs on (docs/protocol.md 2.6).

Rules:
- the offer names an epoch's suite, every device's floor says which ones it accepts (4.12), and
  boxes, polynomials, masks and rounding of the epoch follow it;
- suite 2 is for cohorts whose processors have no AES instructions (a Raspberry Pi 4, for one);
- what is sealed before or outside an epoch keeps one suite, `OUTSIDE` (17.20).
"""

from __future__ import annotations

from enum import IntEnum


class Suite(IntEnum):
    """An authenticated cipher for boxes and a stream for masks, both with keys of 32 bytes."""

    AES = 1  # AES-256-GCM; AES-256-CTR
    CHACHA = 2  # ChaCha20-Poly1305; ChaCha20


OUTSIDE = Suite.AES
"""What seals envelopes, and a device's own secrets at rest, whatever suite an epoch has (17.20)."""
