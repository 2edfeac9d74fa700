"""`evaluate/1`: how well the devices' models do on their held-out data, as one masked sum.

The only way in which a metric reaches the aggregator: sums over the survivors of correct answers,
cross-entropy and examples. Other algorithms use the same fields as a step of their own.

Rules:
- a device without held-out data answers zeros; nobody sees that it did;
- where labels are of pixels, pixels are counted; an algorithm that knows its classes may ask for
  their overlaps, too: sums, for each class, of hits, of pixels found and of pixels there;
- cross-entropy is limited to `WORST_LOSS` an example, so one example cannot fill the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, GivesPosteriors, Learner
from dreamshare.learning.measures import mean_iou, measure, overlap
from dreamshare.updates import Array, Field, Update

EVALUATE = "evaluate"
OVERLAP = ("hits", "found", "there")
"""Fields of overlaps: pixels of each class that are found and there, found, there."""

WORST_LOSS = 20.0
"""Nats; a model that gives the right class a probability of 2e-9."""


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """An evaluation.

    Attributes:
        max_examples: largest number of held-out examples (or pixels) of one device, 1 to 2^24; a
            device with more answers for its first ones. Resolution of the counts: this / 2^19.
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


def evaluation_fields(max_examples: int, classes: int = 0) -> tuple[Field, ...]:
    """Return the fields `correct`, `loss` and `count`, for `classes` also those of overlaps."""
    most = float(max_examples)
    fields = (
        Field("correct", (), bound=most, bits=20),
        Field("loss", (), bound=WORST_LOSS * max_examples, bits=20),
        Field("count", (), bound=most, bits=20),
    )
    if not classes:
        return fields
    return (*fields, *(Field(name, (classes,), bound=most, bits=20) for name in OVERLAP))


def evaluation(
    learner: GivesPosteriors, data: Data, max_examples: int, *, overlaps: bool = False
) -> Update:
    """Return this device's sums over its held-out examples."""
    held_out = data.held_out()
    if held_out.y_N is None:
        raise ConfigError("held-out examples need their classes in y_N")
    labels = max(1, math.prod(held_out.y_N.shape[1:]))
    held_out = held_out.first(max_examples // labels)
    measured = measure(learner, held_out)
    arrays: dict[str, Array] = {
        "correct": np.array(float(measured.correct)),
        "loss": np.array(min(measured.loss, WORST_LOSS * measured.count)),
        "count": np.array(float(measured.count)),
    }
    if overlaps:
        seen = overlap(learner, held_out)
        for name, counts_K in zip(OVERLAP, (seen.hits_K, seen.found_K, seen.there_K), strict=True):
            arrays[name] = counts_K.astype(np.float64)
    return Update(arrays)


def evaluated(mean: Mapping[str, Array]) -> tuple[float, float]:
    """Return accuracy (0 to 1) and loss (nats) over all examples; (0, 0) when there were none."""
    count = float(mean["count"])
    if count < 0.5:  # less than one example in two devices: what is left is rounding
        return 0.0, 0.0
    return float(np.clip(mean["correct"] / count, 0, 1)), max(0.0, float(mean["loss"] / count))


def overlapped(mean: Mapping[str, Array], survivors: int) -> float:
    """Return the mean intersection over union (0 to 1) from the means of `OVERLAP`'s fields."""
    hits_K, found_K, there_K = (survivors * mean[name] for name in OVERLAP)
    return mean_iou(hits_K, found_K, there_K)
