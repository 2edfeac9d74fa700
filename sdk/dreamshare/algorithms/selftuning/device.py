"""What a device of `selftuning/1` answers to `train`: everything is multiplied by its weight here.

    w = (n / mean n)^power * exp(-doubt * (l - mean l)), between 1 / most and most

n are its examples, l is the mean loss of the training that it has just done. The weight is under
the mask like everything else: protocol weights are 1, and means are quotients of two sums.

Rules:
- of a number that is learnt travel w * d log w / d number, and that times the difference: the sums
  that the derivative of a weighted mean consists of;
- a slope is the derivative of the held-out loss at the public model along a public direction of
  length 1, weighted by examples: one number for each direction;
- held-out examples are never trained on; a device that has none answers 0, and nobody sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.bounds import answer
from dreamshare.algorithms.evaluate import WORST_LOSS
from dreamshare.algorithms.fedavg import FedAvg
from dreamshare.algorithms.selftuning.config import SelfTuningConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.learning.measures import parameter_gradient
from dreamshare.updates import Array, PublicArray, Update

NUMBERS = "numbers"
"""Tensor of what weights are computed with: mean n, mean l, power, doubt."""

SLOPE, LOSS = 64.0, 160.0
"""Bounds of a slope and of a held-out loss, times the weight by examples."""


@dataclass(frozen=True, slots=True)
class Told:
    """What weights are computed with."""

    size: float
    centre: float
    power: float
    doubt: float

    @classmethod
    def read(cls, tensors: Mapping[str, PublicArray]) -> Told:
        """Return what came with a plan; raises ConfigError where it is none."""
        given = tensors.get(NUMBERS)
        if given is None or given.shape != (4,) or not np.isfinite(given).all() or given[0] <= 0:
            raise ConfigError("the plan names no sizes, losses and exponents for weights")
        return cls(*(float(number) for number in given))


def weighed(
    config: SelfTuningConfig, told: Told, examples: int, loss: float
) -> tuple[float, dict[str, float]]:
    """Return a device's weight, and d log weight / d number; 0 at the edge of the range."""
    size, apart = math.log(max(examples, 1) / told.size), loss - told.centre
    exponent, edge = told.power * size - told.doubt * apart, math.log(config.most_weight)
    if abs(exponent) >= edge:
        return math.exp(math.copysign(edge, exponent)), {"power": 0.0, "doubt": 0.0}
    return math.exp(exponent), {"power": size, "doubt": -apart}


def answer_train(
    averaging: FedAvg,
    config: SelfTuningConfig,
    ask: Ask,
    learner: Learner,
    data: Data,
    rng: np.random.Generator,
) -> Update:
    """Return this device's answer; its learner ends where its training ended.

    Raises:
        ConfigError: the models are not equal, or the learner gives no gradients by parameters.
    """
    told = Told.read(ask.tensors)
    arrays = _judged(averaging, config, told, ask, learner, data)
    difference, loss = averaging.difference(ask.tensors, learner, data, rng)
    loss = _finite(loss, WORST_LOSS)
    weight, slopes = weighed(config, told, len(data), loss)
    arrays |= {"weight": np.array(weight), "trained": np.array(loss)}
    arrays |= {name: weight * array for name, array in difference.items()}
    for number in config.learnt:
        if number in slopes:
            arrays[number] = np.array(weight * slopes[number])
            arrays |= {
                f"{number}_{name}": weight * slopes[number] * array
                for name, array in difference.items()
            }
    return answer(arrays, ask.fields, 1.0, ask.weight_cap)


def _judged(
    averaging: FedAvg,
    config: SelfTuningConfig,
    told: Told,
    ask: Ask,
    learner: Learner,
    data: Data,
) -> dict[str, Array]:
    """Return held-out loss and slopes of the public model, times n / mean n, and that."""
    if config.slopes == "lagged":
        return {}
    found: dict[str, Array] = {"judges": np.zeros(()), "loss": np.zeros(())}
    found |= {f"slope_{number}": np.zeros(()) for number in config.learnt}
    batch = data.held_out().first(config.judged)
    if len(batch.x_NCHW) == 0:
        return found
    share = min(len(data) / told.size, config.most_weight)
    learner.load_parameters(averaging.received(ask.tensors, learner))
    gradient = parameter_gradient(learner, batch)
    loss = _finite(gradient.loss, WORST_LOSS)
    found |= {"judges": np.array(share), "loss": np.array(share * loss)}
    own = dict(zip(averaging.names, learner.parameters(), strict=True))
    for number in config.learnt:
        inner = 0.0
        for name in averaging.names:
            direction = ask.tensors.get(f"{number}_{name}")
            if direction is not None and own[name] in gradient.arrays:
                a, b = gradient.arrays[own[name]], direction
                inner += float((a.astype(np.float64) * b.astype(np.float64)).sum())
        found[f"slope_{number}"] = np.array(share * _finite(inner, SLOPE))
    return found


def _finite(value: float, most: float) -> float:
    """Return a number that a field can hold; a loss that overflowed is a large one."""
    return most if math.isnan(value) else max(-most, min(most, value))
