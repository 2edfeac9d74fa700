"""Vectors as packed fixed-point lanes of 64-bit words (docs/protocol.md, section 12).

Rules:
- each field starts on a word boundary with its own clip and lanes; the weight is the last word;
- words are plain uint64 and add modulo 2^64: masks, sums and their removal commute with packing;
- the rounding is random but repeatable: its bits come from a key that the device derives for one
  payload, so that a recomputation after a crash gives the same vector (12.6);
- noise is added to the words afterwards (`dreamshare_crypto.noise`); the lanes leave room for it,
  and reading a sum takes its offset T out again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.errors import MalformedError, ParameterError, RangeError
from dreamshare_crypto.graph import Mode
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.lanes import BLOCK_WORDS, FieldParams, pack, round_block, unpack_sum
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.transcript import Reader, Writer, copied

__all__ = [
    "WEIGHT_LEVELS",
    "FieldParams",
    "Params",
    "RangeError",
    "decode_sum",
    "encode_vector",
    "words_from_bytes",
    "words_to_bytes",
]

WEIGHT_LEVELS = 2**16 - 1
"""The weight is round(w / W * WEIGHT_LEVELS) (12.3); n_max < 2^32 of them fit a word (12.4)."""

MAX_FIELDS = 256
NONCE_BYTES = 16
_DRAWS = 17  # a first one and 16 more, 12.6
SLACK = 1 + 1 / 64
"""How far rounding may carry a vector over its l2 clip (12.6)."""


@dataclass(frozen=True, slots=True)
class Params:
    """The encoding of a round (12.1). Canonical: the packing follows from the other values.

    Attributes:
        mode: `graph.Mode`, as a number.
        fields: one packing per declared field, in order; at least one.
        n_max: most devices in a sum, 1..2^32-1.
        a_min: least active devices; 0 in an offer's template.
        u_min: least survivors; 0 in an offer's template.
        d: most dropouts of bounded mode; 0 in agreed mode and in an offer's template.
        l2_clip: bound of the l2 norm of x / C over all fields; 0 for none (12.1).
        weight_cap: W > 0; weights are given in 0..W (12.2).
        noise_variance: mu, of the noise under the sum over the least honest crowd, levels squared;
            0 for none (12.6).
        noise_scale: levels from a coordinate of 0 to one at its clip, (2^q - 1) / 2; 0 without
            noise. With noise all fields have one q.
        tail: T, where each device's noise is cut, levels; 0 without noise.
        round_nonce: 16 bytes; zero in an offer's template.
    """

    mode: int
    fields: tuple[FieldParams, ...]
    n_max: int
    a_min: int
    u_min: int
    d: int
    l2_clip: float
    weight_cap: float
    noise_variance: float
    noise_scale: float
    tail: int
    round_nonce: bytes

    def __post_init__(self) -> None:
        if self.mode not in tuple(Mode):
            raise ParameterError(f"mode {self.mode} is unknown")
        if not 1 <= len(self.fields) <= MAX_FIELDS:
            raise ParameterError(f"{len(self.fields)} fields; 1 to {MAX_FIELDS} are possible")
        if not 1 <= self.n_max < 2**32 or not 0 <= self.tail < 2**32:
            raise ParameterError(f"n_max {self.n_max} or tail {self.tail} is out of range")
        if not 0 <= self.u_min <= self.a_min <= self.n_max or not 0 <= self.d <= self.n_max:
            raise ParameterError(
                f"u_min {self.u_min} <= A_min {self.a_min} <= n_max {self.n_max} must hold, d too"
            )
        if not 0 < self.weight_cap < math.inf or not 0 <= self.l2_clip < math.inf:
            raise ParameterError("the weight cap must be finite and above 0, the l2 clip not below")
        if not (0 <= self.noise_variance < math.inf and 0 <= self.noise_scale < math.inf):
            raise ParameterError("noise variance and scale must be finite and not negative")
        if len(self.round_nonce) != NONCE_BYTES:
            raise ParameterError(f"the round nonce has {NONCE_BYTES} bytes")
        self._check_noise()
        for f in self.fields:
            if f != FieldParams.create(f.dims, f.bits, f.clip, self.n_max, self.tail):
                raise ParameterError(f"a field is not packed as {self.n_max} devices ask (12.3)")

    def _check_noise(self) -> None:
        asked = {value > 0 for value in (self.noise_variance, self.noise_scale, self.tail)}
        if len(asked) != 1:
            raise ParameterError("noise has a variance, a scale and a tail, or none of the three")
        if not self.noise_variance:
            return
        if not self.l2_clip:
            raise ParameterError("noise needs an l2 clip: without one it hides nothing")
        if not math.isfinite(self.l2_clip * SLACK * self.noise_scale):
            raise ParameterError(f"an l2 clip of {self.l2_clip} has no finite number of levels")
        if any(f.levels / 2 != self.noise_scale for f in self.fields):
            raise ParameterError(
                "with noise every field has the same bits q, and the scale is (2^q - 1) / 2"
            )

    @property
    def dims(self) -> int:
        """Coordinates of all fields together."""
        return sum(f.dims for f in self.fields)

    @property
    def words(self) -> int:
        """Words of a vector: every field's and one for the weight."""
        return sum(f.words for f in self.fields) + 1

    def encode(self) -> bytes:
        """Return the canonical bytes (12.1)."""
        writer = Writer().u8(self.mode).list(self.fields, _write_field)
        writer.u32(self.n_max).u32(self.a_min).u32(self.u_min).u32(self.d)
        writer.f64(self.l2_clip).f64(self.weight_cap)
        writer.f64(self.noise_variance).f64(self.noise_scale).u32(self.tail)
        return writer.raw(self.round_nonce).finish()

    @classmethod
    def decode(cls, raw: bytes) -> Params:
        """Read `encode`'s bytes; MalformedError on anything else, packing of 12.3 included."""
        reader = Reader(raw)
        try:
            params = cls(
                mode=reader.u8(),
                fields=reader.list(_read_field, MAX_FIELDS),
                n_max=reader.u32(),
                a_min=reader.u32(),
                u_min=reader.u32(),
                d=reader.u32(),
                l2_clip=reader.f64(),
                weight_cap=reader.f64(),
                noise_variance=reader.f64(),
                noise_scale=reader.f64(),
                tail=reader.u32(),
                round_nonce=reader.raw(NONCE_BYTES),
            )
        except ParameterError as error:
            raise MalformedError(f"encoding parameters: {error}") from None
        reader.end()
        return params

    def hash(self) -> bytes:
        """Return `Hp` (7.1)."""
        return hash_parts("sa2/v1/params", self.encode())


def _write_field(writer: Writer, f: FieldParams) -> None:
    writer.u64(f.dims).u8(f.bits).u8(f.lanes).u8(f.lane_bits).f64(f.clip)


def _read_field(reader: Reader) -> FieldParams:
    return FieldParams(reader.u64(), reader.u8(), reader.u8(), reader.u8(), reader.f64())


def encode_vector(
    params: Params,
    fields: Sequence[NDArray[np.float64]],
    weight: float,
    rounding: Stream | None,
) -> NDArray[np.uint64]:
    """Return one device's words, not yet masked (12.2, 12.3).

    Args:
        params: of the round.
        fields: x, one flat float64 array per field of `params`, finite.
        weight: w in 0..weight_cap. The sum takes x * w / W clipped to [-C, C]. At w = 0 that is
            zero, up to half a step of rounding. With noise w is W: weights are not hidden (12.6).
        rounding: of a key derived for this payload (12.6), from its start; None rounds to nearest.

    Returns:
        `params.words` uint64 words, the weight last.

    Raises:
        ParameterError: values outside these ranges, or an l2 clip finer than the resolution.
    """
    if len(fields) != len(params.fields):
        raise ParameterError(f"{len(fields)} fields given, {len(params.fields)} declared")
    for x, f in zip(fields, params.fields, strict=True):
        if x.shape != (f.dims,) or x.dtype != np.float64:
            raise ParameterError(f"a field is {x.dtype}{x.shape}, declared float64({f.dims},)")
        if not np.isfinite(x).all():
            raise ParameterError("a field has values that are not finite")
    if not 0 <= weight <= params.weight_cap:
        raise ParameterError(f"weight {weight} is not within 0..{params.weight_cap}")
    if params.noise_variance and weight != params.weight_cap:
        raise ParameterError(
            "noise hides values, not weights: in a noisy round every device has the weight W"
        )
    share = weight / params.weight_cap
    if params.l2_clip:
        words = _within_norm(params, fields, share, rounding)
    else:
        words, _ = _quantise(params, fields, share, rounding)
    words[-1] = math.floor(share * WEIGHT_LEVELS + 0.5)
    return words


def decode_sum(
    params: Params, words: NDArray[np.uint64], survivors: int
) -> tuple[tuple[NDArray[np.float64], ...], float]:
    """Read the unmasked sum of `survivors` vectors (12.3, 12.5).

    Returns:
        Per field the sum of v = clip(x * w / W, -C, C), float64; and the sum of w / W.

    Raises:
        RangeError: a lane, a spare bit, a padding lane or the weight is larger than `survivors`
            honest devices can make it; the round has no result.
        ParameterError: the array is not `params.words` uint64 words, or the count is not 1..n_max.
    """
    if words.shape != (params.words,) or words.dtype != np.uint64:
        raise ParameterError(
            f"a sum has {params.words} uint64 words, not {words.dtype}{words.shape}"
        )
    if not 1 <= survivors <= params.n_max:
        raise ParameterError(f"{survivors} survivors; 1 to {params.n_max} are possible")
    weight = int(words[-1])
    if weight > survivors * WEIGHT_LEVELS:
        raise RangeError("the weight of a sum is larger than its survivors can make it")
    sums: list[NDArray[np.float64]] = []
    start = 0
    for f in params.fields:
        sums.append(unpack_sum(f, words[start : start + f.words], survivors, params.tail))
        start += f.words
    return tuple(sums), weight / WEIGHT_LEVELS


def words_to_bytes(words: NDArray[np.uint64]) -> bytes:
    """Return the words as they travel: eight bytes each, little-endian (12.3)."""
    little = np.ascontiguousarray(words, dtype="<u8")
    return copied(memoryview(little.view(np.uint8).data))


def words_from_bytes(raw: bytes) -> NDArray[np.uint64]:
    """Return the words of `words_to_bytes`, writable; MalformedError on a broken word."""
    if len(raw) % 8:
        raise MalformedError(f"{len(raw)} bytes are not whole 64-bit words")
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)


def _quantise(
    params: Params, fields: Sequence[NDArray[np.float64]], scale: float, stream: Stream | None
) -> tuple[NDArray[np.uint64], float]:
    """Return the words (weight still 0) and the l2 norm of the rounded v / C."""
    words = np.zeros(params.words, dtype=np.uint64)
    square, start = 0.0, 0
    for x, f in zip(fields, params.fields, strict=True):
        for first in range(0, f.words, BLOCK_WORDS):
            block = x[first * f.lanes : (first + BLOCK_WORDS) * f.lanes]
            levels = block * scale
            round_block(levels, f, stream)
            if params.l2_clip:
                square += float(np.sum((2.0 * levels / f.levels - 1.0) ** 2))
            count = -(-len(block) // f.lanes)
            pack(levels, f, words[start + first : start + first + count])
        start += f.words
    return words, math.sqrt(square)


def _within_norm(
    params: Params, fields: Sequence[NDArray[np.float64]], share: float, stream: Stream | None
) -> NDArray[np.uint64]:
    """Return words whose rounded v / C has an l2 norm within the clip and its slack (12.6)."""
    bound = params.l2_clip * SLACK
    half_steps = math.sqrt(sum(f.dims / f.levels**2 for f in params.fields))
    if half_steps >= bound:
        raise ParameterError(
            f"l2 clip {params.l2_clip} is below the resolution of its fields; use more bits"
        )
    norm = _norm(params, fields)
    scale = share * min(1.0, params.l2_clip / norm) if norm else share
    for _ in range(1 if stream is None else _DRAWS):
        words, rounded = _quantise(params, fields, scale, stream)
        if rounded <= bound:
            return words
    # Rounding to nearest moves the norm by half_steps at most, so this one is within the bound.
    room = min(params.l2_clip, bound - half_steps)
    words, _ = _quantise(params, fields, share * min(1.0, room / norm) if norm else share, None)
    return words


def _norm(params: Params, fields: Sequence[NDArray[np.float64]]) -> float:
    """Return the l2 norm of the concatenation of x / C (12.1)."""
    square = 0.0
    with np.errstate(over="ignore"):
        for x, f in zip(fields, params.fields, strict=True):
            square += float(np.sum((x / f.clip) ** 2))
    if not math.isfinite(square):
        raise ParameterError("the values of an update are too large to take their l2 norm")
    return math.sqrt(square)
