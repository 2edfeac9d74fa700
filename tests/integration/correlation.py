"""A detector: does a string of bytes hold numbers that follow a known vector?

It reads the bytes in every way in which a vector may plausibly lie in them (packed lanes of
64-bit words, integers and floats of every width, from every byte on) and slides the vector along
each reading. For every place it computes the correlation with the vector, all places at once by
FFT.

How large may the greatest value be where the bytes are random, as masked words are?
- Let x be centred with d coordinates, v the d numbers read at one place. r = sum(a_i v_i) with
  a_i = x_i / (|x| |v|), |v| about sqrt(d) sigma. Integers and lanes of random bytes are uniform on
  an interval of half-width sqrt(3) sigma, so by Hoeffding P(|r| > z) <= 2 exp(-z^2 d / 6).
- Floats of random bytes have random signs, and are clipped here to the vector's own range c; about
  half of them have an exponent that lands on c, so sigma^2 is about c^2 / 2 and
  P(|r| > z) <= 2 exp(-z^2 d / 4), which is smaller with room to spare.
- K comparisons fail together with a chance of at most e where z = sqrt(6 ln(2K / e) / d).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

INTEGERS = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", ">u4", ">i4", ">u8")
FLOATS = ("<f2", "<f4", "<f8", ">f4", ">f8")
CHANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Lanes:
    """How words are packed: `count` lanes of `bits` bits, the lowest first."""

    count: int
    bits: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The greatest |correlation| found for each vector, and how many were computed in all."""

    greatest: Vector
    comparisons: int


def bound(dims: int, comparisons: int) -> float:
    """Return z of the module's text."""
    return math.sqrt(6 * math.log(2 * max(comparisons, 1) / CHANCE) / dims)


def search(raw: bytes, vectors: Sequence[Vector], lanes: Sequence[Lanes]) -> Verdict:
    """Slide every vector (all of one length, none constant) along every reading of `raw`."""
    dims = len(vectors[0])
    if len(raw) < dims:  # not even a byte a coordinate
        return Verdict(np.zeros(len(vectors)), 0)
    centred = np.stack([v - v.mean() for v in vectors])
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    reach = float(np.abs(np.stack(vectors)).max())
    greatest, comparisons = np.zeros(len(vectors)), 0
    for numbers in _readings(raw, lanes, reach):
        if len(numbers) >= dims:
            found = _slide(numbers, centred)
            greatest = np.maximum(greatest, np.abs(found).max(axis=1))
            comparisons += found.size
    return Verdict(greatest, comparisons)


def _readings(raw: bytes, lanes: Sequence[Lanes], reach: float) -> Iterator[Vector]:
    for kind in INTEGERS + FLOATS:
        size = np.dtype(kind).itemsize
        for first in range(size):
            numbers = np.frombuffer(raw, kind, (len(raw) - first) // size, first)
            if kind in FLOATS:
                with np.errstate(invalid="ignore", over="ignore"):
                    numbers = numbers.astype(np.float64)
                numbers = np.clip(np.nan_to_num(numbers), -reach, reach)
            yield numbers.astype(np.float64)
    for first in range(8):
        words = np.frombuffer(raw, "<u8", (len(raw) - first) // 8, first)
        for packing in lanes:
            shifts = np.arange(packing.count, dtype=np.uint64) * np.uint64(packing.bits)
            mask = np.uint64((1 << packing.bits) - 1)
            yield ((words[:, None] >> shifts) & mask).reshape(-1).astype(np.float64)


def _slide(numbers: Vector, centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlations, shape (vectors, places)."""
    dims, places = centred.shape[1], len(numbers) - centred.shape[1] + 1
    numbers = numbers - numbers.mean()
    numbers /= max(float(np.abs(numbers).max()), 1e-300)
    length = 1 << (len(numbers) - 1).bit_length()
    spectrum = np.fft.rfft(numbers, length) * np.conj(np.fft.rfft(centred, length, axis=1))
    products = np.fft.irfft(spectrum, length, axis=1)[:, :places]
    sums = np.cumsum(np.concatenate(([0.0], numbers)))
    squares = np.cumsum(np.concatenate(([0.0], numbers**2)))
    total = sums[dims:] - sums[:places]
    spread = (squares[dims:] - squares[:places]) - total**2 / dims
    # Where the numbers hardly vary there is nothing to follow, and rounding would decide.
    flat = spread < 1e-9 * dims
    return np.where(flat, 0.0, products / np.sqrt(np.where(flat, 1.0, spread)))
