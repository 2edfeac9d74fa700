"""Shamir's sharing over the integers modulo 2^255 - 19 (docs/protocol.md 2.4, 3.3, 11.1).

Rules:
- field elements travel as 32 bytes little-endian and are refused unless below P;
- a holder's x-coordinate is its roster index + 1; x = 0 never occurs, because it is the secret;
- coefficients come from the dealer's own stream, 64 bytes each, so that a dealer that restarts
  deals the same polynomial (section 3);
- plain integers are not constant-time: sharing and reconstruction work on one-time secrets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dreamshare_crypto.errors import MalformedError, ParameterError

P = 2**255 - 19
"""The field's prime."""

ELEMENT_BYTES = 32
WIDE_BYTES = 64
"""Random bytes that make one element: 2^-257 away from uniform after reduction (2.4)."""

_LAZY = 16  # Horner steps between reductions: an x of at most 32 bits grows the sum by 512 bits


def reduce_wide(raw: bytes) -> int:
    """Return 64 random bytes as a field element (2.4); ParameterError on another length."""
    if len(raw) != WIDE_BYTES:
        raise ParameterError(f"a field element is reduced from {WIDE_BYTES} bytes, not {len(raw)}")
    return int.from_bytes(raw, "little") % P


def encode_element(value: int) -> bytes:
    """Return the 32 bytes of an element in 0..P-1 (2.4)."""
    if not 0 <= value < P:
        raise ParameterError("a field element lies in 0..P-1")
    return value.to_bytes(ELEMENT_BYTES, "little")


def decode_element(raw: bytes) -> int:
    """Return the element of 32 canonical bytes; MalformedError on anything else (2.4)."""
    if len(raw) != ELEMENT_BYTES:
        raise MalformedError(f"a field element has {ELEMENT_BYTES} bytes, not {len(raw)}")
    value = int.from_bytes(raw, "little")
    if value >= P:
        raise MalformedError("a field element is not below 2^255 - 19")
    return value


def coefficient_bytes(t: int) -> int:
    """Return how many bytes of stream `split` takes for threshold `t`: 64 (t - 1)."""
    return WIDE_BYTES * (t - 1)


def split(secret: int, t: int, xs: Sequence[int], stream: bytes) -> tuple[bytes, ...]:
    """Share `secret` so that any `t` shares give it back and t - 1 say nothing (section 3).

    Args:
        secret: in 0..P-1; the polynomial's value at 0.
        t: threshold, 1 <= t <= len(xs).
        xs: the holders' distinct x-coordinates, 1..2^32-1 (3.3).
        stream: exactly `coefficient_bytes(t)` secret, uniform bytes; 64 make one coefficient, the
            coefficient of x first.

    Returns:
        One 32-byte share per x, in the order of `xs`.

    Raises:
        ParameterError: an argument outside these ranges.
    """
    check_xs(xs)
    if not 0 <= secret < P or not 1 <= t <= len(xs):
        raise ParameterError(f"cannot share with threshold {t} among {len(xs)} holders")
    if len(stream) != coefficient_bytes(t):
        raise ParameterError(f"threshold {t} takes {coefficient_bytes(t)} bytes of coefficients")
    rising = [secret, *(reduce_wide(stream[i : i + 64]) for i in range(0, len(stream), WIDE_BYTES))]
    falling = rising[::-1]
    return tuple(evaluate(falling, x).to_bytes(ELEMENT_BYTES, "little") for x in xs)


def evaluate(falling: Sequence[int], x: int) -> int:
    """Return a polynomial's value at `x < 2^32`; its leading coefficient comes first."""
    value = 0
    for start in range(0, len(falling), _LAZY):
        for coefficient in falling[start : start + _LAZY]:
            value = value * x + coefficient
        value %= P
    return value


class Interpolator:
    """Reconstruction at 0 from exactly `t` shares, with the coefficients of each answer set kept.

    Lagrange coefficients depend on *which* holders answered, not on what: in the complete graph one
    set serves every secret of a round (11.1). The object's life is the cache's life.
    """

    __slots__ = ("_kept", "_t")

    def __init__(self, t: int) -> None:
        if t < 1:
            raise ParameterError(f"threshold {t} must be at least 1")
        self._t = t
        self._kept: dict[tuple[int, ...], tuple[int, ...]] = {}

    def combine(self, xs: Sequence[int], shares: Sequence[bytes]) -> int:
        """Return the secret of which `shares[i]` is the share at `xs[i]`.

        The value is right only if every share is: the caller checks it against the dealer's
        commitment (11.1).

        Raises:
            MalformedError: a share is not a canonical field element.
            ParameterError: not exactly `t` shares, or an x is 0, repeated or too large.
        """
        if len(xs) != self._t or len(shares) != self._t:
            raise ParameterError(f"reconstruction takes exactly {self._t} shares")
        coefficients = self._coefficients(tuple(xs))
        values = (decode_element(share) for share in shares)
        return sum(c * v for c, v in zip(coefficients, values, strict=True)) % P

    def _coefficients(self, xs: tuple[int, ...]) -> tuple[int, ...]:
        kept = self._kept.get(xs)
        if kept is None:
            kept = self._kept[xs] = lagrange_at_zero(xs)
        return kept


def lagrange_at_zero(xs: Sequence[int]) -> tuple[int, ...]:
    """Return c with f(0) = sum of c[i] f(xs[i]) for every f of degree below len(xs).

    c[i] is the product over j != i of x_j / (x_j - x_i); with N the product of all x, that is
    N / (x_i * product of (x_j - x_i)): one denominator each, all inverted by one exponentiation.

    Raises:
        ParameterError: an x is 0, repeated or above 2^32-1, or there is none.
    """
    check_xs(xs)
    below = [x * math.prod(other - x for other in xs if other != x) % P for x in xs]
    above = math.prod(xs) % P
    return tuple(above * inverse % P for inverse in invert_all(below))


def invert_all(values: Sequence[int]) -> list[int]:
    """Montgomery's batch: one modular inverse and three products a value; no value is 0 mod P."""
    before = [1]
    for value in values:
        before.append(before[-1] * value % P)
    inverse = pow(before[-1], -1, P)
    inverses = [0] * len(values)
    for i in range(len(values) - 1, -1, -1):
        inverses[i] = before[i] * inverse % P
        inverse = inverse * values[i] % P
    return inverses


def check_xs(xs: Sequence[int]) -> None:
    """Refuse holders' x-coordinates that are 0, repeated or above 2^32-1, or none at all (3.3)."""
    if not xs or len(set(xs)) != len(xs) or not all(0 < x < 2**32 for x in xs):
        raise ParameterError("x-coordinates are distinct integers in 1..2^32-1")
