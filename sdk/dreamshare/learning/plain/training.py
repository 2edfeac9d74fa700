"""Parameters with their optimiser, as one value, and what moves them.

Rules: pure functions of frozen values; Adam is Kingma and Ba's, with betas as an argument because
tens of steps want shorter averages than thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.learning.measures import softmax
from dreamshare.learning.plain.layers import Floats
from dreamshare.learning.plain.nets import Chain

EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class Trained:
    """Named arrays and Adam's state about them.

    Attributes:
        values: what is trained.
        first: running means of gradients.
        second: running means of squared gradients.
        taken: steps so far.
    """

    values: Mapping[str, Floats]
    first: Mapping[str, Floats]
    second: Mapping[str, Floats]
    taken: int = 0

    @classmethod
    def start(cls, values: Mapping[str, Floats]) -> Trained:
        """Return values before the first step."""
        nothing = {name: np.zeros_like(array) for name, array in values.items()}
        return cls(dict(values), nothing, nothing)


def adam(
    trained: Trained,
    gradients: Mapping[str, Floats],
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Trained:
    """Return what one step against the gradients leaves."""
    taken = trained.taken + 1
    values, first, second = {}, {}, {}
    for name, value in trained.values.items():
        gradient = gradients[name]
        mean = betas[0] * trained.first[name] + (1 - betas[0]) * gradient
        square = betas[1] * trained.second[name] + (1 - betas[1]) * np.square(gradient)
        scale = np.sqrt(square / (1 - betas[1] ** taken)) + EPSILON
        moved = value - rate * (mean / (1 - betas[0] ** taken)) / scale
        values[name] = moved.astype(np.float32)
        first[name], second[name] = mean.astype(np.float32), square.astype(np.float32)
    return Trained(values, first, second, taken)


def distilled(
    net: Chain, trained: Trained, x: Floats, targets: Floats, rate: float, temperature: float
) -> Trained:
    """Return what one step of T^2 KL(targets || softmax(net(x) / T)) leaves, batch mean."""
    logits, pull = net.forward(trained.values, x)
    apart = softmax(logits / temperature) - targets
    gradient = (temperature / len(x)) * apart
    return adam(trained, pull(gradient.astype(np.float32))[1], rate)
