"""The decoder of wrong shares: every pattern within its radius, and what happens just beyond."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.decoding import Decoded, NotDecodable, decode, radius
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.shamir import P, coefficient_bytes, encode_element, split


def share_out(secret: int, t: int, xs: tuple[int, ...], seed: bytes = b"polynomial") -> list[bytes]:
    return list(split(secret, t, xs, SeededEntropy(seed).draw(coefficient_bytes(t))))


def spoil(shares: list[bytes], places: tuple[int, ...]) -> list[bytes]:
    """Add place + 1 to the shares at these places."""
    return [
        encode_element((int.from_bytes(s, "little") + i + 1) % P) if i in places else s
        for i, s in enumerate(shares)
    ]


@pytest.mark.parametrize(("m", "t", "errors"), [(10, 6, 2), (9, 6, 1), (7, 6, 0), (6, 6, 0)])
def test_radius(m: int, t: int, errors: int) -> None:
    """floor((m - t) / 2): (10 - 6) / 2 = 2, 3 / 2 -> 1, 1 / 2 -> 0, 0."""
    assert radius(m, t) == errors


def test_radius_of_too_few_answers_is_none() -> None:
    assert radius(3, 6) == 0


@pytest.mark.parametrize("errors", range(4))
def test_every_pattern_within_the_radius(errors: int) -> None:
    """m = 9, t = 3: radius 3, so all 1 + 9 + 36 + 84 patterns of up to three wrong answers."""
    xs = tuple(range(1, 10))
    shares = share_out(12345, 3, xs)
    for wrong in combinations(range(9), errors):
        assert decode(3, xs, spoil(shares, wrong)) == Decoded(12345, wrong)


def test_every_pattern_just_beyond_the_radius() -> None:
    """m = 9, t = 3, four wrong: five answers are left on the polynomial, six would be needed.

    The four are on no line of their own with two others, so nothing else is found either.
    """
    xs = tuple(range(1, 10))
    shares = share_out(12345, 3, xs)
    for wrong in combinations(range(9), 4):
        with pytest.raises(NotDecodable, match="more than 3 of 9"):
            decode(3, xs, spoil(shares, wrong))


def test_beyond_the_radius_liars_can_choose_the_polynomial() -> None:
    """m = 7, t = 3, radius 2: three liars who agree with two honest answers carry five of seven.

    That is why what was decoded is checked, and why a mark takes t + a answers that agree.
    """
    xs = tuple(range(1, 8))
    true = share_out(1, 3, xs)
    # The same at x = 1 and x = 2: add c (x - 1)(x - 2), as liars can who know only their own x.
    other = [
        encode_element((int.from_bytes(s, "little") + 5 * (x - 1) * (x - 2)) % P)
        for x, s in zip(xs, true, strict=True)
    ]
    found = decode(3, xs, [*true[:4], *other[4:]])
    assert found == Decoded(1 + 5 * 2, (2, 3))  # the honest answers at 3 and 4 are the odd ones


@given(
    st.data(),
    st.integers(1, 20),
    st.integers(0, 8),
    st.integers(0, P - 1),
    st.lists(st.integers(1, 2**32 - 1), min_size=40, max_size=40, unique=True),
)
def test_any_errors_within_the_radius(
    data: st.DataObject, t: int, errors: int, secret: int, places: list[int]
) -> None:
    extra = data.draw(st.integers(0, 3))
    xs = tuple(places[: t + 2 * errors + extra])
    shares = share_out(secret, t, xs)
    wrong = data.draw(
        st.lists(st.integers(0, len(xs) - 1), max_size=errors, unique=True).map(sorted)
    )
    for place in wrong:
        honest = int.from_bytes(shares[place], "little")
        moved = data.draw(st.integers(1, P - 1))
        shares[place] = encode_element((honest + moved) % P)
    assert decode(t, xs, shares) == Decoded(secret, tuple(wrong))


@given(st.integers(2, 12), st.integers(0, 4), st.integers(1, 4), st.data())
def test_beyond_the_radius_never_more_than_it(
    t: int, errors: int, more: int, data: st.DataObject
) -> None:
    """Whatever comes out is off at most `radius` answers; the true one is then not found."""
    xs = tuple(range(1, t + 2 * errors + 2))
    shares = share_out(7, t, xs)
    beyond = min(radius(len(xs), t) + more, len(xs))
    wrong = data.draw(st.permutations(range(len(xs))))[:beyond]
    try:
        found = decode(t, xs, spoil(shares, tuple(wrong)))
    except NotDecodable:
        return
    assert len(found.wrong) <= radius(len(xs), t)
    assert found.wrong != tuple(sorted(wrong))


@pytest.mark.parametrize(("t", "m"), [(53, 100), (62, 90)])
def test_sizes_in_force(t: int, m: int) -> None:
    """n = 100 of profile C and k = 90 of profile K (4.4, 4.7), the radius full of errors."""
    xs = tuple(range(1, m + 1))
    wrong = tuple(range(0, m, 2))[: radius(m, t)]
    assert decode(t, xs, spoil(share_out(P - 1, t, xs), wrong)) == Decoded(P - 1, wrong)


@pytest.mark.parametrize("value", [0, 5])
def test_constant_polynomials(value: int) -> None:
    """t = 1: everybody holds the secret itself; 0 is the polynomial without coefficients."""
    shares = [encode_element(value)] * 5
    assert decode(1, (1, 2, 3, 4, 5), spoil(shares, (1, 4))) == Decoded(value, (1, 4))


def test_the_secret_is_not_printed() -> None:
    assert "12345" not in repr(Decoded(12345, (1,)))


def test_arguments_out_of_range() -> None:
    shares = share_out(1, 3, (1, 2, 3, 4, 5))
    with pytest.raises(ParameterError, match="threshold 3"):
        decode(3, (1, 2), shares[:2])
    with pytest.raises(ParameterError, match="threshold 3"):
        decode(3, (1, 2, 3, 4), shares[:3])
    with pytest.raises(ParameterError, match="distinct"):
        decode(3, (1, 2, 3, 3, 5), shares)
    with pytest.raises(MalformedError, match="not below"):
        decode(3, (1, 2, 3, 4, 5), [*shares[:4], P.to_bytes(32, "little")])
