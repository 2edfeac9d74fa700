"""How well a learner does on labelled examples.

Rules: evaluation mode, natural logarithms; nothing here leaves the device by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, GivesPosteriors


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums over examples.

    Attributes:
        correct: number of examples whose largest logit is the right class.
        loss: sum of the cross-entropies, nats.
        count: number of examples.
    """

    correct: int
    loss: float
    count: int

    @property
    def accuracy(self) -> float:
        """Share of correct answers, 0 to 1; 0 without examples."""
        return self.correct / self.count if self.count else 0.0


def measure(learner: GivesPosteriors, batch: Batch) -> Measured:
    """Return what `learner` does on `batch`, which needs y_N."""
    if batch.y_N is None:
        raise ConfigError("a measurement needs classes; the batch has no y_N")
    if len(batch.y_N) == 0:
        return Measured(0, 0.0, 0)
    logits_NK = learner.logits(batch.x_NCHW)
    log_p_NK = log_softmax(logits_NK)
    correct = int((logits_NK.argmax(axis=1) == batch.y_N).sum())
    loss = -float(log_p_NK[np.arange(len(batch.y_N)), batch.y_N].sum())
    return Measured(correct, loss, len(batch.y_N))


def log_softmax(logits_NK: Floats | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log softmax over the last axis in float64."""
    shifted = logits_NK.astype(np.float64) - logits_NK.max(axis=-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def softmax(logits_NK: Floats | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return softmax over the last axis in float64."""
    return np.exp(log_softmax(logits_NK))
