"""Dreams as values: shared inputs that devices shape together through sums of gradients.

Shape legend: B dreams, C channels, H height, W width; x_BCHW is float32 in the models' normalised
input space.

Rules:
- everything here is public: start, optimiser, priors and clamp run on the aggregator, after a sum;
- a start comes from a public seed and the cycle's number, so anybody can repeat it;
- the optimisers are pure functions of a frozen state.

Sources: priors and clamp, Yin et al. 2020 (DeepInversion); server-side Adam on the mean gradient,
Co-Dream (AAAI 2025) in its direct form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError

Floats = NDArray[np.float32]
ServerOptimizer = Literal["adam", "sgd", "avg"]

BETAS = (0.5, 0.9)
"""Adam's betas for dreams: a cycle has tens of steps, so both averages must be short."""

EPSILON = 1e-8


def starting_dreams(
    seed: int, cycle: int, count: int, shape: tuple[int, int, int], spread: float
) -> Floats:
    """Return `spread` * N(0, 1) of shape (count, *shape); a function of its arguments alone."""
    rng = np.random.default_rng([seed, cycle])
    return (spread * rng.standard_normal((count, *shape))).astype(np.float32)


def starting_labels(count: int, classes: int) -> NDArray[np.int64]:
    """Return the class that each dream is to become: round-robin over the classes."""
    return np.arange(count, dtype=np.int64) % classes


@dataclass(frozen=True, slots=True)
class ServerStep:
    """The optimiser's state between two steps on the same dreams.

    Attributes:
        taken: steps so far.
        first_BCHW: Adam's running mean of gradients.
        second_BCHW: Adam's running mean of squared gradients.
    """

    taken: int
    first_BCHW: Floats
    second_BCHW: Floats

    @classmethod
    def start(cls, x_BCHW: Floats) -> ServerStep:
        """Return the state before the first step."""
        return cls(0, np.zeros_like(x_BCHW), np.zeros_like(x_BCHW))

    def apply(
        self, x_BCHW: Floats, gradient_BCHW: Floats, rate: float, kind: ServerOptimizer
    ) -> tuple[Floats, ServerStep]:
        """Return the dreams after one step of `kind` against the gradient, and the next state.

        "adam" is Kingma and Ba's with betas (0.5, 0.9); "sgd" is x - rate * gradient. "avg" is the
        same step; it is spelt apart because there the gradient is a pseudo-gradient
        (x before - x after) / rate, so that x becomes the mean of the devices' own results.
        """
        taken = self.taken + 1
        if kind != "adam":
            moved = x_BCHW - np.float32(rate) * gradient_BCHW
            return moved.astype(np.float32), ServerStep(taken, self.first_BCHW, self.second_BCHW)
        b1, b2 = BETAS
        first = b1 * self.first_BCHW + (1 - b1) * gradient_BCHW
        second = b2 * self.second_BCHW + (1 - b2) * gradient_BCHW**2
        scale = np.sqrt(second / (1 - b2**taken)) + EPSILON
        moved = x_BCHW - rate * (first / (1 - b1**taken)) / scale
        state = ServerStep(taken, first.astype(np.float32), second.astype(np.float32))
        return moved.astype(np.float32), state


def prior_gradient(x_BCHW: Floats, smoothness: float, norm: float) -> Floats:
    """Return the gradient of the public priors, summed over dreams as devices sum theirs.

    Per dream: smoothness * (mean of squared differences of vertical and of horizontal neighbours,
    added) + norm * (mean of squared pixels).
    """
    gradient = (2.0 * norm / x_BCHW[0].size) * x_BCHW.astype(np.float64)
    for axis in (2, 3):
        difference = np.diff(x_BCHW.astype(np.float64), axis=axis)
        if difference.size == 0:
            continue
        pull = (2.0 * smoothness / difference[0].size) * difference
        before = [slice(None)] * 4
        after = [slice(None)] * 4
        before[axis] = slice(None, -1)
        after[axis] = slice(1, None)
        gradient[tuple(before)] -= pull
        gradient[tuple(after)] += pull
    result: Floats = gradient.astype(np.float32)
    return result


@dataclass(frozen=True, slots=True)
class Replay:
    """Past dreams with their soft labels, oldest first.

    Attributes:
        x_BCHW: float32 dreams.
        targets_BK: float32 rows that sum to 1.
    """

    x_BCHW: Floats
    targets_BK: Floats

    def __post_init__(self) -> None:
        if len(self.x_BCHW) != len(self.targets_BK):
            raise ConfigError(
                f"{len(self.x_BCHW)} dreams and {len(self.targets_BK)} soft labels do not pair up"
            )

    def __len__(self) -> int:
        return len(self.x_BCHW)

    def add(self, x_BCHW: Floats, targets_BK: Floats, limit: int) -> Replay:
        """Return this replay with newer dreams at its end, cut to the newest `limit`."""
        return Replay(
            np.concatenate([self.x_BCHW, x_BCHW])[-limit:],
            np.concatenate([self.targets_BK, targets_BK])[-limit:],
        )

    def draw(self, rng: np.random.Generator, count: int) -> Replay:
        """Return `count` dreams drawn without repetition, or all in random order if fewer."""
        chosen = rng.permutation(len(self))[:count]
        return Replay(self.x_BCHW[chosen], self.targets_BK[chosen])
