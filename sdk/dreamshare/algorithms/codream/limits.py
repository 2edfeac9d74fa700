"""Ranges and choices of a CoDream config, and the words with which another value is refused."""

from __future__ import annotations

import math

from dreamshare.errors import ConfigError

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
CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("server_optimizer", ("adam", "sgd", "avg")),
    ("form", ("direct", "generator")),
    ("objective", ("labels", "entropy")),
    ("adversarial", ("none", "jsd", "masked_kl", "server_entropy")),
    ("weighting", ("class", "examples", "uniform")),
    ("label_average", ("class", "mean_softmax", "mean_logits")),
    ("optimizer", ("adam", "sgd")),
    ("distillation_norm", ("running", "batch")),
    ("acquisition", ("shared", "training", "held_out")),
    ("student", ("none", "small")),
    ("evaluate", ("never", "end", "cycle")),
)


def check_ranges(config: object, shape: tuple[int, int, int]) -> None:
    """Raise ConfigError for the first field outside its own range."""
    if [n >= 1 for n in shape] != [True, True, True]:
        raise ConfigError(f"shape is {shape}; give (channels, height, width), each >= 1")
    for name, least, most in WHOLE:
        value = getattr(config, name)
        if not least <= value <= most:
            raise ConfigError(f"{name} is {value}; choose {least} to {most}")
    for name in POSITIVE:
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}; it must be finite and > 0")
    for name in NOT_NEGATIVE:
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is {value}; it must be finite and >= 0")
    for name, choices in CHOICES:
        value = getattr(config, name)
        if value not in choices:
            raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
