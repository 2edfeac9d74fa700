"""What a CoDream run may be asked for; every field with its unit and range.

Defaults are the measured setting for small images (docs/algorithms/codream.md says on what).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import Adversarial, DistillationNorm, Optimizer
from dreamshare.payloads.dreams import ServerOptimizer

Objective = Literal["labels", "entropy"]
Weighting = Literal["class", "examples", "uniform"]
LabelAverage = Literal["class", "mean_softmax", "mean_logits"]
Evaluation = Literal["never", "end", "cycle"]


@dataclass(frozen=True, slots=True)
class CodreamConfig:
    """A run of `codream/1`.

    Attributes:
        shape: (C, H, W) of one dream, each >= 1: what every device's model takes.
        classes: K, 2 to 10,000.
        low: smallest value of a dream, in the models' normalised space.
        high: largest value, > low.
        seed: public seed of the dreams' starts, 0 to 2^32 - 1.
        spread: standard deviation of a dream's start, >= 0.

        cycles: outer loop: dream, label, learn; >= 1.
        dreams: B, dreams of one cycle, >= 2 (BatchNorm statistics need two).
        dream_steps: masked sums of gradients for one cycle, >= 1.
        dream_rate: the server's step in input space, > 0. With "avg" it is unused.
        server_optimizer: "adam", "sgd", or "avg" (the mean of the devices' own results).
        local_steps: M, steps that a device takes on its copy of the dreams before it answers with
            (before - after) / local_rate; 1 gives the gradient itself. >= 1.
        local_rate: the device's step in input space, > 0; enters with local_steps > 1 or "avg".

        objective: "labels" (cross-entropy to assigned classes, round-robin over the classes that
            the cohort has) or "entropy" (the paper's; collapses under label skew without
            `diversity`).
        diversity: weight of the entropy of the batch's mean prediction, >= 0.
        feature_weight: weight of the BatchNorm statistics term, >= 0; 0 for nets without BatchNorm.
        smoothness: weight of total variation, >= 0 (added after the sum).
        norm: weight of squared pixels, >= 0 (added after the sum).
        adversarial: teacher against student term; "none" in this release.
        weighting: whose gradient counts on a dream: "class" (a device's share of the cohort's
            examples of the dream's class, computed on the device), "examples" (its share of all
            examples) or "uniform". "class" needs objective "labels".

        label_average: soft labels: "class" (each column weighted by the devices' shares of that
            class), "mean_softmax" or "mean_logits" (both weighted by `weighting` "examples", else
            equal).
        logit_bound: logits are clipped to +- this for "mean_logits", > 0.
        temperature: T of soft labels and distillation, > 0.

        warm_up_epochs: local epochs before the first cycle, >= 0.
        warm_up_rate: learning rate of the warm-up, > 0.
        fit_steps: optimiser steps of a device in each cycle, >= 0.
        local_batch: local examples of a step, >= 2.
        distillation_batch: replayed dreams of a step, >= 2.
        optimizer: "adam" or "sgd".
        learning_rate: of the steps in the cycles, > 0.
        weight_decay: >= 0.
        distillation_weight: lambda, weight of the distillation loss, >= 0.
        distillation_norm: BatchNorm on dreams: "running" or "batch" statistics.
        balanced: add the log of the device's own class shares to the logits of local examples
            (balanced softmax).
        replay: dreams that a device keeps, newest last, >= dreams. Too few and devices collapse.

        evaluate: ask for masked accuracy and loss "never", at the "end" or every "cycle".
        max_examples: largest number of examples (of one class, or held out) that a device counts;
            1 to 2^24. Counts travel with a resolution of this / 2^19.
        gradient_bound: largest clip of a coordinate of the gradient field, > 0; the bound in use
            follows the public sums.
        first_gradient_bound: clip of the very first gradient, > 0 and at most gradient_bound.
        gradient_bits: resolution of the gradient field, 8 to 20.
    """

    shape: tuple[int, int, int]
    classes: int
    low: float = -1.0
    high: float = 1.0
    seed: int = 0
    spread: float = 0.7

    cycles: int = 5
    dreams: int = 60
    dream_steps: int = 15
    dream_rate: float = 0.5
    server_optimizer: ServerOptimizer = "adam"
    local_steps: int = 1
    local_rate: float = 0.1

    objective: Objective = "labels"
    diversity: float = 0.0
    feature_weight: float = 10.0
    smoothness: float = 1.0
    norm: float = 0.0001
    adversarial: Adversarial = "none"
    weighting: Weighting = "class"

    label_average: LabelAverage = "class"
    logit_bound: float = 16.0
    temperature: float = 1.0

    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    fit_steps: int = 30
    local_batch: int = 64
    distillation_batch: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.002
    weight_decay: float = 0.0001
    distillation_weight: float = 3.0
    distillation_norm: DistillationNorm = "batch"
    balanced: bool = True
    replay: int = 1000

    evaluate: Evaluation = "never"
    max_examples: int = 65_536
    gradient_bound: float = 256.0
    first_gradient_bound: float = 8.0
    gradient_bits: int = 16

    def __post_init__(self) -> None:
        if [n >= 1 for n in self.shape] != [True, True, True]:
            raise ConfigError(f"shape is {self.shape}; give (channels, height, width), each >= 1")
        for name, least, most in _WHOLE:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"{name} is {value}; choose {least} to {most}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value}; it must be finite and > 0")
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} is {value}; it must be finite and >= 0")
        for name, choices in _CHOICES:
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"low {self.low} must lie below high {self.high}, both finite")
        if self.adversarial != "none":
            raise ConfigError(f"adversarial {self.adversarial!r}: this release offers 'none'")
        if self.replay < self.dreams:
            raise ConfigError(f"replay is {self.replay}; keep at least one cycle's {self.dreams}")
        if self.first_gradient_bound > self.gradient_bound:
            raise ConfigError("first_gradient_bound is above gradient_bound, the largest")
        if self.weighting == "class" and self.objective == "entropy":
            raise ConfigError(
                "weighting 'class' needs objective 'labels': without labels a dream has no class; "
                "use 'uniform' or 'examples'"
            )


_WHOLE = (
    ("classes", 2, 10_000),
    ("seed", 0, 2**32 - 1),
    ("cycles", 1, 10_000),
    ("dreams", 2, 65_536),
    ("dream_steps", 1, 10_000),
    ("local_steps", 1, 1_000),
    ("warm_up_epochs", 0, 10_000),
    ("fit_steps", 0, 1_000_000),
    ("local_batch", 2, 65_536),
    ("distillation_batch", 2, 65_536),
    ("replay", 2, 1_000_000),
    ("max_examples", 1, 2**24),
    ("gradient_bits", 8, 20),
)
_POSITIVE = (
    "dream_rate",
    "local_rate",
    "logit_bound",
    "temperature",
    "warm_up_rate",
    "learning_rate",
    "gradient_bound",
    "first_gradient_bound",
)
_NOT_NEGATIVE = (
    "spread",
    "diversity",
    "feature_weight",
    "smoothness",
    "norm",
    "weight_decay",
    "distillation_weight",
)
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("server_optimizer", get_args(ServerOptimizer)),
    ("objective", get_args(Objective)),
    ("adversarial", get_args(Adversarial)),
    ("weighting", get_args(Weighting)),
    ("label_average", get_args(LabelAverage)),
    ("optimizer", get_args(Optimizer)),
    ("distillation_norm", get_args(DistillationNorm)),
    ("evaluate", get_args(Evaluation)),
)
