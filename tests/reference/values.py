"""Bytes, hashes, fields and bitmaps of sections 2.1 to 2.4: what everything else is made of."""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from collections.abc import Iterable, Sequence

P = 2**255 - 19


def u8(value: int) -> bytes:
    return value.to_bytes(1, "little")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def f64(value: float) -> bytes:
    """binary64, little-endian; 2.1 knows no negative zero and no infinity."""
    if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
        raise ValueError("2.1 has no encoding for this number")
    return struct.pack("<d", value)


def var(data: bytes) -> bytes:
    return u32(len(data)) + data


def listed(items: Sequence[bytes]) -> bytes:
    return u32(len(items)) + b"".join(items)


def lp(*parts: bytes) -> bytes:
    """The parts, each behind its length in eight bytes (2.2)."""
    return b"".join(u64(len(part)) + part for part in parts)


def H(label: str, *parts: bytes) -> bytes:
    return hashlib.sha256(lp(label.encode("ascii"), *parts)).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(ikm: bytes, salt: bytes, length: int, info: bytes) -> bytes:
    """HKDF-SHA256, RFC 5869 section 2."""
    key = mac(salt or bytes(32), ikm)
    out, block, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = mac(key, block + info + u8(counter))
        out += block
    return out[:length]


def KDF(ikm: bytes, salt: bytes, length: int, label: str, *parts: bytes) -> bytes:
    return hkdf(ikm, salt, length, lp(label.encode("ascii"), *parts))


def bitmap(members: Iterable[int], size: int) -> bytes:
    """The set as ceil(size/8) bytes, lowest bit first (2.3)."""
    value = sum(1 << v for v in set(members))
    return value.to_bytes((size + 7) // 8, "little")


def mod_p(data: bytes) -> int:
    """64 bytes as a little-endian integer, reduced (2.4)."""
    return int.from_bytes(data, "little") % P


def element(value: int) -> bytes:
    return value.to_bytes(32, "little")


def evaluate(coefficients: Sequence[int], x: int) -> int:
    """The polynomial at x, lowest coefficient first."""
    total = 0
    for c in reversed(coefficients):
        total = (total * x + c) % P
    return total


def interpolate_at_zero(points: Sequence[tuple[int, int]]) -> int:
    """Lagrange: the value at 0 of the polynomial of least degree through the points (11.1)."""
    total = 0
    for i, (x_i, y_i) in enumerate(points):
        top, bottom = 1, 1
        for j, (x_j, _) in enumerate(points):
            if i != j:
                top = top * x_j % P
                bottom = bottom * (x_j - x_i) % P
        total += y_i * top * pow(bottom, P - 2, P)
    return total % P


class Entropy:
    """The repeatable stream of 17.12: tests only."""

    def __init__(self, seed: bytes) -> None:
        self.seed, self.counter, self.rest = seed, 0, b""

    def draw(self, size: int) -> bytes:
        while len(self.rest) < size:
            self.rest += H("sa2/v1/seeded", self.seed, u64(self.counter))
            self.counter += 1
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def fork(self, name: str) -> Entropy:
        return Entropy(H("sa2/v1/seeded-fork", self.seed, name.encode()))
