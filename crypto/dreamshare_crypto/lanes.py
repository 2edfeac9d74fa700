"""One field as fixed-point lanes of 64-bit words: rounding, packing and reading a sum (section 12).

Rules:
- lane k of a word occupies bits k*b .. k*b+b-1; the last word is padded with zero lanes (12.3);
- values are offset by the clip, so lanes are never negative and never borrow from a neighbour;
- the spare bits of a word are spread over its lanes as guard bits, at no cost (12.3).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.errors import ParameterError, RangeError
from dreamshare_crypto.prg import Stream

BLOCK_WORDS = 1 << 13
"""Words encoded or read at a time: with up to 8 lanes a word, block and temporaries stay in the
processor's second-level cache, and none of them has the size of the vector."""
_ITEM_BITS = (8, 16, 32, 64)
"""Widths of lanes that are machine integers."""


@dataclass(frozen=True, slots=True)
class FieldParams:
    """How one field is packed (12.1 to 12.3).

    Attributes:
        dims: coordinates, >= 1.
        bits: q, 8..20; a coordinate has 2^q levels.
        lanes: L, coordinates per word.
        lane_bits: b, bits per lane; L * b <= 64.
        clip: C > 0; coordinates are limited to [-C, C].
    """

    dims: int
    bits: int
    lanes: int
    lane_bits: int
    clip: float

    def __post_init__(self) -> None:
        if not 1 <= self.dims < 2**48:
            raise ParameterError(f"a field of {self.dims} coordinates; 1 to 2^48 - 1 are possible")
        if not 8 <= self.bits <= 20:
            raise ParameterError(f"a field of {self.bits} bits; 8 to 20 are possible")
        if not 0 < self.clip < math.inf:
            raise ParameterError(f"clip {self.clip} must be finite and above 0")
        if self.lanes < 1 or self.lanes * self.lane_bits > 64:
            raise ParameterError(f"{self.lanes} lanes of {self.lane_bits} bits do not fit a word")

    @classmethod
    def create(cls, dims: int, bits: int, clip: float, n_max: int, tail: int = 0) -> FieldParams:
        """Return the packing that 12.3 prescribes for sums of up to `n_max` devices."""
        if n_max < 1:
            raise ParameterError(f"n_max {n_max} must be at least 1")
        needed = (n_max * (2**bits - 1 + 2 * tail)).bit_length() if 8 <= bits <= 20 else 0
        if not 0 < needed <= 64:
            raise ParameterError(f"{bits} bits summed over {n_max} devices do not fit a lane")
        lanes = 64 // needed
        return cls(dims=dims, bits=bits, lanes=lanes, lane_bits=64 // lanes, clip=clip)

    @property
    def words(self) -> int:
        """Words that the field takes."""
        return -(-self.dims // self.lanes)

    @property
    def levels(self) -> int:
        """2^q - 1, the greatest quantised value."""
        return int(2**self.bits - 1)


def round_block(v: NDArray[np.float64], f: FieldParams, stream: Stream | None) -> None:
    """Replace x * w / W, in place, by the level u of 12.2: whole numbers in 0..2^q-1.

    Four bytes of `stream` make one rounding offset in [0, 1); None rounds to nearest.
    """
    np.clip(v, -f.clip, f.clip, out=v)
    v /= f.clip  # before the offset, so that no clip, however large or small, overflows
    v += 1.0
    v *= f.levels / 2
    if stream is None:
        v += 0.5
    else:
        v += np.frombuffer(stream.take(4 * len(v)), dtype="<u4") * 2.0**-32
    np.floor(v, out=v)
    np.clip(v, 0, f.levels, out=v)


def pack(levels: NDArray[np.float64], f: FieldParams, out: NDArray[np.uint64]) -> None:
    """Or the levels of whole words into `out`, which is zero (12.3)."""
    if f.lane_bits in _ITEM_BITS and sys.byteorder == "little":
        # Lanes of whole bytes lie in memory as an array of shorter integers does.
        out.view(f"u{f.lane_bits // 8}")[: len(levels)] = levels
        return
    lanes = np.zeros((len(out), f.lanes), dtype=np.uint64)
    lanes.reshape(-1)[: len(levels)] = levels
    for k in range(f.lanes):
        out |= lanes[:, k] << np.uint64(k * f.lane_bits)


def unpack_sum(
    f: FieldParams, words: NDArray[np.uint64], survivors: int, tail: int = 0
) -> NDArray[np.float64]:
    """Return the sum of `survivors` fields' values from the sum of their words (12.3, 12.5).

    `tail` is T: every device's noise is offset by it, 0 without noise.

    Raises:
        RangeError: a lane, a spare bit or a padding lane is larger than honest devices make it.
    """
    values = np.empty(f.dims, dtype=np.float64)
    lanes = np.empty((min(BLOCK_WORDS, f.words), f.lanes), dtype=np.uint64)
    for first in range(0, f.words, BLOCK_WORDS):
        block = words[first : first + BLOCK_WORDS]
        levels = _unpack(f, block, lanes[: len(block)])
        out = values[first * f.lanes : first * f.lanes + len(levels)]
        if levels[len(out) :].any():
            raise RangeError("a sum has padding lanes set")
        if int(levels.max()) > survivors * (f.levels + 2 * tail):
            raise RangeError("a coordinate of a sum is larger than its survivors can make it")
        out[:] = levels[: len(out)]  # exact: a lane sum is far below 2^53
        out -= survivors * tail
        out *= 2.0 / f.levels
        out -= survivors
        out *= f.clip
    return values


def _unpack(
    f: FieldParams, words: NDArray[np.uint64], lanes: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return the lanes of words in their order, in the memory of `lanes`; RangeError."""
    used = f.lanes * f.lane_bits
    if used < 64 and (words >> np.uint64(used)).any():
        raise RangeError("a sum has spare bits set")
    low = np.uint64((1 << f.lane_bits) - 1)
    for k in range(f.lanes):
        np.bitwise_and(words >> np.uint64(k * f.lane_bits), low, out=lanes[:, k])
    return lanes.reshape(-1)
