"""What a run of `fedh2l/1` may be asked for; every field with its unit and range."""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare.algorithms.checks import choice, digest, not_negative, positive, whole
from dreamshare.algorithms.posteriors import Told
from dreamshare.algorithms.rounds import Evaluation
from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import DistillationNorm, Optimizer, Projection


@dataclass(frozen=True, slots=True)
class FedH2LConfig:
    """A run of `fedh2l/1`.

    Attributes:
        seed_set: digest of the seed set, 64 hex digits (`PublicSet.digest`).
        seeds: M, how many inputs it has, 1 to 1,000,000.
        classes: K, 2 to 10,000.
        rounds: >= 1.

        mutual_weight: lambda >= 0 of the mean divergence from the others.
        label_weight: weight >= 0 of the cross-entropy to the seeds' own labels; 0 for a seed set
            without labels. One of the two weights is > 0.
        projection: which gradient is protected where local and mutual one oppose each other:
            "protect_global" (the mutual one), "protect_local", "symmetric" or "none".
        bits: resolution of a posterior on its way up, 8 to 20.
        told: mean posteriors on their way down, "float32" or "uint8".
        tag_slots: size of the field in which a device finds whether its answer was in the sum,
            32 to 65,536; 32 per device of the cohort make an error less likely than 1 in 10^6.

        warm_up_epochs: local passes before the first answer, >= 0.
        warm_up_rate: their rate, > 0.
        fit_steps: optimiser steps of a round, >= 0.
        local_batch: local examples of a step, >= 2.
        seed_batch: seeds of a step, >= 2 (all of them where there are fewer).
        optimizer, learning_rate, weight_decay: of the device; its state lasts.
        distillation_norm: BatchNorm on seeds, "batch" or "running".
        balanced: balanced softmax with the device's own label histogram.

        evaluate: masked accuracy and loss "never", at the "end" or every "round".
        max_examples: largest number of held-out examples of a device, 1 to 2^24.
        test_set: digest of a public set with classes and domains, on which "evaluate" measures own,
            other and all domains; "" for none.
        tests: how many inputs it has; 0 without one.
    """

    seed_set: str
    seeds: int
    classes: int
    rounds: int = 10

    mutual_weight: float = 1.0
    label_weight: float = 1.0
    projection: Projection = "protect_global"
    bits: int = 12
    told: Told = "float32"
    tag_slots: int = 1024

    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    fit_steps: int = 30
    local_batch: int = 64
    seed_batch: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.002
    weight_decay: float = 0.0001
    distillation_norm: DistillationNorm = "batch"
    balanced: bool = True

    evaluate: Evaluation = "never"
    max_examples: int = 65_536
    test_set: str = ""
    tests: int = 0

    def __post_init__(self) -> None:
        digest(self, "seed_set")
        for name, least, most in _WHOLE:
            whole(self, name, least, most)
        positive(self, "warm_up_rate", "learning_rate")
        not_negative(self, "mutual_weight", "label_weight", "weight_decay")
        if self.mutual_weight + self.label_weight == 0:
            raise ConfigError("mutual_weight and label_weight are 0: nothing is learnt from seeds")
        choice(self, "projection", Projection)
        choice(self, "told", Told)
        choice(self, "optimizer", Optimizer)
        choice(self, "distillation_norm", DistillationNorm)
        choice(self, "evaluate", Evaluation)
        if self.test_set:
            digest(self, "test_set")
        if bool(self.test_set) != (self.tests > 0):
            raise ConfigError("test_set and tests go together: a digest and its number of inputs")


_WHOLE = (
    ("seeds", 1, 1_000_000),
    ("classes", 2, 10_000),
    ("rounds", 1, 10_000),
    ("bits", 8, 20),
    ("tag_slots", 32, 65_536),
    ("warm_up_epochs", 0, 10_000),
    ("fit_steps", 0, 1_000_000),
    ("local_batch", 2, 65_536),
    ("seed_batch", 2, 65_536),
    ("max_examples", 1, 2**24),
    ("tests", 0, 1_000_000),
)
