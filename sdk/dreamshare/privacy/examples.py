"""Noise that hides one example: how much, and whether a round has it (docs/privacy.md).

Rules:
- an algorithm bounds what one example does (`ExampleNoise.reach`) by clipping each on its own, and
  rounds what each adds to whole levels: then two answers that differ in one example differ, once
  rounded with the same dice, by just that example's levels;
- the device's whole answer is never scaled down (`WHOLE`): scaling would let one example move what
  all the others add;
- a device computes itself how much noise its examples need, and asks the signed parameters for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dreamshare.privacy.planning import least_enough
from dreamshare.privacy.wanted import ExampleNoise, Noise
from dreamshare_crypto.accounting import Charge, epsilon
from dreamshare_crypto.encoding import SLACK
from dreamshare_crypto.noise import charge_of

WHOLE = 1.0 + 1.0 / 16.0
"""Clip of a device's answer: a norm of 1 is all its examples at their reach, one way."""

_NEAR = 1e-6  # relative: what a device forgives in the arithmetic of another machine


def example_charge(asked: ExampleNoise, dims: int, deviation: float) -> Charge:
    """Return what a sum costs one example.

    Args:
        asked: by the algorithm.
        dims: coordinates of the answer.
        deviation: standard deviation of the noise under the sum, over what one example moves.
    """
    l2 = asked.reach * SLACK * _levels(asked)
    return Charge((deviation * l2) ** 2, l2, min(math.sqrt(dims) * l2, l2 * l2))


def least_deviation(asked: ExampleNoise, dims: int, sums: int) -> float:
    """Return the deviation that keeps `sums` equal sums within `asked.epsilon`.

    Raises:
        ConfigError: no deviation that is looked at does.
    """

    def spent(deviation: float) -> float:
        return epsilon([example_charge(asked, dims, deviation)] * sums, asked.delta)

    return least_enough(
        lambda deviation: spent(deviation) <= asked.epsilon,
        f"privacy of examples: no noise keeps {sums} sums within epsilon {asked.epsilon:g} at "
        f"delta {asked.delta:g}; ask for a larger epsilon",
    )


def noise_wanted(asked: ExampleNoise, dims: int, sums: int) -> float:
    """Return the standard deviation that a sum must have, in bounds; ConfigError as above."""
    charge = example_charge(asked, dims, least_deviation(asked, dims, sums))
    return math.sqrt(charge.variance) / _levels(asked)


def settle_examples(asked: ExampleNoise, dims: Iterable[int], sums: int, crowd: int) -> Noise:
    """Return the noise of a task with these steps; ConfigError as `least_deviation`.

    Args:
        asked: by the algorithm.
        dims: coordinates of each step; the one that needs most decides.
        sums: masked sums of the whole task, >= 1.
        crowd: least honest devices in any sum, >= 1.
    """
    scale = _levels(asked)
    multiplier = max(
        noise_wanted(asked, size, sums) * scale / charge_of(size, WHOLE, scale, 1.0).l2
        for size in dims
    )
    return Noise(WHOLE, multiplier * (1 + _NEAR), asked.delta, asked.bits, crowd)


def example_fault(asked: ExampleNoise, dims: int, sums: int, noise: float) -> str:
    """Return why a round hides no example as it was asked to; "" where it does.

    Args:
        asked: by the algorithm whose config the device was given.
        dims: coordinates of the answer.
        sums: masked sums of the whole task.
        noise: standard deviation under the sum, in bounds, as the signed parameters have it.
    """
    wanted = noise_wanted(asked, dims, sums)
    if noise >= wanted:
        return ""
    return (
        f"the config promises epsilon {asked.epsilon:g} for each example, which takes noise of "
        f"{wanted:.3g} bounds under the sum; the round has {noise:.3g}"
    )


def _levels(asked: ExampleNoise) -> float:
    return float(2**asked.bits - 1) / 2
