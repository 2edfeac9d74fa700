"""Vectors into words and sums back (section 12, 17.19).

Every step is one binary64 operation, in the order of 17.19: another order rounds differently.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from tests.reference.suites import Suite
from tests.reference.values import KDF, H, f64, listed, u8, u32, u64

AGREED, BOUNDED = 1, 2
WEIGHT_STEPS = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Field:
    """dims coordinates of q bits, L lanes of b bits a word, clip C."""

    dims: int
    q: int
    L: int
    b: int
    C: float

    def encoded(self) -> bytes:
        return u64(self.dims) + u8(self.q) + u8(self.L) + u8(self.b) + f64(self.C)

    @property
    def words(self) -> int:
        return -(-self.dims // self.L)


def field_for(dims: int, q: int, clip: float, n_max: int, tail: int = 0) -> Field:
    """12.3: lanes as many as fit, then as wide as fits."""
    bound = 2**q - 1 + 2 * tail
    b0 = (n_max * bound).bit_length()
    lanes = 64 // b0
    return Field(dims, q, lanes, 64 // lanes, clip)


@dataclass(frozen=True, slots=True)
class Params:
    """12.1, in its order. `variance` 0: no noise."""

    mode: int
    fields: tuple[Field, ...]
    n_max: int
    A_min: int
    u_min: int
    d: int
    l2_clip: float
    W: float
    variance: float
    scale: float
    T: int
    round_nonce: bytes

    def encoded(self) -> bytes:
        out = u8(self.mode) + listed([field.encoded() for field in self.fields])
        out += u32(self.n_max) + u32(self.A_min) + u32(self.u_min) + u32(self.d)
        out += f64(self.l2_clip) + f64(self.W) + f64(self.variance) + f64(self.scale)
        return out + u32(self.T) + self.round_nonce

    def hash(self) -> bytes:
        return H("sa2/v1/params", self.encoded())


def rounding_stream(suite: Suite, rounding_key: bytes, task: bytes, Hb: bytes, size: int) -> bytes:
    return suite.stream(KDF(rounding_key, task, 32, "sa2/v1/rounding", Hb), size)


def quantise(field: Field, x: list[float], scale: float, stream: bytes) -> list[int]:
    """12.2 without noise, in the order of 17.19: four bytes of the stream a coordinate."""
    top = 2**field.q - 1
    out = []
    for i, value in enumerate(x):
        v = min(max(value * scale, -field.C), field.C)
        chance = struct.unpack_from("<I", stream, 4 * i)[0] * 2.0**-32
        u = math.floor((v / field.C + 1.0) * (top / 2) + chance)
        out.append(min(max(u, 0), top))
    return out


def pack(field: Field, values: list[int]) -> list[int]:
    """Lane k of a word is at bits kb..kb+b-1."""
    words = []
    for start in range(0, len(values), field.L):
        lanes = values[start : start + field.L]
        words.append(sum(u << (k * field.b) for k, u in enumerate(lanes)))
    return words


def unpack(field: Field, words: list[int]) -> list[int]:
    mask = 2**field.b - 1
    lanes = [word >> (k * field.b) & mask for word in words for k in range(field.L)]
    return lanes[: field.dims]


def weight_word(weight: float, cap: float) -> int:
    return math.floor(weight / cap * WEIGHT_STEPS + 0.5)


def decode_sum(field: Field, lanes: list[int], m: int, tail: int = 0) -> list[float]:
    """The sum of v over the m devices of U_r (12.3); tail: T of 12.2."""
    top = 2**field.q - 1
    return [((s - m * tail) * (2.0 / top) - m) * field.C for s in lanes]


def words_bytes(words: list[int]) -> bytes:
    return b"".join(u64(word) for word in words)


def bytes_words(data: bytes) -> list[int]:
    return [word for (word,) in struct.iter_unpack("<Q", data)]
