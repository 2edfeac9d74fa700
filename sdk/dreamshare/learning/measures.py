"""How well a learner does on labelled examples; where labels are of pixels, on every pixel.

Rules: evaluation mode, natural logarithms; nothing here leaves the device by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import (
    Batch,
    Floats,
    GivesParameterGradients,
    GivesPosteriors,
    Ints,
    ParameterGradient,
)

Counts = Ints | NDArray[np.float32] | NDArray[np.float64]
LEAST_UNION = 0.5
"""Less of a class than this is none: what rounding leaves of a sum."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums over examples, or over pixels.

    Attributes:
        correct: number of those whose largest logit is the right class.
        loss: sum of the cross-entropies, nats.
        count: number of all.
    """

    correct: int
    loss: float
    count: int

    @property
    def accuracy(self) -> float:
        """Share of correct answers, 0 to 1; 0 without examples."""
        return self.correct / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far what was found covers what is there: numbers of pixels (or examples) by class.

    Attributes:
        hits_K: found and there.
        found_K: found.
        there_K: there.
    """

    hits_K: Ints
    found_K: Ints
    there_K: Ints

    @property
    def mean_iou(self) -> float:
        """Mean intersection over union (see `mean_iou`)."""
        return mean_iou(self.hits_K, self.found_K, self.there_K)


def measure(learner: GivesPosteriors, batch: Batch) -> Measured:
    """Return what `learner` does on `batch`, which needs y_N."""
    logits_NK, y_N = _answered(learner, batch)
    if len(y_N) == 0:
        return Measured(0, 0.0, 0)
    log_p_NK = log_softmax(logits_NK)
    correct = int((logits_NK.argmax(axis=1) == y_N).sum())
    loss = -float(log_p_NK[np.arange(len(y_N)), y_N].sum())
    return Measured(correct, loss, len(y_N))


def overlap(learner: GivesPosteriors, batch: Batch) -> Overlap:
    """Return how what `learner` finds in `batch` covers its y_N, which it needs."""
    logits_NK, y_N = _answered(learner, batch)
    found_N = logits_NK.argmax(axis=1)
    hits_K, found_K, there_K = (
        np.bincount(labels, minlength=learner.classes).astype(np.int64)
        for labels in (y_N[found_N == y_N], found_N, y_N)
    )
    return Overlap(hits_K, found_K, there_K)


def parameter_gradient(learner: object, batch: Batch) -> ParameterGradient:
    """Return loss and gradient of a learner that can give them.

    Raises:
        ConfigError: it cannot, or the batch does not fit.
    """
    if not isinstance(learner, GivesParameterGradients):
        raise ConfigError(
            "this device's learner gives no gradient by its parameters; selftuning/1 needs a "
            "learner with `parameter_gradient` (fedavg/1 does not)"
        )
    return learner.parameter_gradient(batch)


def mean_iou(hits_K: Counts, found_K: Counts, there_K: Counts) -> float:
    """Return hits / (found + there - hits), mean over the classes found or there; 0 without any."""
    hits, found, there = (np.asarray(each, np.float64) for each in (hits_K, found_K, there_K))
    union = found + there - hits
    known = union >= LEAST_UNION
    return float(np.clip(hits[known] / union[known], 0, 1).mean()) if known.any() else 0.0


def _answered(learner: GivesPosteriors, batch: Batch) -> tuple[Floats, Ints]:
    """Return the logits, and the class of each of their rows."""
    if batch.y_N is None:
        raise ConfigError("a measurement needs classes; the batch has no y_N")
    y_N = batch.y_N.reshape(-1)
    if len(y_N) == 0:
        return np.zeros((0, learner.classes), np.float32), y_N
    logits_NK = learner.logits(batch.x_NCHW)
    if len(logits_NK) != len(y_N):
        raise ConfigError(
            f"the model gives {len(logits_NK)} rows of logits for {len(y_N)} labels; labels of "
            "pixels need a model that labels pixels, labels of images one that labels images"
        )
    return logits_NK, y_N


def log_softmax(logits_NK: Floats | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log softmax over the last axis in float64."""
    shifted = logits_NK.astype(np.float64) - logits_NK.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def softmax(logits_NK: Floats | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return softmax over the last axis in float64."""
    return np.exp(log_softmax(logits_NK))
