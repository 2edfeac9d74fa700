"""Sharing: any t shares give the secret, t - 1 give nothing, elements are canonical."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.shamir import (
    Interpolator,
    P,
    coefficient_bytes,
    decode_element,
    encode_element,
    lagrange_at_zero,
    reduce_wide,
    split,
)


def share(secret: int, t: int, n: int, seed: bytes = b"deal") -> tuple[bytes, ...]:
    return split(secret, t, range(1, n + 1), SeededEntropy(seed).draw(coefficient_bytes(t)))


@given(st.data())
def test_any_t_shares_give_the_secret(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 20))
    t = data.draw(st.integers(1, n))
    secret = data.draw(st.integers(0, P - 1))
    shares = share(secret, t, n, data.draw(st.binary(max_size=4)))
    chosen = data.draw(st.permutations(range(n)))[:t]
    assert Interpolator(t).combine([i + 1 for i in chosen], [shares[i] for i in chosen]) == secret


@pytest.mark.parametrize(("t", "n"), [(2, 3), (53, 100), (67, 128), (17, 17), (16, 20), (33, 40)])
def test_shares_are_values_of_the_polynomial(t: int, n: int) -> None:
    """Against the sum of c_i x^i, written down; sizes around the lazy reduction's block of 16."""
    stream = SeededEntropy(b"p").draw(coefficient_bytes(t))
    rest = [int.from_bytes(stream[64 * i : 64 * i + 64], "little") % P for i in range(t - 1)]
    coefficients = [12345, *rest]
    for x, raw in zip(range(1, n + 1), split(12345, t, range(1, n + 1), stream), strict=True):
        value = sum(c * pow(x, i, P) for i, c in enumerate(coefficients)) % P
        assert raw == value.to_bytes(32, "little")


def test_large_x_coordinates() -> None:
    xs = (2**32 - 1, 2**32 - 2, 7)
    shares = split(P - 1, 3, xs, SeededEntropy(b"x").draw(128))
    assert Interpolator(3).combine(xs, shares) == P - 1


def test_fewer_shares_fit_every_secret() -> None:
    """t - 1 shares: for each candidate secret one polynomial passes through them and it."""
    shares = share(42, 3, 5)
    for candidate in (0, 41, 42, P - 1):
        known = (0, *(1, 2))
        values = (candidate, *(decode_element(s) for s in shares[:2]))
        # The share at x = 3 that this candidate would imply, by interpolation at 0 shifted by 3:
        shifted = [x - 3 for x in known]
        implied = 0
        for i, value in enumerate(values):
            term = value
            for j in range(3):
                if j != i:
                    term = term * shifted[j] * pow(shifted[j] - shifted[i], -1, P) % P
            implied = (implied + term) % P
        again = Interpolator(3).combine((1, 2, 3), [*shares[:2], encode_element(implied)])
        assert again == candidate


def test_a_wrong_share_gives_another_value() -> None:
    shares = list(share(42, 3, 5))
    shares[0] = encode_element(decode_element(shares[0]) ^ 1)
    assert Interpolator(3).combine((1, 2, 3), shares[:3]) != 42
    assert Interpolator(3).combine((2, 3, 4), shares[1:4]) == 42


def test_one_interpolator_serves_many_secrets_and_answer_sets() -> None:
    interpolator = Interpolator(3)
    for secret in range(5):
        shares = share(secret, 3, 6, bytes([secret]))
        for xs in ((1, 2, 3), (2, 4, 6), (6, 4, 2)):
            assert interpolator.combine(xs, [shares[x - 1] for x in xs]) == secret


def test_coefficients_of_small_sets() -> None:
    """f(0) from f(1), f(2) of a line is 2 f(1) - f(2); three points give 3, -3, 1."""
    assert lagrange_at_zero((1,)) == (1,)
    assert lagrange_at_zero((1, 2)) == (2, P - 1)
    assert lagrange_at_zero((1, 2, 3)) == (3, P - 3, 1)


@pytest.mark.parametrize("xs", [(), (0, 1), (1, 1), (-1, 2), (1, 2**32)])
def test_bad_x_coordinates(xs: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError):
        lagrange_at_zero(xs)
    with pytest.raises(ParameterError):
        split(1, 1, xs, b"")


def test_bad_arguments() -> None:
    with pytest.raises(ParameterError):
        split(P, 2, (1, 2), bytes(64))
    with pytest.raises(ParameterError):
        split(-1, 2, (1, 2), bytes(64))
    with pytest.raises(ParameterError):
        split(1, 3, (1, 2), bytes(128))
    with pytest.raises(ParameterError):
        split(1, 0, (1, 2), b"")
    with pytest.raises(ParameterError):
        split(1, 2, (1, 2), bytes(63))
    with pytest.raises(ParameterError):
        Interpolator(0)
    with pytest.raises(ParameterError):
        Interpolator(2).combine((1, 2, 3), [bytes(32)] * 3)
    with pytest.raises(ParameterError):
        Interpolator(2).combine((1, 2), [bytes(32)])


@pytest.mark.parametrize("raw", [P.to_bytes(32, "little"), b"\xff" * 32, bytes(31), bytes(33)])
def test_elements_are_canonical(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_element(raw)
    with pytest.raises(MalformedError):
        Interpolator(2).combine((1, 2), [bytes(32), raw])


def test_elements_round_trip_and_reduce() -> None:
    for value in (0, 1, P - 1):
        assert decode_element(encode_element(value)) == value
    for value in (-1, P):
        with pytest.raises(ParameterError):
            encode_element(value)
    assert reduce_wide(P.to_bytes(64, "little")) == 0
    assert reduce_wide(b"\xff" * 64) == (2**512 - 1) % P
    with pytest.raises(ParameterError):
        reduce_wide(bytes(32))
