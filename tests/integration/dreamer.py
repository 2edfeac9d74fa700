"""A learner that dreams and needs numpy alone: softmax regression on 8x8 images.

d/dx sum_b w_b CE(W x_b + c, y_b) = w_b W (softmax - onehot), so that dreams have real gradients.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from tests.integration.toy import Toy

SHAPE = (1, 8, 8)
PIXELS = 64
CLASSES = 10

CONFIG = CodreamConfig(
    shape=SHAPE,
    classes=CLASSES,
    cycles=2,
    dreams=60,
    dream_steps=2,
    feature_weight=0.0,
    warm_up_epochs=2,
    fit_steps=4,
)


class Dreamer(Toy):
    """Softmax regression of 64 pixels and 10 classes."""

    classes = CLASSES

    def __init__(self, number: int) -> None:
        super().__init__()
        rng = np.random.default_rng([77, number])
        self.weight = rng.normal(0, 0.3, (PIXELS, CLASSES)).astype(np.float32)
        self.bias = np.zeros(CLASSES, np.float32)

    def logits(self, x_NCHW: Floats) -> Floats:
        return x_NCHW.reshape(len(x_NCHW), PIXELS) @ self.weight + self.bias

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        assert objective.labels_B is not None
        logits_NK = self.logits(x_NCHW)
        error_NK = softmax(logits_NK).astype(np.float32)
        error_NK[np.arange(len(x_NCHW)), objective.labels_B] -= 1.0
        gradient = (error_NK @ self.weight.T).reshape(x_NCHW.shape)
        return InputGradient(gradient, logits_NK, {})

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        for batch, *_ in steps:
            assert batch.y_N is not None
            x_ND = batch.x_NCHW.reshape(len(batch.y_N), PIXELS)
            error_NK = softmax(self.logits(batch.x_NCHW)).astype(np.float32)
            error_NK[np.arange(len(batch.y_N)), batch.y_N] -= 1.0
            self.weight = self.weight - np.float32(0.1 / len(batch.y_N)) * (x_ND.T @ error_NK)
        return 0.0


def dreamer_data(number: int) -> ArrayData:
    """Return 80 noisy images of class prototypes, mostly of four classes."""
    prototypes = np.random.default_rng(5).uniform(-1, 1, (CLASSES, *SHAPE))
    rng = np.random.default_rng([6, number])
    share = np.ones(CLASSES)
    share[[(number * 2 + k) % CLASSES for k in range(4)]] = 6.0
    y_N = rng.choice(CLASSES, 80, p=share / share.sum())
    x = prototypes[y_N] + rng.normal(0, 0.5, (80, *SHAPE))
    return ArrayData(x.astype(np.float32), y_N.astype(np.int64))
