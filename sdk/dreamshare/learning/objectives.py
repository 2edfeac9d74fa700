"""Losses and training settings as data: code never travels, a learner reads these and computes.

Shape legend: B dreams in a batch, K classes.

Rules:
- frozen values, checked at construction; no framework is imported here;
- smoothness and norm priors on dreams are no device's business: they need the public dream alone,
  so the aggregator adds them after the sum (`dreamshare.payloads.dreams`);
- an objective holds nothing private except `FitObjective.class_prior` and
  `DreamObjective.statistics`, which stay on their device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError

Adversarial = Literal["none", "jsd", "masked_kl", "server_entropy"]
Optimizer = Literal["adam", "sgd"]
DistillationNorm = Literal["running", "batch"]
Projection = Literal["none", "protect_global", "protect_local", "symmetric"]

OPTIMIZERS = ("", "adam", "sgd")
"""Kinds by number, as a snapshot stores them; a released number never changes meaning."""


@dataclass(frozen=True, slots=True)
class DreamObjective:
    """What a batch of dreams should become in the eyes of one teacher.

    In the eyes of one that labels pixels, b and B count pixels.

        sum_b weights[b] * task(b)  +  B * feature_weight * R_bn  -  B * diversity * H(mean p)
            -  adversarial_weight * sum_b D(b)  +  sum_bk cotangent[b, k] * logits[b, k]

    The sum over dreams, not the mean, so that a dream's gradient does not shrink with the batch.
    `task(b)` is the cross-entropy to `labels_B[b]` or, without labels, the entropy of the softmax.
    `R_bn` is the mean over BatchNorm layers of RMS(mean - running mean) + RMS(var - running var),
    with the batch's biased variance of the layer's input (Yin et al. 2020, un-squared as in
    CoDream's code, scaled by the square root of the channels). `D(b)` is how far teacher and
    student are apart (`dreamshare.learning.disagreement`): dreams are drawn to where they differ.

    Attributes:
        labels_B: target class of each dream, int64, or None for the entropy objective.
        weights_B: weight >= 0 of each dream's task term, float32, or None for ones.
        feature_weight: weight of R_bn, >= 0; 0 leaves it out. Reference: 3 to 10.
        diversity: weight of the entropy of the batch's mean prediction, >= 0 (entropy objective).
        adversarial: kind of D: "none", "jsd", "masked_kl" or "server_entropy"; all but "none" need
            `student_BK`, and the answer then has `student_cotangent_BK`.
        adversarial_weight: weight of D, >= 0.
        student_BK: public logits of the student at the dreams, float32, or None.
        cotangent_BK: added weight of every logit, float32, or None: with `weights_B` zeros and
            `feature_weight` 0 the gradient is the vector-Jacobian product of the logits.
        statistics: what stands for running statistics in a net without BatchNorm: mean and
            variance of its own data at the inputs of LayerNorm and GroupNorm layers
            (`GivesFeatureStatistics`). Private; ignored by nets with BatchNorm.
    """

    labels_B: NDArray[np.int64] | None = None
    weights_B: NDArray[np.float32] | None = None
    feature_weight: float = 10.0
    diversity: float = 0.0
    adversarial: Adversarial = "none"
    adversarial_weight: float = 1.0
    student_BK: NDArray[np.float32] | None = None
    cotangent_BK: NDArray[np.float32] | None = None
    statistics: Mapping[str, NDArray[np.float32]] | None = None

    def __post_init__(self) -> None:
        _non_negative(self, "feature_weight", "diversity", "adversarial_weight")
        if self.adversarial not in get_args(Adversarial):
            known = ", ".join(get_args(Adversarial))
            raise ConfigError(f"adversarial {self.adversarial!r}: choose one of {known}")
        if (self.adversarial != "none") != (self.student_BK is not None):
            raise ConfigError("student_BK goes with an adversarial term, and only with one")
        for name in ("student_BK", "cotangent_BK"):
            array = getattr(self, name)
            if array is not None and not (array.ndim == 2 and np.isfinite(array).all()):
                raise ConfigError(f"{name} must be finite, one row per dream")
        if self.labels_B is not None and (self.labels_B.ndim != 1 or (self.labels_B < 0).any()):
            raise ConfigError("labels_B must be one non-negative class index per dream")
        if self.weights_B is not None:
            if self.weights_B.ndim != 1:
                raise ConfigError("weights_B must be one weight per dream")
            if not (np.isfinite(self.weights_B).all() and (self.weights_B >= 0).all()):
                raise ConfigError("weights_B must be finite and not negative")

    def check(self, batch: int, classes: int) -> None:
        """Raise ConfigError where arrays do not fit a batch or a net's classes."""
        labels = self.labels_B
        if labels is not None and (labels.shape != (batch,) or (labels >= classes).any()):
            raise ConfigError(f"labels_B must hold {batch} classes below {classes}")
        if self.weights_B is not None and self.weights_B.shape != (batch,):
            raise ConfigError(f"weights_B has shape {self.weights_B.shape}, not ({batch},)")
        for name in ("student_BK", "cotangent_BK"):
            array = getattr(self, name)
            if array is not None and array.shape != (batch, classes):
                raise ConfigError(f"{name} has shape {array.shape}, not ({batch}, {classes})")


@dataclass(frozen=True, slots=True)
class FitObjective:
    """How a learner trains on local examples and, where there are any, on labelled dreams.

        CE(z + log class_prior, y)  +  distillation_weight * T^2 * KL(targets || softmax(z / T))
            +  proximal / 2 * |w - w0|^2

    Attributes:
        optimizer: "adam" (betas 0.9, 0.999) or "sgd" (momentum 0.9). Its state is kept from one
            `fit` to the next as long as the kind stays the same.
        learning_rate: > 0.
        weight_decay: >= 0; L2 added to the gradient.
        distillation_weight: >= 0; weight of the second batch of a step.
        temperature: T > 0 of the distillation; the factor T^2 keeps gradients comparable
            (Hinton et al. 2015). `Batch.targets_NK` must have been softened with the same T.
        class_prior: share of each class in the local data, all > 0, sum 1: its logarithm is added
            to the logits of *local* batches only (balanced softmax, Ren et al. 2020), so that a
            skewed label histogram does not become a skewed classifier. None leaves it out.
        distillation_norm: BatchNorm on distillation batches: "running" normalises with the running
            statistics, "batch" with the batch's own; neither lets dreams move the running ones.
        projection: what happens to the gradients of a step's two batches where they oppose each
            other, g_local of the first and g_global of the second (`learning.projection`): "none"
            adds them as they are, "protect_global" takes from g_local what opposes g_global,
            "protect_local" the other way round, "symmetric" both.
        proximal: mu >= 0 (Li et al. 2020, FedProx); w are the trainable parameters, w0 what they
            were when `fit` was called.
        decay_steps: 0, or the number of this `fit`'s steps over which the rate falls along half a
            cosine, from `learning_rate` to almost nothing; steps beyond stay at the last rate.
    """

    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    distillation_weight: float = 1.0
    temperature: float = 1.0
    class_prior: tuple[float, ...] | None = None
    distillation_norm: DistillationNorm = "batch"
    projection: Projection = "none"
    proximal: float = 0.0
    decay_steps: int = 0

    def __post_init__(self) -> None:
        _positive(self, "learning_rate", "temperature")
        _non_negative(self, "decay_steps")
        _non_negative(self, "weight_decay", "distillation_weight", "proximal")
        if self.optimizer not in ("adam", "sgd"):
            raise ConfigError(f"optimizer {self.optimizer!r}: choose 'adam' or 'sgd'")
        if self.distillation_norm not in ("running", "batch"):
            raise ConfigError(
                f"distillation_norm {self.distillation_norm!r}: choose 'running' or 'batch'"
            )
        if self.projection not in get_args(Projection):
            known = ", ".join(get_args(Projection))
            raise ConfigError(f"projection {self.projection!r}: choose one of {known}")
        if self.class_prior is not None and not (
            all(p > 0 and math.isfinite(p) for p in self.class_prior)
            and math.isclose(sum(self.class_prior), 1.0, abs_tol=1e-6)
        ):
            raise ConfigError("class_prior must hold positive shares that sum to 1")

    def rate_at(self, step: int) -> float:
        """Return the rate of the 0-based step of a `fit`, > 0."""
        if self.decay_steps == 0:
            return self.learning_rate
        share = min(step, self.decay_steps - 1) / self.decay_steps
        return self.learning_rate * (1.0 + math.cos(math.pi * share)) / 2.0

    def balanced(self, counts_K: NDArray[np.int64], smoothing: float = 0.5) -> FitObjective:
        """Return this objective with the class prior of a device's own label histogram.

        `smoothing` examples are added to every class: a class that the device lacks keeps a finite
        logarithm. With balanced softmax the model learns p(y | x) as if classes were equally
        frequent.
        """
        smooth_K = counts_K.astype(np.float64) + smoothing
        if not (smooth_K > 0).all():
            raise ConfigError("balanced softmax: counts and smoothing must make every class > 0")
        prior_K = smooth_K / smooth_K.sum()
        return replace(self, class_prior=tuple(float(p) for p in prior_K))


def _positive(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}; it must be finite and > 0")


def _non_negative(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}; it must be finite and >= 0")
