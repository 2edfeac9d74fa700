"""Ranges and choices of a CoDream config, and the words with which another value is refused."""

from __future__ import annotations

from typing import Literal

from dreamshare.algorithms.checks import choice, not_negative, positive, whole
from dreamshare.learning.objectives import Adversarial, DistillationNorm, Optimizer
from dreamshare.payloads.dreams import ServerOptimizer

Objective = Literal["labels", "entropy"]
Weighting = Literal["class", "examples", "uniform"]
LabelAverage = Literal["class", "mean_softmax", "mean_logits"]
Evaluation = Literal["never", "end", "cycle"]
Form = Literal["direct", "generator"]
Student = Literal["none", "small"]
Acquisition = Literal["shared", "training", "held_out"]

WHOLE = (
    ("classes", 2, 10_000),
    ("seed", 0, 2**32 - 1),
    ("cycles", 1, 10_000),
    ("dreams", 2, 65_536),
    ("dream_steps", 1, 10_000),
    ("local_steps", 1, 1_000),
    ("latent", 1, 4_096),
    ("generator_width", 1, 1_024),
    ("generator_steps", 1, 10_000),
    ("adversarial_from", 1, 10_000),
    ("warm_up_epochs", 0, 10_000),
    ("fit_steps", 0, 1_000_000),
    ("local_batch", 2, 65_536),
    ("distillation_batch", 2, 65_536),
    ("student_width", 1, 1_024),
    ("student_steps", 1, 1_000_000),
    ("replay", 2, 1_000_000),
    ("max_examples", 1, 2**24),
    ("gradient_bits", 8, 20),
)
POSITIVE = (
    "dream_rate",
    "local_rate",
    "generator_rate",
    "latent_rate",
    "meta_rate",
    "logit_bound",
    "temperature",
    "warm_up_rate",
    "learning_rate",
    "student_rate",
    "gradient_bound",
    "first_gradient_bound",
)
NOT_NEGATIVE = (
    "spread",
    "diversity",
    "feature_weight",
    "smoothness",
    "norm",
    "adversarial_weight",
    "weight_decay",
    "distillation_weight",
)
CHOICES = (
    ("server_optimizer", ServerOptimizer),
    ("form", Form),
    ("objective", Objective),
    ("adversarial", Adversarial),
    ("weighting", Weighting),
    ("label_average", LabelAverage),
    ("optimizer", Optimizer),
    ("distillation_norm", DistillationNorm),
    ("acquisition", Acquisition),
    ("student", Student),
    ("evaluate", Evaluation),
)


def check_ranges(config: object) -> None:
    """Raise ConfigError for the first field outside its own range."""
    for name, least, most in WHOLE:
        whole(config, name, least, most)
    positive(config, *POSITIVE)
    not_negative(config, *NOT_NEGATIVE)
    for name, choices in CHOICES:
        choice(config, name, choices)
