"""Noise in a round: section 16, test 75, the sum's error, and what rounding may not exceed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dreamshare_crypto.encoding import (
    SLACK,
    FieldParams,
    Params,
    RangeError,
    decode_sum,
    encode_vector,
)
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.graph import Claims, Derived, derive_parameters
from dreamshare_crypto.noise import (
    TAIL_BITS,
    add_noise,
    device_variance,
    noise_fault,
    sensitivity,
    with_noise,
)
from dreamshare_crypto.prg import Stream
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.skellam import tail_bits
from dreamshare_crypto.suite import Suite

CLAIMS = Claims(
    profile=1,
    mode=1,
    gamma_ppm=50_000,
    delta_ppm=100_000,
    sigma=64,
    eta=20,
    a_min_ppm=0,
    d_ppm=0,
    least_cohort=3,
)


def quiet(*fields: tuple[int, int, float], n_max: int = 20) -> Params:
    return Params(
        mode=1,
        fields=tuple(FieldParams.create(d, q, c, n_max) for d, q, c in fields),
        n_max=n_max,
        a_min=0,
        u_min=0,
        d=0,
        l2_clip=0.0,
        weight_cap=1.0,
        noise_variance=0.0,
        noise_scale=0.0,
        tail=0,
        round_nonce=bytes(16),
    )


def derived(n: int) -> Derived:
    return derive_parameters(n, CLAIMS)


def stream(i: int) -> Stream:
    return Stream(Secret(i.to_bytes(32, "little"), "noise key"), Suite.AES)


@pytest.mark.parametrize("n", [3, 4, 10, 20])
def test_75_variance_over_the_least_honest_crowd(n: int) -> None:
    """E - a devices, each with mu / (E - a), have mu; more devices have more."""
    params = with_noise(quiet((100, 12, 1.0)), 1.0, 2.0, 3)
    d = derived(n)
    honest = d.u_min - d.a
    assert d.crowd == d.u_min
    assert honest * device_variance(params, d) == pytest.approx(params.noise_variance)
    assert params.noise_variance == pytest.approx((2.0 * sensitivity(params).l2) ** 2)


def test_75_tail_mass() -> None:
    """A whole round of n_max devices is cut anywhere with a probability of at most 2^-64."""
    params = with_noise(quiet((1000, 12, 1.0), (24, 12, 3.0)), 2.0, 1.5, 4)
    bits = tail_bits(params.noise_variance / 4, params.tail)
    assert bits >= TAIL_BITS + math.log2(20 * 1024)
    assert bits < TAIL_BITS + math.log2(20 * 1024) + 2  # and T is not larger than that


def test_75_lane_bound() -> None:
    """M = 2^q - 1 + 2T fits n_max times; the largest vectors with the largest noise decode."""
    params = with_noise(quiet((7, 10, 1.0), n_max=5), 2.0, 1.0, 2)
    (f,) = params.fields
    assert 5 * (f.levels + 2 * params.tail) < 2**f.lane_bits
    top = np.zeros(params.words, dtype=np.uint64)
    for at in range(7):
        lane = np.uint64((f.levels + 2 * params.tail) << (at % f.lanes * f.lane_bits))
        top[at // f.lanes] |= lane
    top[-1] = 2**16 - 1
    (values,), weight = decode_sum(params, 5 * top, 5)
    largest = 5 * (1 + 2 * params.tail / f.levels)
    assert values.tolist() == pytest.approx([largest] * 7)
    assert weight == 5.0
    top[0] += np.uint64(1)
    with pytest.raises(RangeError):
        decode_sum(params, 5 * top, 5)


def test_the_sum_has_the_true_mean_and_the_noise_of_its_devices() -> None:
    """12 devices of part p: error of a coordinate has mean 0 and variance 12 p (+ rounding 12/6).

    Derivation: a stochastic rounding of frac f has variance f(1-f), 1/6 in the mean; in values a
    level is 2C/(2^q-1).
    """
    dims, n = 4_000, 12
    params = with_noise(quiet((dims, 12, 0.5)), 3.0, 0.02, 5)
    rng = np.random.default_rng(1)
    part = device_variance(params, derived(n))
    total = np.zeros(params.words, dtype=np.uint64)
    truth = np.zeros(dims)
    for i in range(n):
        x = rng.normal(0, 0.01, dims)
        truth += x
        words = encode_vector(params, (x,), 1.0, stream(100 + i))
        add_noise(words, params, part, stream(i))
        total += words
    (values,), weight = decode_sum(params, total, n)
    error = (values - truth) / (2 * 0.5 / 4095)
    variance = n * (part + 1 / 6)
    assert weight == n
    assert abs(error.mean()) < 4 * math.sqrt(variance / dims)
    assert error.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / dims))


def test_noise_leaves_the_weight_and_the_lanes_alone() -> None:
    params = with_noise(quiet((10, 12, 1.0), (3, 12, 2.0)), 1.0, 1.0, 3)
    x = (np.zeros(10), np.zeros(3))
    words = encode_vector(params, x, 1.0, stream(1))
    before = words.copy()
    add_noise(words, params, 5.0, stream(2))
    assert words[-1] == before[-1]
    assert (words[:-1] != before[:-1]).all()
    decode_sum(params, words, 1)  # within range, padding lanes 0


@pytest.mark.parametrize("scale", [0.0, 0.003, 1.0, 50.0])
@pytest.mark.parametrize("seed", range(3))
def test_rounding_stays_within_the_sensitivity(scale: float, seed: int) -> None:
    """12.6: whatever a device holds, what it adds lies within l2 of the levels of nothing at all.

    Nothing: every coordinate on the level below 0, which is (2^q - 2) / 2.
    """
    dims = 500
    params = with_noise(quiet((dims, 12, 1.0)), 1.0, 1.0, 3)
    x = np.random.default_rng(seed).normal(0, scale, dims)
    words = encode_vector(params, (x,), 1.0, stream(seed))
    (f,) = params.fields
    lanes = [
        (int(words[i // f.lanes]) >> (i % f.lanes * f.lane_bits)) % 2**f.lane_bits
        for i in range(dims)
    ]
    moved = np.array(lanes) - (f.levels - 1) // 2
    charge = sensitivity(params)
    assert math.sqrt(float((moved**2).sum())) <= charge.l2
    assert float(np.abs(moved).sum()) <= charge.l1
    assert charge.l2 == 2047.5 * SLACK + math.sqrt(500) / 2
    assert charge.l1 == pytest.approx(math.sqrt(500) * charge.l2)


def test_one_coordinate_is_bounded_by_its_square() -> None:
    """Levels are whole, so |k| <= k^2: at l2 below sqrt(dims) that is the smaller bound."""
    params = with_noise(quiet((100, 8, 1.0)), 0.02, 50.0, 3)
    charge = sensitivity(params)
    assert charge.l2 == pytest.approx(0.02 * SLACK * 127.5 + 5)
    assert charge.l1 == pytest.approx(min(10 * charge.l2, charge.l2**2))


def test_weights_are_not_hidden_by_noise() -> None:
    params = with_noise(quiet((10, 12, 1.0)), 1.0, 1.0, 3)
    with pytest.raises(ParameterError, match="weight W"):
        encode_vector(params, (np.zeros(10),), 0.5, stream(1))


def test_a_smaller_crowd_than_assumed_is_a_fault() -> None:
    """Noise for crowds of 10 has tails too short for the parts of a crowd of 2."""
    params = with_noise(quiet((100, 12, 1.0)), 1.0, 3.0, 10)
    assert noise_fault(params, derived(20)) == ""  # E - a = 11 - 1
    assert "honest crowd of 2" in noise_fault(params, derived(4))
    assert noise_fault(quiet((100, 12, 1.0)), derived(4)) == ""


def test_noise_that_cannot_be_made() -> None:
    with pytest.raises(ParameterError, match="one q|same bits"):
        with_noise(quiet((10, 12, 1.0), (10, 16, 1.0)), 1.0, 1.0, 3)
    with pytest.raises(ParameterError, match="use other bits"):
        with_noise(quiet((10, 20, 1.0)), 3.0, 1e4, 3)
    for change in ((0.0, 1.0, 3), (1.0, 0.0, 3), (1.0, 1.0, 0)):
        with pytest.raises(ParameterError, match="above 0"):
            with_noise(quiet((10, 12, 1.0)), *change)
    with pytest.raises(ParameterError, match="no noise"):
        add_noise(np.zeros(5, dtype=np.uint64), quiet((10, 12, 1.0)), 1.0, stream(1))


def test_parameters_with_noise_travel() -> None:
    params = with_noise(quiet((10, 12, 1.0)), 1.0, 1.0, 3)
    assert Params.decode(params.encode()) == params
    assert dataclasses.replace(params, round_nonce=bytes(range(16))) != params


@pytest.mark.parametrize("variance", [1e-300, 2.0**-22, 2.0**50])
def test_a_variance_that_nobody_can_draw_is_a_fault(variance: float) -> None:
    """Offers come from the aggregator; a device says so before it makes a table (S5)."""
    params = with_noise(quiet((100, 12, 1.0)), 1.0, 2.0, 3)
    assert noise_fault(params, derived(20)) == ""
    strange = dataclasses.replace(params, noise_variance=variance)
    assert "cannot be drawn" in noise_fault(strange, derived(20))
