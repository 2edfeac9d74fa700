"""Skellam noise against its exact distribution; all entropy is fixed, so nothing here is by chance.

The reference is a direct sum: Pr[z = k] = sum over j of Poisson(v/2)(k + j) Poisson(v/2)(j), in
floats, which shares nothing with the integer recurrence that the sampler uses.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.skellam import (
    MOST_VARIANCE,
    TABLE_VARIANCE,
    Skellam,
    cumulative,
    least_tail,
    tail_bits,
)
from dreamshare_crypto.suite import Suite


def pmf(variance: float, k: int) -> float:
    half = variance / 2
    reach = int(half + 20 * math.sqrt(half) + 40)
    logs = [
        (k + 2 * j) * math.log(half) - math.lgamma(j + k + 1) - math.lgamma(j + 1)
        for j in range(max(0, -k), reach)
    ]
    return math.fsum(math.exp(x - variance) for x in logs)


def stream(number: int) -> Stream:
    return Stream(Secret(number.to_bytes(32, "little"), "noise key"), Suite.AES)


@pytest.mark.parametrize("variance", [0.01, 1.0, 7.3, 120.0])
def test_the_table_is_the_distribution(variance: float) -> None:
    rows = cumulative(variance)
    first = -(len(rows) // 2)
    for k in range(4 + int(5 * math.sqrt(variance))):
        mass = (rows[k - first] - rows[k - first - 1]) / 2**128
        assert mass == pytest.approx(pmf(variance, k), rel=1e-11)


@pytest.mark.parametrize("variance", [0.5, 44.0, 1e6])
def test_the_table_is_symmetric_and_complete(variance: float) -> None:
    rows = cumulative(variance)
    assert rows == sorted(rows)
    assert all(low + high == 2**128 for low, high in zip(rows, reversed(rows), strict=True))
    assert rows[0] <= 2  # what is left beyond the last row


@pytest.mark.parametrize("variance", [0.3, 2.0, 30.0])
def test_chi_square(variance: float) -> None:
    """Cells with 5 expected draws or more; the statistic stays below mean + 4 deviations."""
    count = 200_000
    draws = Skellam(variance).draw(count, 2**31, stream(1))
    reach = 10 + int(6 * math.sqrt(variance))
    cells = [(k, count * pmf(variance, k)) for k in range(-reach, reach + 1)]
    cells = [(k, expected) for k, expected in cells if expected >= 5]
    statistic = sum((int((draws == k).sum()) - e) ** 2 / e for k, e in cells)
    freedom = len(cells) - 1
    assert statistic < freedom + 4 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("variance", [1e4, 3e7, TABLE_VARIANCE * 2.5])
def test_moments_of_large_variances(variance: float) -> None:
    """Of N draws: mean 0 +- s/sqrt(N), variance v(1 +- sqrt(2/N)), kurtosis 3 + 1/v +- 5/sqrt(N).

    The last variance is drawn in three parts.
    """
    count = 100_000
    draws = Skellam(variance).draw(count, 2**31, stream(2)).astype(np.float64)
    assert abs(draws.mean()) < 4 * math.sqrt(variance / count)
    assert draws.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / count))
    fourth = float(np.mean((draws / math.sqrt(variance)) ** 4))
    assert fourth == pytest.approx(3 + 1 / variance, abs=4 * math.sqrt(96 / count))


def test_draws_are_a_function_of_the_key() -> None:
    skellam = Skellam(9.0)
    assert skellam.draw(50, 99, stream(3)).tolist() == skellam.draw(50, 99, stream(3)).tolist()
    assert skellam.draw(50, 99, stream(3)).tolist() != skellam.draw(50, 99, stream(4)).tolist()


def test_words_on_the_edge_of_a_row_are_told_apart_by_64_more_bits() -> None:
    """Row i starts at u = row i-1; the 64 bits that two rows share do not decide."""
    skellam, rows = Skellam(2.0), cumulative(2.0)
    middle = len(rows) // 2  # row of z = 0: Pr[z <= 0]
    edge = rows[middle]

    class Given(Stream):
        def take(self, n: int) -> bytes:
            return self.parts.pop(0)

        __slots__ = ("parts",)

    for low, z in (((edge & (2**64 - 1)) - 1, 0), (edge & (2**64 - 1), 1)):
        given = Given(Secret(bytes(32), "noise key"), Suite.AES)
        given.parts = [(edge >> 64).to_bytes(8, "little"), low.to_bytes(8, "little")]
        assert skellam.draw(1, 99, given).tolist() == [z]


@pytest.mark.parametrize("variance", [0.2, 5.0, 400.0])
def test_tail_bound_holds(variance: float) -> None:
    """2^-tail_bits is above the exact mass, and not by more than a factor of 40."""
    for tail in (2, 5, int(3 * math.sqrt(variance)), int(5 * math.sqrt(variance) + 3)):
        exact = 2 * math.fsum(pmf(variance, k) for k in range(tail + 1, tail + 200))
        bound = 2.0 ** -tail_bits(variance, tail)
        assert exact <= bound
        assert tail <= math.sqrt(variance) or bound < 40 * exact


def test_least_tail_is_the_least() -> None:
    for variance in (0.01, 3.0, 1e5):
        tail = least_tail(variance, 64.0)
        assert tail_bits(variance, tail) >= 64.0 > tail_bits(variance, tail - 1)


def test_draws_stay_within_the_tail() -> None:
    draws = Skellam(100.0).draw(20_000, 12, stream(5))
    assert (int(draws.min()), int(draws.max())) == (-12, 12)


@pytest.mark.parametrize("variance", [0.0, -1.0, 2.0**-21, MOST_VARIANCE * 1.01, math.inf])
def test_variances_that_cannot_be_drawn(variance: float) -> None:
    with pytest.raises(ParameterError):
        Skellam(variance)
