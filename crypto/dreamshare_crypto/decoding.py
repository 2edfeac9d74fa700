"""Decoding shares of which some are wrong: Reed-Solomon over 2^255 - 19 (docs/protocol.md 11.2).

Rules:
- Gao's algorithm ("A new algorithm for decoding Reed-Solomon codes", 2003): the answers are
  interpolated as they are, and Euclid's algorithm on that polynomial and the one that is 0 at every
  x stops where the wrong answers have been divided out;
- of m answers for threshold t up to floor((m - t) / 2) may be wrong, wherever they are; within that
  radius there is one polynomial or none, and with more wrong ones it may be another one: what comes
  out is checked against the dealer's commitment like any other secret (11.1);
- exact integers, no dependency, quadratic in m; like all reconstruction it is not constant-time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from dreamshare_crypto.errors import CryptoError, ParameterError
from dreamshare_crypto.shamir import P, check_xs, decode_element, evaluate, invert_all

Polynomial = list[int]  # coefficients, the constant first, the leading one not 0; [] is 0


class NotDecodable(CryptoError):
    """No polynomial of the degree goes through enough of the answers."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The one polynomial within the radius.

    Attributes:
        secret: its value at 0, in 0..P-1.
        wrong: places in the answers (not x-coordinates) that are off it, ascending.
    """

    secret: int = field(repr=False)
    wrong: tuple[int, ...]


def radius(m: int, t: int) -> int:
    """Return how many wrong answers among `m` can be decoded for threshold `t`: at least 0."""
    return max(0, (m - t) // 2)


def decode(t: int, xs: Sequence[int], shares: Sequence[bytes]) -> Decoded:
    """Return the polynomial of degree below `t` that all but `radius` of the answers lie on.

    Args:
        t: threshold, 1 <= t <= len(xs).
        xs: the holders' distinct x-coordinates, 1..2^32-1 (3.3).
        shares: `shares[i]` is what the holder at `xs[i]` answered: 32 bytes.

    Raises:
        NotDecodable: more answers are wrong than that, or the shares are of no polynomial.
        MalformedError: a share is not a canonical field element.
        ParameterError: fewer than `t` answers, or an x is 0, repeated or too large.
    """
    check_xs(xs)
    m = len(xs)
    if not 1 <= t <= m or len(shares) != m:
        raise ParameterError(f"threshold {t} cannot be decoded from {len(shares)} of {m} answers")
    ys = [decode_element(share) for share in shares]
    vanishing = _vanishing(xs)
    quotient, rest = _divide(*_euclid(vanishing, _through(xs, ys, vanishing), m + t))
    if rest or len(quotient) > t:
        raise NotDecodable(f"more than {radius(m, t)} of {m} answers are wrong")
    falling = quotient[::-1]
    wrong = tuple(
        i for i, (x, y) in enumerate(zip(xs, ys, strict=True)) if evaluate(falling, x) != y
    )
    if len(wrong) > radius(m, t):
        raise NotDecodable(f"more than {radius(m, t)} of {m} answers are wrong")
    return Decoded(quotient[0] if quotient else 0, wrong)


def _vanishing(xs: Sequence[int]) -> Polynomial:
    """Return the product of (X - x), monic of degree m."""
    product = [1]
    for x in xs:
        shifted = [0, *product]
        for i, coefficient in enumerate(product):
            shifted[i] -= x * coefficient
        product = [coefficient % P for coefficient in shifted]
    return product


def _through(xs: Sequence[int], ys: Sequence[int], vanishing: Polynomial) -> Polynomial:
    """Return the polynomial of degree below m with value ys[i] at xs[i], by Lagrange's formula."""
    below = [math.prod(x - other for other in xs if other != x) % P for x in xs]
    sums = [0] * len(xs)
    for x, y, inverse in zip(xs, ys, invert_all(below), strict=True):
        weight = y * inverse % P
        carried = 0
        for i in range(len(xs), 0, -1):  # vanishing / (X - x), synthetically
            carried = (vanishing[i] + x * carried) % P
            sums[i - 1] += weight * carried
    return _trimmed([coefficient % P for coefficient in sums])


def _euclid(above: Polynomial, below: Polynomial, bound: int) -> tuple[Polynomial, Polynomial]:
    """Return (r, v), the first remainder of degree < bound / 2 and its cofactor of `below`."""
    cofactor, following = Polynomial(), [1]
    while 2 * (len(below) - 1) >= bound:
        quotient, rest = _divide(above, below)
        above, below = below, rest
        cofactor, following = following, _minus_product(cofactor, quotient, following)
    return below, following


def _divide(above: Polynomial, below: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Return quotient and remainder; `below` is not 0."""
    rest = list(above)
    degree = len(below) - 1
    inverse = pow(below[-1], -1, P)
    quotient = [0] * max(0, len(rest) - degree)
    for place in range(len(quotient) - 1, -1, -1):
        factor = quotient[place] = rest[place + degree] * inverse % P
        for i in range(degree):
            rest[place + i] = (rest[place + i] - factor * below[i]) % P
    return quotient, _trimmed(rest[:degree])


def _minus_product(minuend: Polynomial, one: Polynomial, other: Polynomial) -> Polynomial:
    """Return minuend - one * other."""
    result = minuend + [0] * max(0, len(one) + len(other) - 1 - len(minuend))
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            result[i + j] = (result[i + j] - a * b) % P
    return _trimmed(result)


def _trimmed(coefficients: Polynomial) -> Polynomial:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return coefficients
