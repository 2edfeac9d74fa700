"""Noise that hides one example: what it costs, and what a device insists on."""

from __future__ import annotations

import math

import pytest

from dreamshare.errors import ConfigError
from dreamshare.privacy import ExampleNoise
from dreamshare.privacy.examples import (
    WHOLE,
    example_charge,
    example_fault,
    least_deviation,
    noise_wanted,
    settle_examples,
)
from dreamshare_crypto.accounting import epsilon
from dreamshare_crypto.noise import charge_of

ASKED = ExampleNoise(1 / 2048, 8.0, 1e-5)


@pytest.mark.parametrize("wanted", [2.0, 8.0])
@pytest.mark.parametrize("sums", [1, 3])
def test_the_deviation_is_the_least_that_keeps_epsilon(wanted: float, sums: int) -> None:
    asked = ExampleNoise(1 / 2048, wanted, 1e-5)
    found = least_deviation(asked, 20_000, sums)
    spent = [
        epsilon([example_charge(asked, 20_000, d)] * sums, 1e-5) for d in (found, 0.99 * found)
    ]
    assert spent[0] <= wanted < spent[1]
    assert spent[0] == pytest.approx(wanted, rel=1e-3)


def test_the_tasks_noise_is_what_a_device_asks_for() -> None:
    dims, scale = 20_000, (2**20 - 1) / 2
    noise = settle_examples(ASKED, (dims,), 1, 2)
    assert (noise.clip, noise.bits, noise.crowd) == (WHOLE, 20, 2)
    made = math.sqrt(charge_of(dims, noise.clip, scale, noise.multiplier).variance) / scale
    assert example_fault(ASKED, dims, 1, made) == ""
    assert made == pytest.approx(noise_wanted(ASKED, dims, 1), rel=1e-5)
    stricter = ExampleNoise(ASKED.reach, 2.0, ASKED.delta)
    assert "promises epsilon 2 for each example" in example_fault(stricter, dims, 1, made)
    assert "has 0" in example_fault(ASKED, dims, 1, 0.0)


def test_hiding_a_device_takes_far_more_noise_than_hiding_an_example() -> None:
    dims, scale = 20_000, (2**20 - 1) / 2
    multiplier = settle_examples(ASKED, (dims,), 1, 2).multiplier
    assert epsilon([charge_of(dims, WHOLE, scale, multiplier)], 1e-5) > 1e5


def test_what_promises_nothing_is_refused() -> None:
    for reach, eps, delta, bits in (
        (0.0, 8.0, 1e-5, 20),
        (1.5, 8.0, 1e-5, 20),
        (0.1, 0.0, 1e-5, 20),
        (0.1, math.inf, 1e-5, 20),
        (0.1, 8.0, 0.0, 20),
        (0.1, 8.0, 1e-5, 21),
    ):
        with pytest.raises(ConfigError, match="privacy of examples"):
            ExampleNoise(reach, eps, delta, bits)
    with pytest.raises(ConfigError, match="no noise keeps"):
        least_deviation(ExampleNoise(0.1, 1e-9, 1e-5), 10, 1)
