"""What a CoDream run may be asked for; every field with its unit and range.

Defaults are the measured setting for small images (docs/algorithms/codream.md says on what). What
is refused, and with which words, is in `dreamshare.algorithms.codream.limits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dreamshare.algorithms.checks import digest, inputs
from dreamshare.algorithms.codream.limits import (
    Acquisition,
    Evaluation,
    Form,
    LabelAverage,
    Objective,
    Student,
    Weighting,
    check_ranges,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import Adversarial, DistillationNorm, Optimizer
from dreamshare.payloads.dreams import ServerOptimizer


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
        start: on the aggregator: a file of a public set (`PublicSet.save`), as moments/1 draws one;
            dreams begin as pictures of it, each of its own class. "": they begin as noise.
        start_set: its digest, 64 hex digits; empty without it.

        cycles: outer loop: dream, label, learn; >= 1.
        dreams: B, dreams of one cycle, >= 2 (BatchNorm statistics need two).
        dream_steps: masked sums of gradients for one cycle, >= 1.
        dream_rate: the server's step in input space, > 0. With "avg" it is unused.
        server_optimizer: "adam", "sgd", or "avg" (the mean of the devices' own results).
        local_steps: M, steps that a device takes on its copy of the dreams before it answers with
            (before - after) / local_rate; 1 gives the gradient itself. >= 1.
        local_rate: the device's step in input space, > 0; enters with local_steps > 1 or "avg".

        stop_share: a cycle stops dreaming once the RMS of the public mean gradient has fallen to
            this share of the cycle's largest; 0 (never) to below 1.
        dream_bits: 8 sends dreams as bytes over [low, high], 32 as float32.

        form: "direct" moves the dreams themselves; "generator" moves a shared public generator and
            the cycle's latents towards the moved dreams, and keeps what cycles have in common.
        latent: values of a latent, 1 to 4,096; with labels the class is appended to them.
        generator_width: channels of the generator's last hidden layer, 1 to 1,024.
        generator_steps: Adam steps of generator and latents after each sum, >= 1; no bytes.
        generator_rate: of the generator, > 0.
        latent_rate: of the latents, > 0.
        meta_rate: Reptile's step from the kept generator towards the cycle's, by Adam, > 0.

        objective: "labels" (cross-entropy to assigned classes, round-robin over the classes that
            the cohort has) or "entropy" (the paper's; collapses under label skew without
            `diversity`).
        diversity: weight of the entropy of the batch's mean prediction, >= 0.
        feature_weight: weight of the statistics term, >= 0. A net without BatchNorm compares with
            statistics of its own data at the inputs of its LayerNorm and GroupNorm layers; a net
            without either needs 0.
        smoothness: weight of total variation, >= 0 (added after the sum).
        norm: weight of squared pixels, >= 0 (added after the sum).
        adversarial: "none", or how dreams are drawn to where teachers and the aggregator's student
            differ: "jsd", "masked_kl", "server_entropy"; needs a student.
        adversarial_weight: its weight, >= 0.
        adversarial_from: 0-based first cycle that has it, >= 1: the student must have learnt.
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
        acquisition: "shared" distils with `distillation_weight`; "training" and "held_out" let a
            device take the best of `candidates` by its own loss on those examples. A figure
            measured on the same held-out examples is then too good.
        candidates: distillation weights to choose from, each >= 0, 2 to 8 of them.
        student: "small" trains a public classifier on the aggregator from the dreams alone.
        student_width: channels of its first layer, 1 to 1,024.
        student_steps: its Adam steps in each cycle, >= 1.
        student_rate: > 0.
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
    start: str = ""
    start_set: str = ""

    cycles: int = 5
    dreams: int = 60
    dream_steps: int = 15
    dream_rate: float = 0.5
    server_optimizer: ServerOptimizer = "adam"
    local_steps: int = 1
    local_rate: float = 0.1
    stop_share: float = 0.0
    dream_bits: int = 32

    form: Form = "direct"
    latent: int = 64
    generator_width: int = 16
    generator_steps: int = 10
    generator_rate: float = 0.01
    latent_rate: float = 0.03
    meta_rate: float = 0.01

    objective: Objective = "labels"
    diversity: float = 0.0
    feature_weight: float = 10.0
    smoothness: float = 1.0
    norm: float = 0.0001
    adversarial: Adversarial = "none"
    adversarial_weight: float = 1.0
    adversarial_from: int = 1
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
    acquisition: Acquisition = "shared"
    candidates: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0)
    student: Student = "none"
    student_width: int = 16
    student_steps: int = 40
    student_rate: float = 0.003
    replay: int = 1000

    evaluate: Evaluation = "never"
    max_examples: int = 65_536
    gradient_bound: float = 256.0
    first_gradient_bound: float = 8.0
    gradient_bits: int = 16

    def __post_init__(self) -> None:
        inputs(self.shape, self.low, self.high)
        check_ranges(self)
        if self.replay < self.dreams:
            raise ConfigError(f"replay is {self.replay}; keep at least one cycle's {self.dreams}")
        if self.first_gradient_bound > self.gradient_bound:
            raise ConfigError("first_gradient_bound is above gradient_bound, the largest")
        if bool(self.start) != bool(self.start_set):
            raise ConfigError("start and start_set go together: a file and its digest")
        if self.start:
            digest(self, "start_set")
            if self.form != "direct" or self.objective != "labels":
                raise ConfigError("start needs form 'direct' and objective 'labels'")
        if self.dream_bits not in (8, 32):
            raise ConfigError(f"dream_bits is {self.dream_bits}; choose 8 or 32")
        if not 0 <= self.stop_share < 1:
            raise ConfigError(f"stop_share is {self.stop_share}; choose 0 to below 1")
        if not 2 <= len(self.candidates) <= 8 or not all(
            math.isfinite(c) and c >= 0 for c in self.candidates
        ):
            raise ConfigError("candidates must be 2 to 8 weights, each finite and >= 0")
        if self.adversarial != "none" and self.student == "none":
            raise ConfigError(
                f"adversarial {self.adversarial!r} needs a student to differ from; set student"
            )
        if self.weighting == "class" and self.objective == "entropy":
            raise ConfigError(
                "weighting 'class' needs objective 'labels': without labels a dream has no class; "
                "use 'uniform' or 'examples'"
            )
