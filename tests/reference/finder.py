"""The numbers of section 4, exact: integers and fractions, never a float.

Shares of a roster are counted in millionths (the offer's *_ppm), so that floor and ceil of
`gamma*n` are integer divisions and every reader of an offer gets the same result.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb

from tests.reference.values import u32

MILLION = 10**6
PROFILE_C, PROFILE_K = 1, 2


@dataclass(frozen=True, slots=True)
class Claims:
    """What an offer says about the cohort; `bounded` is its mode."""

    gamma_ppm: int
    delta_ppm: int
    sigma: int
    eta: int
    A_min_ppm: int
    least_cohort: int
    d_ppm: int = 0
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class Derived:
    """a, t, k, q, K, m, A_min go into sid (4.1); the others do not."""

    a: int
    t: int
    k: int
    q: int
    K: int
    m: int
    A_min: int
    u_min: int
    d: int

    def encoded(self) -> bytes:
        values = (self.a, self.t, self.k, self.q, self.K, self.m, self.A_min)
        return b"".join(u32(v) for v in values)


def share_floor(ppm: int, n: int) -> int:
    return ppm * n // MILLION


def share_ceil(ppm: int, n: int) -> int:
    return -(-ppm * n // MILLION)


@lru_cache(maxsize=100_000)
def hyp(n: int, marked: int, drawn: int, u: int) -> Fraction:
    """Pr[Hyp(n, marked, drawn) = u]: u marked among `drawn` places of n."""
    if u < 0 or u > drawn or u > marked or drawn - u > n - marked:
        return Fraction(0)
    return Fraction(comb(marked, u) * comb(n - marked, drawn - u), comb(n, drawn))


def least_tail(n: int, marked: int, drawn: int, bound: Fraction) -> int:
    """The least value with Pr[Hyp > value] <= bound."""
    value, tail = drawn, Fraction(0)
    while value > 0 and tail + hyp(n, marked, drawn, value) <= bound:
        tail += hyp(n, marked, drawn, value)
        value -= 1
    return value


def greatest_head(n: int, marked: int, drawn: int, bound: Fraction) -> int:
    """The largest value with Pr[Hyp < value] <= bound."""
    value, head = 0, Fraction(0)
    while value < drawn and head + hyp(n, marked, drawn, value) <= bound:
        head += hyp(n, marked, drawn, value)
        value += 1
    return value


def cut(n: int, A: int, h: int, x: int) -> Fraction:
    """Condition (iv) of 4.6, its left side."""
    total = Fraction(0)
    for u in range(x, h + 1):
        first = hyp(n, A, h, u)
        second = sum((hyp(n - h, A - u, h, v) for v in range(x, h + 1)), Fraction(0))
        total += first * second
    return Fraction(n * n, 2) * total


def neighbours_and_threshold(
    n: int, gamma_ppm: int, delta_ppm: int, sigma: int, eta: int, *, with_cut: bool = True
) -> tuple[int, int] | None:
    """(k, t) of 4.6, or None where no even k does. `with_cut` False: 4.7's first rows."""
    A = share_floor(gamma_ppm, n)
    B = A + share_floor(delta_ppm, n)
    S = share_ceil(MILLION - delta_ppm, n)
    half = Fraction(1, 2 ** (sigma + 1))
    for k in range(2, n, 2):
        if k <= B:
            alone = Fraction(n * (n - k - 1), 2) * Fraction(comb(B, k), comb(n, k))
            # B!(n-k)!/(n!(B-k)!) = C(B,k)/C(n,k).
            if alone >= half:
                continue
        t1 = least_tail(n, A, k, half / n)
        t2 = greatest_head(n, S, k, Fraction(1, 2**eta * n))
        # t >= ceil((t1 + k - 1.25)/2) + 1, in quarters.
        least = -(-(4 * t1 + 4 * k - 5) // 8) + 1
        for t in range(least, t2 + 1):
            h = k // 2
            if not with_cut or (t > h and cut(n, A, h, t - h) <= half):
                return k, t
    return None


def committee(n: int, gamma_ppm: int, delta_ppm: int, sigma: int, eta: int) -> tuple[int, int]:
    """(K, q) of 4.8."""
    A = share_floor(gamma_ppm, n)
    S = share_ceil(MILLION - delta_ppm, n)
    for K in range(1, n + 1):
        t_w = least_tail(n, A, K, Fraction(1, 2 ** (sigma + 1)))
        q = (K + t_w) // 2 + 1
        if sum((hyp(n, S, K, u) for u in range(q)), Fraction(0)) <= Fraction(1, 2**eta):
            return K, q
    raise ValueError("no committee exists")


def seeders(gamma_ppm: int) -> int:
    """m = ceil(100 / log2(1/gamma)): the least m with gamma^m <= 2^-100 (4.9)."""
    gamma, m = Fraction(gamma_ppm, MILLION), 1
    while gamma**m > Fraction(1, 2**100):
        m += 1
    return m


def derive(n: int, profile: int, claims: Claims) -> Derived:
    """4.1 to 4.10."""
    if profile == PROFILE_K:
        a = share_floor(claims.gamma_ppm, n)
        found = neighbours_and_threshold(
            n, claims.gamma_ppm, claims.delta_ppm, claims.sigma, claims.eta
        )
        if found is None:
            raise ValueError("no graph exists for these claims")
        k, t = found
        K, q = committee(n, claims.gamma_ppm, claims.delta_ppm, claims.sigma, claims.eta)
        m = seeders(claims.gamma_ppm)
        left = MILLION - claims.delta_ppm
        A_min = max(q, share_ceil(claims.A_min_ppm, n))
        u_min = max(claims.least_cohort, a + 2, share_ceil(left, A_min))
        return Derived(a, t, k, q, K, m, A_min, u_min, 0)
    a = 0 if n == 3 else max(1, share_ceil(claims.gamma_ppm, n))
    t = q = (n + a) // 2 + 1
    A_min = min(n, max(q, share_ceil(claims.A_min_ppm, n)))
    if n == 3:
        A_min = 3
    if claims.bounded:
        d = share_floor(claims.d_ppm, n)
        return Derived(a, t, 0, q, n, 0, A_min, A_min - d, d)
    u_min = 3 if n == 3 else max(q, claims.least_cohort, a + 2)
    return Derived(a, t, 0, q, n, 0, A_min, u_min, 0)
