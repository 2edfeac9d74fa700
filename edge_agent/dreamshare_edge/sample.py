"""A learner to try things out with, on made-up examples: numpy alone, no data of anybody's.

    dreamshare agent join TOKEN                   # without --learner it computes with this

Softmax regression on 8 x 8 images of ten classes, drawn around prototypes that every device knows,
each with a share of the classes of its own. It takes part in `fedavg/1`, `evaluate/1` and, with
`feature_weight = 0` (it has no BatchNorm), `codream/1` of shape [1, 8, 8] and 10 classes.

Shape legend: N examples, D = 64 pixels, K = 10 classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, InputGradient
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.settings import Scalar
from dreamshare.updates import PublicArray
from dreamshare_edge.equipment import Equipment

FACTORY = "dreamshare_edge.sample:make_equipment"
"""How settings name it."""

ALGORITHMS = ("codream/1", "evaluate/1", "fedavg/1")

_SHAPE = (1, 8, 8)
_PIXELS = 64
_CLASSES = 10
_EXAMPLES, _HELD_OUT = 200, 100
_NOISE = 0.7
_PROTOTYPES_SEED = 5
_MEMORY = "memory."


class SampleLearner:
    """Softmax regression; see `dreamshare.learning.base.Learner`."""

    classes = _CLASSES

    def __init__(self) -> None:
        self._weight_DK = np.zeros((_PIXELS, _CLASSES), np.float32)
        self._bias_K = np.zeros(_CLASSES, np.float32)
        self._memory: dict[str, PublicArray] = {}

    def logits(self, x_NCHW: Floats) -> Floats:
        return _flat(x_NCHW) @ self._weight_DK + self._bias_K

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        """d/dx sum_b w_b CE(W x_b + c, y_b) = w_b W (softmax - onehot); ConfigError on others."""
        labels_N = objective.labels_B
        plain = objective.student_BK is None and objective.cotangent_BK is None
        if labels_N is None or objective.feature_weight or objective.diversity or not plain:
            raise ConfigError(
                "the sample learner takes labelled dreams with feature_weight 0 and diversity 0, "
                "no student and no cotangents"
            )
        logits_NK = self.logits(x_NCHW)
        error_NK = _error(logits_NK, _one_hot(labels_N))
        if objective.weights_B is not None:
            error_NK = error_NK * objective.weights_B[:, None]
        gradient = (error_NK @ self._weight_DK.T).reshape(x_NCHW.shape).astype(np.float32)
        loss = -np.log(softmax(logits_NK)[np.arange(len(labels_N)), labels_N] + 1e-12)
        return InputGradient(gradient, logits_NK, {"task": float(loss.mean())})

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        """Plain gradient descent; the optimiser's kind and its momentum are left out.

        Raises:
            ConfigError: a proximal term or a projection is asked for.
        """
        if objective.proximal > 0 or objective.projection != "none":
            raise ConfigError(
                "the sample learner knows neither a proximal term nor a projection; set proximal "
                "to 0 (fedavg/1) or projection to 'none' (fedh2l/1)"
            )
        losses = [self._step(step, objective) for step in steps]
        return float(np.mean(losses)) if losses else 0.0

    def _step(self, step: tuple[Batch, ...], objective: FitObjective) -> float:
        loss = 0.0
        weight_DK, bias_K = self._weight_DK, self._bias_K
        weights = (1.0, objective.distillation_weight)
        for place, (batch, weight) in enumerate(zip(step, weights, strict=False)):
            x_ND = _flat(batch.x_NCHW)
            logits_NK = self.logits(batch.x_NCHW)
            if place == 0 and objective.class_prior is not None:
                logits_NK = logits_NK + np.log(np.array(objective.class_prior, np.float32))
            targets_NK = _targets(batch)
            rate = np.float32(weight * objective.learning_rate / len(x_ND))
            error_NK = _error(logits_NK, targets_NK)
            weight_DK = weight_DK - rate * (x_ND.T @ error_NK)
            bias_K = bias_K - rate * error_NK.sum(axis=0)
            logs_NK = np.log(softmax(logits_NK) + 1e-12)
            loss += weight * float(-(targets_NK * logs_NK).sum(axis=1).mean())
        self._weight_DK, self._bias_K = weight_DK, bias_K
        return loss

    def snapshot(self) -> bytes:
        kept = {_MEMORY + name: array for name, array in self._memory.items()}
        return encode_arrays({**self.parameters(), **kept})

    def restore(self, snapshot: bytes) -> None:
        arrays = decode_arrays(snapshot)
        kept = {name: array for name, array in arrays.items() if name.startswith(_MEMORY)}
        own = {n: a.astype(np.float32) for n, a in arrays.items() if n not in kept}
        self.load_parameters(own)
        self._memory = {name.removeprefix(_MEMORY): array for name, array in kept.items()}

    def memory(self) -> Mapping[str, PublicArray]:
        return dict(self._memory)

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        self._memory = {name: array.copy() for name, array in memory.items()}

    def parameters(self) -> Mapping[str, Floats]:
        return {"weight": self._weight_DK.copy(), "bias": self._bias_K.copy()}

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        shapes = {name: array.shape for name, array in parameters.items()}
        if shapes != {"weight": (_PIXELS, _CLASSES), "bias": (_CLASSES,)}:
            raise ConfigError(f"parameters {shapes} do not fit the sample learner")
        self._weight_DK = np.array(parameters["weight"], np.float32)
        self._bias_K = np.array(parameters["bias"], np.float32)


def make_equipment(settings: Mapping[str, Scalar]) -> Equipment:
    """Return a sample learner with made-up examples; setting `seed` (0 or more) draws them."""
    seed = settings.get("seed", 0)
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"the sample learner's seed is {seed!r}; it must be 0 or more")
    rng = np.random.default_rng([_PROTOTYPES_SEED, seed])
    share_K = rng.dirichlet(np.full(_CLASSES, 0.7))
    x, y = _draw(rng, _EXAMPLES, share_K)
    held_out = Batch(*_draw(rng, _HELD_OUT, np.full(_CLASSES, 1 / _CLASSES)))
    return Equipment(SampleLearner(), ArrayData(x, y, held_out), label="sample")


def _draw(rng: np.random.Generator, count: int, share_K: np.ndarray) -> tuple[Floats, np.ndarray]:
    prototypes = np.random.default_rng(_PROTOTYPES_SEED).uniform(-1, 1, (_CLASSES, *_SHAPE))
    y_N = rng.choice(_CLASSES, count, p=share_K)
    x = prototypes[y_N] + rng.normal(0, _NOISE, (count, *_SHAPE))
    return x.astype(np.float32), y_N.astype(np.int64)


def _flat(x_NCHW: Floats) -> Floats:
    if x_NCHW.shape[1:] != _SHAPE:
        raise ConfigError(f"the sample learner sees images of shape {_SHAPE}, not {x_NCHW.shape}")
    return x_NCHW.reshape(len(x_NCHW), _PIXELS)


def _targets(batch: Batch) -> Floats:
    if batch.targets_NK is not None:
        return batch.targets_NK
    if batch.y_N is None:
        raise ConfigError("a batch without labels cannot be learnt from")
    return _one_hot(batch.y_N)


def _one_hot(y_N: np.ndarray) -> Floats:
    rows_NK: Floats = np.eye(_CLASSES, dtype=np.float32)[y_N]
    return rows_NK


def _error(logits_NK: Floats, targets_NK: Floats) -> Floats:
    return (softmax(logits_NK) - targets_NK).astype(np.float32)
