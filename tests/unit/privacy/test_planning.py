"""How much noise a task takes, against figures that dp-accounting gave (its Gaussian RDP)."""

from __future__ import annotations

import math
import sys
from importlib import import_module

import pytest

from dreamshare.errors import ConfigError
from dreamshare.privacy import Crowd, Noise, Privacy, least_multiplier, plan_noise
from dreamshare.privacy.library import library_epsilon
from dreamshare.privacy.planning import settle
from dreamshare_crypto.accounting import Charge, epsilon


def test_the_multiplier_is_the_least() -> None:
    privacy = Privacy(clip=1.0, epsilon=8.0, delta=1e-5)
    found = least_multiplier(privacy, (2560,), 500)
    assert plan(found, 500).epsilon <= 8.0 < plan(found * 0.999, 500).epsilon


def plan(multiplier: float, sums: int):
    privacy = Privacy(clip=1.0, multiplier=multiplier, delta=1e-5)
    return plan_noise(2560, sums, Crowd(100, 100), privacy)


@pytest.mark.parametrize(
    ("dims", "sums", "honest", "ratio"),
    [
        (786_432, 500, 100, 126),
        (786_432, 500, 1_000, 12.6),
        (786_432, 500, 10_000, 1.26),
        (2_560, 500, 100, 7.2),
        (2_560, 1, 100, 0.32),
    ],
)
def test_reality_check(dims: int, sums: int, honest: int, ratio: float) -> None:
    """Noise over the loudest sum, z sqrt(d) / n, at epsilon 8 and delta 1e-5.

    The ratios were found with dp-accounting for Gaussian noise: z = 14.3 for 500 rounds and 0.64
    for one. Ours are up to 12 % larger: the slack 1 + 1/64, half a level a coordinate, a quarter of
    delta for tails, and Skellam's correction, which weighs most where z is small.
    """
    privacy = Privacy(clip=1.0, epsilon=8.0, delta=1e-5)
    found = plan_noise(dims, sums, Crowd(honest, honest), privacy)
    assert ratio * 0.995 < found.noise_to_signal < ratio * 1.12
    assert found.epsilon <= 8.0


def test_the_library_agrees() -> None:
    import_module("dp_accounting")
    charges = [Charge(1e6, 100.0, 900.0)] * 30 + [Charge(4e4, 10.0, 50.0)] * 5
    assert epsilon(charges, 1e-6) == pytest.approx(library_epsilon(charges, 0.75e-6))


def test_without_the_library_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting.rdp", None)
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[dp\]'"):
        library_epsilon([Charge(1.0, 1.0, 1.0)], 1e-6)


def test_the_step_that_needs_most_decides() -> None:
    privacy = Privacy(clip=0.02, epsilon=2.0, bits=8)
    alone = [least_multiplier(privacy, (dims,), 3) for dims in (3, 500)]
    assert settle(privacy, (3, 500), 3, 7) == Noise(0.02, max(alone), 1e-6, 8, 7)
    assert settle(Privacy(1.0, multiplier=2.5), (3,), 1, 7).multiplier == 2.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"clip": 0.0},
        {"clip": math.inf},
        {"epsilon": 0.0},
        {"multiplier": 1.0},
        {"epsilon": -1.0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"bits": 7},
        {"bits": 21},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    asked = {"clip": 1.0, "epsilon": 8.0, **wrong}
    with pytest.raises(ConfigError, match="privacy"):
        Privacy(**asked)


def test_no_noise_is_enough() -> None:
    with pytest.raises(ConfigError, match="fewer sums"):
        least_multiplier(Privacy(1.0, epsilon=1e-6, delta=1e-9), (10,), 1000)
    with pytest.raises(ConfigError, match="noise: each device"):
        plan_noise(10, 1, Crowd(3, 3), Privacy(1000.0, multiplier=1000.0, bits=20))
    with pytest.raises(ConfigError, match="crowd"):
        Crowd(3, 4)
