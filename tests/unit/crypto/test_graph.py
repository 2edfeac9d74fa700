"""Parameters of profile C: the rows of docs/protocol.md 4.4 and the refusals around them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.errors import ParameterError, RefusalCode, Refused
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import Claims, Derived, Mode, Profile, derive_parameters


def derive(
    n: int, gamma_ppm: int = 50_000, a_min_ppm: int = 1_000_000, least_cohort: int = 3
) -> Derived:
    return derive_parameters(n, claims(gamma_ppm, a_min_ppm, least_cohort))


def claims(
    gamma_ppm: int, a_min_ppm: int, least_cohort: int, sigma: int = 64, eta: int = 20
) -> Claims:
    return Claims(
        profile=Profile.COMPLETE,
        mode=Mode.AGREED,
        gamma_ppm=gamma_ppm,
        delta_ppm=100_000,
        sigma=sigma,
        eta=eta,
        a_min_ppm=a_min_ppm,
        d_ppm=0,
        least_cohort=least_cohort,
    )


ROWS = [  # 4.4: n, a, t = q, dropouts survived at u_min = max(3, q)
    (3, 0, 2, 0),
    (4, 1, 3, 1),
    (5, 1, 4, 1),
    (10, 1, 6, 4),
    (100, 5, 53, 47),
]


@pytest.mark.parametrize(("n", "a", "t", "dropouts"), ROWS)
def test_rows(n: int, a: int, t: int, dropouts: int) -> None:
    derived = derive(n)
    assert (derived.a, derived.t, derived.q) == (a, t, t)
    assert derived.u_min == max(3, t)
    assert n - derived.u_min == dropouts


def test_three_devices_tolerate_no_dropout() -> None:
    for ppm in (0, 500_000, 1_000_000):
        assert (derive(3, a_min_ppm=ppm).a_min, derive(3, a_min_ppm=ppm).u_min) == (3, 3)


def test_encoding_is_u32_a_t_k_q_committee_seeders_a_min() -> None:
    raw = derive(10, a_min_ppm=900_000).encode()
    values = [int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4)]
    assert values == [1, 6, 0, 6, 10, 0, 9]


BOUNDED_ROWS = [  # 4.5: n, A_min, d, E; a at gamma 5 %
    (10, 9, 1, 8),
    (30, 27, 3, 22),
    (50, 45, 5, 36),
    (100, 90, 10, 71),
]


def bounded(n: int, d_ppm: int, a_min_ppm: int = 900_000, least_cohort: int = 3) -> Derived:
    wanted = replace(claims(50_000, a_min_ppm, least_cohort), mode=Mode.BOUNDED, d_ppm=d_ppm)
    return derive_parameters(n, wanted)


@pytest.mark.parametrize(("n", "a_min", "d", "crowd"), BOUNDED_ROWS)
def test_bounded_rows(n: int, a_min: int, d: int, crowd: int) -> None:
    derived = bounded(n, 100_000)
    assert (derived.a_min, derived.d, derived.crowd) == (a_min, d, crowd)
    assert derived.u_min == a_min - d
    assert derived.crowd == a_min - (n - derived.a) * d // (derived.t - derived.a)


def test_bounded_row_of_fifty_has_three_colluders() -> None:
    derived = bounded(50, 100_000)
    assert (derived.a, derived.t) == (3, 27)


@pytest.mark.parametrize(("n", "crowd"), [(10, 3), (20, 3), (30, 6), (50, 5), (100, 7)])
def test_bounded_mode_with_every_dropout_is_refused_at_birth(n: int, crowd: int) -> None:
    """Test 21 of section 16: d = n - t and a cohort of 8 asked; the text names the figure."""
    t = derive(n).t
    d_ppm = -(-(n - t) * 1_000_000 // n)
    with pytest.raises(Refused, match=f"guarantee a crowd of {crowd}; 8 is asked") as caught:
        bounded(n, d_ppm, a_min_ppm=1_000_000, least_cohort=8)
    assert caught.value.code == RefusalCode.O1


@pytest.mark.parametrize(
    ("n", "d_ppm", "a_min_ppm", "text"),
    [
        (10, 99_999, 900_000, "let 0 drop out; 1 to 4 can"),
        (10, 500_000, 1_000_000, "let 5 drop out; 1 to 4 can"),
        (10, 200_000, 700_000, "7 active devices of which 2 drop out leave fewer than the 6"),
        (10, 1_000_001, 900_000, "fraction"),
        (3, 333_334, 1_000_000, "guarantee a crowd of 2; 3 is asked"),  # 3 - floor(3 * 1 / 2)
    ],
)
def test_bounded_refusals(n: int, d_ppm: int, a_min_ppm: int, text: str) -> None:
    with pytest.raises(Refused, match=text) as caught:
        bounded(n, d_ppm, a_min_ppm)
    assert caught.value.code == RefusalCode.O1


@given(st.integers(3, 128), st.integers(0, 400_000), st.integers(0, 1_000_000))
def test_bounded_mode_never_promises_less_than_it_says(n: int, d_ppm: int, a_min_ppm: int) -> None:
    try:
        derived = bounded(n, d_ppm, a_min_ppm)
    except Refused:
        return
    assert 1 <= derived.d <= n - derived.t
    assert derived.u_min == derived.a_min - derived.d >= derived.t
    assert max(3, derived.a + 2) <= derived.crowd <= derived.u_min


@given(st.integers(3, 128), st.integers(0, 400_000), st.integers(0, 1_000_000))
def test_quorums_overlap_in_more_than_the_colluders(n: int, gamma: int, ppm: int) -> None:
    d = derive(n, gamma, ppm)
    assert 2 * d.t > n + d.a  # 4.3
    assert d.a >= (0 if n == 3 else max(1, gamma * n / 1_000_000))
    assert d.t == d.q <= d.u_min <= d.a_min <= n
    assert d.a_min * 1_000_000 >= ppm * n or n == 3
    assert d.u_min >= d.a + 2


@given(st.integers(10, 128), st.integers(0, 300_000), st.integers(0, 300_000))
def test_a_stricter_gamma_never_weakens(n: int, gamma: int, more: int) -> None:
    weak, strict = derive(n, gamma), derive(n, gamma + more)
    assert (strict.a, strict.t, strict.u_min) >= (weak.a, weak.t, weak.u_min)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"n": 2}, RefusalCode.R2),
        ({"n": 129}, RefusalCode.R2),
        ({"n": 4, "least_cohort": 5}, RefusalCode.R2),
        ({"n": 10, "least_cohort": 2}, RefusalCode.O1),
        ({"n": 10, "gamma_ppm": 1_000_000}, RefusalCode.O1),
        ({"n": 4, "gamma_ppm": 600_000}, RefusalCode.O1),  # a + 2 = 5 survivors of 4
        ({"n": 10, "gamma_ppm": -1}, RefusalCode.O1),
        ({"n": 10, "a_min_ppm": 1_000_001}, RefusalCode.O1),
        ({"n": 10, "a_min_ppm": 500_000, "least_cohort": 8}, RefusalCode.O1),  # u_min > A_min
    ],
)
def test_refusals(changes: dict[str, int], code: RefusalCode) -> None:
    with pytest.raises(Refused) as caught:
        derive(**changes)
    assert caught.value.code == code


@pytest.mark.parametrize("bits", [(0, 20), (64, 0)])
def test_security_of_no_bits_is_refused(bits: tuple[int, int]) -> None:
    with pytest.raises(Refused):
        derive_parameters(10, claims(50_000, 900_000, 3, *bits))


def test_floor_defaults_are_those_of_4_12() -> None:
    floor = Floor()
    assert (floor.least_cohort, floor.gamma_ppm, floor.sigma) == (3, 50_000, 64)
    assert (floor.modes, floor.profiles, floor.versions) == ((1,), (1,), (1,))
    assert floor.suites == (1, 2)
    assert (floor.min_bits, floor.max_bits, floor.max_rounds, floor.max_life_s) == (
        8,
        20,
        256,
        86_400,
    )
    assert (floor.draws, floor.memory_s, floor.memory_size) == (3, 30 * 86_400, 65_536)
    assert floor.monotone_active


@pytest.mark.parametrize(
    "change",
    [
        {"least_cohort": 2},
        {"gamma_ppm": 1_000_000},
        {"sigma": 0},
        {"modes": ()},
        {"modes": (1, 3)},
        {"profiles": ()},
        {"profiles": (1, 3)},
        {"suites": ()},
        {"suites": (1, 3)},
        {"versions": (2,)},
        {"min_bits": 7},
        {"max_bits": 21},
        {"min_bits": 16, "max_bits": 12},
        {"max_rounds": 257},
        {"max_life_s": 86_401},
        {"max_clip": 0.0},
        {"max_clip": float("inf")},
        {"max_clip": float("nan")},
        {"max_vector_words": 1},
        {"draws": 0},
        {"memory_s": -1},
        {"memory_size": 0},
        {"revocation_grace_s": -1},
    ],
)
def test_floors_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match="floor"):
        Floor(**change)  # type: ignore[arg-type]
