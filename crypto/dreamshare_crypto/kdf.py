"""Hash and key derivation with unambiguous inputs (docs/protocol.md 2.2).

Rules:
- every input is length-prefixed, so no two lists of parts hash alike;
- every label is ASCII and begins with `sa2/v1/`: purpose and version are part of each key.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.secret import Secret

PREFIX = "sa2/v1/"
"""How every label begins."""

_MOST = 255 * 32  # RFC 5869, 2.3


def lp(*parts: bytes) -> bytes:
    """Return the parts, each behind its length as u64 little-endian (2.2)."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def label_bytes(label: str) -> bytes:
    """Return the label as ASCII; raise ParameterError when it is not one of ours (2.2)."""
    if not label.startswith(PREFIX) or not label.isascii():
        raise ParameterError(f"label {label!r} must be ASCII and begin with {PREFIX!r}")
    return label.encode("ascii")


def hash_parts(label: str, *parts: bytes) -> bytes:
    """Return `H(label, x1, ..)` = SHA-256(lp(label, x1, ..)), 32 bytes (2.2)."""
    digest = hashlib.sha256()
    for part in (label_bytes(label), *parts):  # fed one by one: a vector is not copied for this
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def derive(ikm: Secret | bytes, salt: bytes, length: int, label: str, *parts: bytes) -> Secret:
    """Return `KDF(ikm, salt, length; label, x1, ..)`: HKDF-SHA256 with info = lp(label, ..) (2.2).

    Raises:
        ParameterError: `length` is not 1..8160, or the label is not one of ours.
    """
    key = ikm.reveal() if isinstance(ikm, Secret) else ikm
    return Secret(hkdf(key, salt, length, lp(label_bytes(label), *parts)), label)


def hkdf(ikm: bytes, salt: bytes, length: int, info: bytes) -> bytes:
    """Return HKDF-SHA256 of RFC 5869, bare. Keys come from `derive`, which labels them.

    Raises:
        ParameterError: `length` is not 1..8160.
    """
    if not 1 <= length <= _MOST:
        raise ParameterError(f"cannot derive {length} bytes; HKDF-SHA256 gives 1 to {_MOST}")
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(ikm)
