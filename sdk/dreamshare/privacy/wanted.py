"""What an operator asks for when a task is to have noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dreamshare.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Privacy:
    """Noise of a task; one of `multiplier` and `epsilon` is given.

    Attributes:
        clip: bound of the l2 norm of one device's answer, every coordinate divided by its field's
            bound, > 0; 1 is one coordinate at its bound. Longer answers are scaled down.
        multiplier: standard deviation of the noise under a sum over what one device can move it
            by, > 0; 0 finds it from `epsilon`.
        epsilon: what the whole task may cost at `delta`, > 0; 0 takes what `multiplier` gives.
        delta: above 0 and below 1; well below one over the number of devices.
        bits: resolution of every field of every step, 8 to 20. Fewer bits make shorter vectors.
    """

    clip: float
    multiplier: float = 0.0
    epsilon: float = 0.0
    delta: float = 1e-6
    bits: int = 16

    def __post_init__(self) -> None:
        checks = (
            (0 < self.clip < math.inf, f"clip {self.clip} must be finite and above 0"),
            (0 <= self.multiplier < math.inf, f"multiplier {self.multiplier} must be 0 or more"),
            (0 <= self.epsilon < math.inf, f"epsilon {self.epsilon} must be 0 or more"),
            (
                (self.multiplier > 0) != (self.epsilon > 0),
                "give either a noise multiplier or an epsilon, above 0",
            ),
            (0 < self.delta < 1, f"delta {self.delta} must lie between 0 and 1"),
            (8 <= self.bits <= 20, f"bits {self.bits} must be 8 to 20"),
        )
        for holds, text in checks:
            if not holds:
                raise ConfigError(f"privacy: {text}")


@dataclass(frozen=True, slots=True)
class ExampleNoise:
    """Noise of a task that hides one example of a device, not all of them (docs/privacy.md).

    An algorithm declares it: only what computes an answer knows how far one example moves it.

    Attributes:
        reach: most that one example moves an answer of any step by, its l2 norm, every coordinate
            divided by its field's bound, > 0 and at most 1.
        epsilon: what the whole task may cost one example at `delta`, > 0.
        delta: above 0 and below 1; well below one over the number of examples.
        bits: of every field of every step, 8 to 20; a level is much less than `reach`.
    """

    reach: float
    epsilon: float
    delta: float
    bits: int = 20

    def __post_init__(self) -> None:
        checks = (
            (0 < self.reach <= 1, f"reach {self.reach} must be above 0 and at most 1"),
            (0 < self.epsilon < math.inf, f"epsilon {self.epsilon} must be above 0 and finite"),
            (0 < self.delta < 1, f"delta {self.delta} must lie between 0 and 1"),
            (8 <= self.bits <= 20, f"bits {self.bits} must be 8 to 20"),
        )
        for holds, text in checks:
            if not holds:
                raise ConfigError(f"privacy of examples: {text}")


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise that is settled: `Privacy` with its multiplier found.

    Attributes:
        clip, multiplier, delta, bits: as there; the multiplier is above 0.
        crowd: least honest devices in any sum, >= 1; the tails of its parts are made for so many.
    """

    clip: float
    multiplier: float
    delta: float
    bits: int
    crowd: int
