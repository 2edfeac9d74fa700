"""A learner in numpy: a linear softmax classifier, so that tests of algorithms need no framework.

Shape legend: N batch, D = C*H*W, K classes. logits = x W + b with W (D, K), b (K,).

Everything can be done on paper: with p = softmax(logits),
  d CE / d x = (p - onehot(y)) W^T,   d CE / d W = x^T (p - onehot(y)) / N.
Steps are plain gradient descent, whatever the objective's optimiser; there are no statistics
layers, so a feature term is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient, ParameterGradient
from dreamshare.learning.data import ArrayData
from dreamshare.learning.disagreement import disagreement
from dreamshare.learning.measures import log_softmax, softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.updates import PublicArray

SHAPE = (1, 2, 2)
CLASSES = 3


class ToyLearner:
    def __init__(self, seed: int = 0, classes: int = CLASSES, size: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.classes = classes
        self.weight_DK = rng.normal(0, 0.1, (size, classes))
        self.bias_K = np.zeros(classes)
        self.steps_taken = 0
        self._memory: dict[str, PublicArray] = {}

    def logits(self, x_NCHW: Floats) -> Floats:
        return (self._flat(x_NCHW) @ self.weight_DK + self.bias_K).astype(np.float32)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        if objective.feature_weight > 0:
            raise ConfigError("the toy has no BatchNorm layer; set feature_weight to 0")
        logits_NK = self._flat(x_NCHW) @ self.weight_DK + self.bias_K
        p_NK = softmax(logits_NK)
        if objective.labels_B is None:
            log_p_NK = log_softmax(logits_NK)
            entropy_N = -(p_NK * log_p_NK).sum(axis=1, keepdims=True)
            cotangent_NK = -p_NK * (log_p_NK + entropy_N)
            task = float(entropy_N.mean())
        else:
            onehot_NK = np.eye(self.classes)[objective.labels_B]
            cotangent_NK = p_NK - onehot_NK
            task = float(-(onehot_NK * log_softmax(logits_NK)).sum(axis=1).mean())
        if objective.weights_B is not None:
            cotangent_NK = cotangent_NK * objective.weights_B[:, None]
        terms, student_NK = {"task": task}, None
        if objective.student_BK is not None:
            apart = disagreement(objective.adversarial, logits_NK, objective.student_BK)
            cotangent_NK = cotangent_NK - objective.adversarial_weight * apart.teacher_BK
            student_NK = (-objective.adversarial_weight * apart.student_BK).astype(np.float32)
            terms["adversarial"] = float(apart.value_B.mean())
        if objective.cotangent_BK is not None:
            cotangent_NK = cotangent_NK + objective.cotangent_BK
        gradient = (cotangent_NK @ self.weight_DK.T).reshape(x_NCHW.shape)
        return InputGradient(
            gradient.astype(np.float32), logits_NK.astype(np.float32), terms, student_NK
        )

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        prior_K = np.log(objective.class_prior) if objective.class_prior else 0.0
        losses = []
        anchor_DK, anchor_K = self.weight_DK, self.bias_K
        for number, step in enumerate(steps):
            rate = objective.rate_at(number)
            local = step[0]
            pull_DK = objective.proximal * (self.weight_DK - anchor_DK)
            pull_K = objective.proximal * (self.bias_K - anchor_K)
            loss, residual_NK = self._cross_entropy(local, np.eye(self.classes)[local.y_N], prior_K)
            parts = [(local, residual_NK / len(residual_NK))]
            for dreams in step[1:]:
                extra, residual_NK = self._cross_entropy(dreams, dreams.targets_NK, 0.0)
                loss += objective.distillation_weight * extra
                scale = objective.distillation_weight / len(residual_NK)
                parts.append((dreams, scale * residual_NK))
            for batch, residual_NK in parts:
                gradient_DK = self._flat(batch.x_NCHW).T @ residual_NK
                self.weight_DK = self.weight_DK - rate * gradient_DK
                self.bias_K = self.bias_K - rate * residual_NK.sum(axis=0)
            self.weight_DK = self.weight_DK - rate * pull_DK
            self.bias_K = self.bias_K - rate * pull_K
            self.steps_taken += 1
            losses.append(loss)
        return float(np.mean(losses)) if losses else 0.0

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        loss, residual_NK = self._cross_entropy(batch, np.eye(self.classes)[batch.y_N], 0.0)
        scale = 1.0 / max(len(batch.x_NCHW), 1)
        arrays = {
            "weight": (scale * self._flat(batch.x_NCHW).T @ residual_NK).astype(np.float32),
            "bias": (scale * residual_NK.sum(axis=0)).astype(np.float32),
        }
        return ParameterGradient(loss, arrays)

    def snapshot(self) -> bytes:
        arrays = {"weight": self.weight_DK, "bias": self.bias_K}
        memory = {k: [str(v.dtype), v.tolist()] for k, v in self._memory.items()}
        state = {k: v.tolist() for k, v in arrays.items()}
        return json.dumps([state, memory, self.steps_taken]).encode()

    def restore(self, snapshot: bytes) -> None:
        state, memory, self.steps_taken = json.loads(snapshot)
        self.weight_DK, self.bias_K = np.array(state["weight"]), np.array(state["bias"])
        self._memory = {k: np.array(v, dtype) for k, (dtype, v) in memory.items()}

    def memory(self) -> Mapping[str, PublicArray]:
        return dict(self._memory)

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        self._memory = dict(memory)

    def parameters(self) -> Mapping[str, Floats]:
        return {
            "weight": self.weight_DK.astype(np.float32),
            "bias": self.bias_K.astype(np.float32),
        }

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        self.weight_DK = parameters["weight"].astype(np.float64)
        self.bias_K = parameters["bias"].astype(np.float64)

    def _flat(self, x_NCHW: Floats) -> np.ndarray:
        return x_NCHW.reshape(len(x_NCHW), -1).astype(np.float64)

    def _cross_entropy(
        self, batch: Batch, targets_NK: np.ndarray, shift_K: np.ndarray | float
    ) -> tuple[float, np.ndarray]:
        logits_NK = self._flat(batch.x_NCHW) @ self.weight_DK + self.bias_K + shift_K
        loss = -(targets_NK * log_softmax(logits_NK)).sum(axis=1).mean()
        return float(loss), softmax(logits_NK) - targets_NK


def toy_data(seed: int, counts: tuple[int, ...] = (10, 6, 4), held_out: int = 30) -> ArrayData:
    """Gaussian blobs around the first K unit vectors of a 2x2 image, `counts[y]` of class y."""
    rng = np.random.default_rng(seed)
    y_N = np.repeat(np.arange(len(counts)), counts)
    test_y_N = np.arange(held_out) % len(counts)
    return ArrayData(_blobs(rng, y_N), y_N, Batch(_blobs(rng, test_y_N), test_y_N))


def _blobs(rng: np.random.Generator, y_N: np.ndarray) -> Floats:
    centres = np.eye(4)[y_N]
    return (centres + rng.normal(0, 0.3, centres.shape)).reshape(-1, *SHAPE).astype(np.float32)
