"""`evaluate/1`: how well the devices' models do on their held-out data, as one masked sum.

The only way in which a metric reaches the aggregator: sums over the survivors of correct answers,
cross-entropy and examples. Other algorithms use the same fields as a step of their own.

Rules:
- a device without held-out data answers zeros; nobody sees that it did;
- cross-entropy is limited to `WORST_LOSS` an example, so one example cannot fill the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, GivesPosteriors, Learner
from dreamshare.learning.measures import measure
from dreamshare.updates import Array, Field, Update

EVALUATE = "evaluate"
WORST_LOSS = 20.0
"""Nats; a model that gives the right class a probability of 2e-9."""


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """An evaluation.

    Attributes:
        max_examples: largest number of held-out examples of one device, 1 to 2^24; a device with
            more answers for its first `max_examples`. Resolution of the counts: this / 2^19.
    """

    max_examples: int = 65_536

    def __post_init__(self) -> None:
        if not 1 <= self.max_examples <= 2**24:
            raise ConfigError(f"max_examples is {self.max_examples}; choose 1 to {2**24}")


@dataclass(frozen=True, slots=True)
class EvaluateState:
    """`accuracy` (0 to 1) and `loss` (nats an example) over all survivors, None before."""

    accuracy: float | None = None
    loss: float | None = None


class Evaluate:
    """See the module's docstring."""

    name = "evaluate/1"

    def __init__(self, config: EvaluateConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {EVALUATE: evaluation_fields(self.config.max_examples)}

    def init(self, rng: np.random.Generator) -> EvaluateState:
        return EvaluateState()

    def plan(self, state: EvaluateState) -> Ask | Tell | Done:
        if state.accuracy is None or state.loss is None:
            return Ask(EVALUATE, evaluation_fields(self.config.max_examples))
        return Done(metrics={"accuracy": state.accuracy, "loss": state.loss})

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        if ask.step != EVALUATE:
            raise ConfigError(f"evaluate/1 has no step {ask.step!r}")
        return evaluation(learner, data, self.config.max_examples)

    def merge(self, state: EvaluateState, mean: Mapping[str, Array], crowd: Crowd) -> EvaluateState:
        accuracy, loss = evaluated(mean)
        return EvaluateState(accuracy, loss)


def evaluation_fields(max_examples: int) -> tuple[Field, ...]:
    """Return the fields `correct`, `loss` and `count`."""
    return (
        Field("correct", (), bound=float(max_examples), bits=20),
        Field("loss", (), bound=WORST_LOSS * max_examples, bits=20),
        Field("count", (), bound=float(max_examples), bits=20),
    )


def evaluation(learner: GivesPosteriors, data: Data, max_examples: int) -> Update:
    """Return this device's sums over its held-out examples."""
    held_out = data.held_out()
    if held_out.y_N is None:
        raise ConfigError("held-out examples need their classes in y_N")
    measured = measure(learner, held_out.first(max_examples))
    return Update(
        {
            "correct": np.array(float(measured.correct)),
            "loss": np.array(min(measured.loss, WORST_LOSS * measured.count)),
            "count": np.array(float(measured.count)),
        }
    )


def evaluated(mean: Mapping[str, Array]) -> tuple[float, float]:
    """Return accuracy (0 to 1) and loss (nats) over all examples; (0, 0) when there were none."""
    count = float(mean["count"])
    if count < 0.5:  # less than one example in two devices: what is left is rounding
        return 0.0, 0.0
    return float(np.clip(mean["correct"] / count, 0, 1)), max(0.0, float(mean["loss"] / count))
