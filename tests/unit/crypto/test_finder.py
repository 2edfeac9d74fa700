"""Profile K's numbers: the rows of docs/protocol.md 4.7 to 4.9, and that the search skips nothing.

The rows were computed apart from this code (4.7: the first table is Google's own test table of the
conditions (i) to (iii)). The conditions are restated here over fractions, term by term.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare_crypto.errors import ParameterError, RefusalCode, Refused
from dreamshare_crypto.finder import (
    Committee,
    Degree,
    Expected,
    find_committee,
    find_degree,
    find_seeders,
)
from dreamshare_crypto.graph import Claims, Derived, Mode, Profile, derive_parameters


def expected(n: int, gamma: int, delta: int, sigma: int = 64, eta: int = 20) -> Expected:
    return Expected(n, Fraction(gamma, 100), Fraction(delta, 100), sigma, eta)


@pytest.mark.parametrize(
    ("n", "delta", "k", "t"),
    [
        (20, 10, 6, 4),
        (50, 10, 14, 9),
        (100, 10, 26, 16),
        (300, 10, 52, 34),
        (1000, 10, 78, 52),
        (3000, 10, 86, 57),
        (10_000, 10, 96, 64),
        (1000, 33, 398, 223),
    ],
)
def test_rows_without_the_adaptive_cut(n: int, delta: int, k: int, t: int) -> None:
    assert find_degree(expected(n, 5, delta, sigma=40), adaptive=False) == Degree(k, t)


@pytest.mark.parametrize(
    ("gamma", "delta", "n", "k", "t"),
    [
        (5, 10, 129, 30, 19),
        (5, 10, 200, 42, 27),
        (5, 10, 300, 52, 34),
        (5, 10, 500, 72, 49),
        (5, 10, 1000, 90, 62),
        (5, 10, 3000, 106, 73),
        (5, 10, 10_000, 116, 80),
        (5, 5, 129, 20, 14),
        (5, 5, 1000, 62, 46),
        (5, 5, 10_000, 80, 59),
        (10, 10, 129, 38, 26),
        (10, 10, 1000, 114, 82),
        (10, 10, 10_000, 150, 108),
    ],
)
def test_rows_in_force(gamma: int, delta: int, n: int, k: int, t: int) -> None:
    assert find_degree(expected(n, gamma, delta)) == Degree(k, t)


@pytest.mark.parametrize(
    ("n", "size", "quorum"),
    [
        (129, 25, 16),
        (200, 35, 23),
        (300, 46, 31),
        (500, 57, 40),
        (1000, 64, 45),
        (3000, 71, 50),
        (10_000, 74, 52),
    ],
)
def test_committee_rows(n: int, size: int, quorum: int) -> None:
    assert find_committee(expected(n, 5, 10)) == Committee(size, quorum)


@pytest.mark.parametrize(
    ("gamma", "m"), [(5, 24), (10, 31), (20, 44), (33, 63), (0, 1), (100, 200)]
)
def test_seeders(gamma: int, m: int) -> None:
    """ceil(100 / log2(1 / gamma)): the least m with gamma^m <= 2^-100."""
    assert find_seeders(expected(200, gamma, 10)) == m


# ---- against the conditions, term by term --------------------------------------------------------


@cache
def chance(n: int, marked: int, k: int, v: int) -> Fraction:
    """Return Pr[Hyp(n, marked, k) = v]."""
    if not 0 <= v <= min(marked, k) or k - v > n - marked:
        return Fraction(0)
    return Fraction(math.comb(marked, v) * math.comb(n - marked, k - v), math.comb(n, k))


def holds(x: Expected, k: int, t: int, *, adaptive: bool) -> bool:
    """Say whether (k, t) meets 4.6, as it is written there."""
    n, a, b, s = x.n, x.colluding, x.colluding + x.vanishing, x.staying
    half_sigma, eta = Fraction(1, 2 ** (x.sigma + 1)), Fraction(1, 2**x.eta)
    apart = Fraction(n * (n - k - 1), 2)
    if k <= b:
        f = math.factorial
        apart *= Fraction(f(b) * f(n - k), f(n) * f(b - k))
    t1 = next(v for v in range(k + 1) if sum_chances(n, a, k, v + 1, k) <= half_sigma / n)
    h, least = k // 2, t - k // 2
    cut = sum(
        chance(n, a, h, u) * sum_chances(n - h, a - u, h, least, h)
        for u in range(max(least, 0), min(a, h) + 1)
    ) * Fraction(n * n, 2)
    return (
        (k > b or apart < half_sigma)
        and t >= math.ceil((t1 + k - Fraction(5, 4)) / 2) + 1
        and sum_chances(n, s, k, 0, t - 1) <= eta / n
        and (not adaptive or (least > 0 and cut <= half_sigma))
    )


def sum_chances(n: int, marked: int, k: int, low: int, high: int) -> Fraction:
    return sum((chance(n, marked, k, v) for v in range(low, high + 1)), Fraction(0))


def first(x: Expected, *, adaptive: bool) -> Degree | None:
    """Try everything in order."""
    for k in range(2, x.n, 2):
        for t in range(1, k + 1):
            if holds(x, k, t, adaptive=adaptive):
                return Degree(k, t)
    return None


@settings(max_examples=25)
@given(
    n=st.integers(10, 40),
    gamma=st.integers(0, 25),
    delta=st.integers(0, 30),
    bits=st.sampled_from([(4, 2), (8, 4), (12, 6)]),
    adaptive=st.booleans(),
)
def test_the_search_skips_nothing(
    n: int, gamma: int, delta: int, bits: tuple[int, int], adaptive: bool
) -> None:
    x = expected(n, gamma, delta, *bits)
    wanted = first(x, adaptive=adaptive)
    if wanted is None:
        with pytest.raises(ParameterError):
            find_degree(x, adaptive=adaptive)
    else:
        assert find_degree(x, adaptive=adaptive) == wanted


@settings(max_examples=25)
@given(n=st.integers(10, 200), gamma=st.integers(0, 25), delta=st.integers(0, 30))
def test_no_smaller_committee(n: int, gamma: int, delta: int) -> None:
    x = expected(n, gamma, delta, 10, 6)
    a, s = x.colluding, x.staying

    def quorum_of(size: int) -> int | None:
        limit = Fraction(1, 2 ** (x.sigma + 1))
        most = next(v for v in range(size + 1) if sum_chances(n, a, size, v + 1, size) <= limit)
        quorum = (size + most) // 2 + 1
        few = sum_chances(n, s, size, 0, quorum - 1)
        return quorum if few <= Fraction(1, 2**x.eta) else None

    try:
        found = find_committee(x)
    except ParameterError:
        found = Committee(n + 1, 0)
    assert all(quorum_of(size) is None for size in range(1, min(found.size, 40)))
    if found.size <= n:
        assert quorum_of(found.size) == found.quorum


@pytest.mark.parametrize("n", [129, 200, 1000])
def test_monotone_in_gamma_and_delta(n: int) -> None:
    """73: more colluders or more dropouts never take fewer neighbours, witnesses or seeders."""
    degrees = {(g, d): find_degree(expected(n, g, d)).k for g in (0, 5, 10) for d in (5, 10, 15)}
    sizes = {(g, d): find_committee(expected(n, g, d)).size for g in (0, 5, 10) for d in (5, 10)}
    for found in (degrees, sizes):
        for (g, d), value in found.items():
            assert all(other >= value for (h, e), other in found.items() if h >= g and e >= d)
    counts = [find_seeders(expected(n, g, 10)) for g in range(0, 60, 5)]
    assert counts == sorted(counts)


@pytest.mark.parametrize(("gamma", "delta"), [(80, 10), (5, 60), (10, 48)])
def test_too_much_is_refused(gamma: int, delta: int) -> None:
    with pytest.raises(ParameterError, match="lower gamma or delta"):
        find_degree(expected(1000, gamma, delta))


def test_expectations_that_make_no_sense() -> None:
    for bad in ((2, 5, 5, 64, 20), (200, -1, 5, 64, 20), (200, 5, 101, 64, 20), (200, 5, 5, 0, 1)):
        with pytest.raises(ParameterError):
            expected(*bad)


# ---- what a roster gets --------------------------------------------------------------------------


def derive(n: int, **changes: int) -> Derived:
    claims = {
        "profile": Profile.REGULAR,
        "mode": Mode.AGREED,
        "gamma_ppm": 50_000,
        "delta_ppm": 100_000,
        "sigma": 64,
        "eta": 20,
        "a_min_ppm": 0,
        "d_ppm": 0,
        "least_cohort": 3,
    }
    return derive_parameters(n, Claims(**{**claims, **changes}))


def test_derived_of_a_thousand() -> None:
    """4.10: A_min = ceil(0.9 * 1000), u_min = ceil(0.9 * 900), a = 50."""
    derived = derive(1000)
    assert (derived.t, derived.k, derived.q, derived.committee) == (62, 90, 45, 64)
    assert (derived.a, derived.seeders, derived.a_min, derived.u_min) == (50, 24, 900, 810)
    assert (derived.d, derived.crowd) == (0, 810)
    assert 2 * derived.t > derived.k + derived.liars
    assert derive(1000, a_min_ppm=950_000).a_min == 950
    assert derive(1000, least_cohort=850).u_min == 850


def test_derived_of_129() -> None:
    """n - floor(12.9) = 117; ceil(0.9 * 117) = 106; floor(6.45) = 6."""
    derived = derive(129)
    assert (derived.a_min, derived.u_min, derived.a) == (117, 106, 6)


@pytest.mark.parametrize(
    ("n", "changes", "code"),
    [
        (128, {}, RefusalCode.R2),
        (10_001, {}, RefusalCode.R2),
        (200, {"sigma": 63}, RefusalCode.O1),
        (200, {"eta": 19}, RefusalCode.O1),
        (200, {"mode": Mode.BOUNDED}, RefusalCode.O1),
        (200, {"gamma_ppm": 900_000}, RefusalCode.O1),
        (200, {"least_cohort": 190}, RefusalCode.O1),  # u_min 190 > A_min 180
    ],
)
def test_refusals(n: int, changes: dict[str, int], code: RefusalCode) -> None:
    with pytest.raises(Refused) as caught:
        derive(n, **changes)
    assert caught.value.code == code


def test_no_committee_where_nearly_everybody_vanishes() -> None:
    with pytest.raises(ParameterError, match="no committee"):
        find_committee(expected(129, 5, 90))
