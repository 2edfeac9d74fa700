"""`consensus/1`: devices label public inputs together and learn from the mean label.

    (warm_up ->) [ answer -> learn (-> evaluate) ] x rounds -> done

FedMD (Li, Wang 2019: mean logits) and AvgKD (Afonin, Karimireddy 2022: mean posteriors) in one: the
baseline of everything that makes its inputs instead of being given them.

Shape legend: M public inputs, K classes.

Rules:
- the public inputs are named by digest (`dreamshare.learning.public`); their labels, where they
  have any, are not used;
- every device weighs the same; whoever is missing is missing from the mean;
- distillation and local training share each optimiser step, as in `codream/1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Tell
from dreamshare.algorithms.checks import choice, digest, not_negative, positive, whole
from dreamshare.algorithms.posteriors import (
    POSTERIORS,
    Told,
    normalised,
    packed,
    posterior_field,
    posteriors,
    received,
    sent,
    steps_beside,
    unpacked,
)
from dreamshare.algorithms.rounds import Evaluation, PosteriorRounds, RoundsState
from dreamshare.learning.base import Data, Floats, Learner
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DistillationNorm, FitObjective, Optimizer
from dreamshare.learning.public import PublicSet, public_set
from dreamshare.updates import Array, Field, PublicArray, Update

ConsensusState = RoundsState

Opinion = Literal["posteriors", "logits"]
LOGITS = "logits"


@dataclass(frozen=True, slots=True)
class ConsensusConfig:
    """A run of `consensus/1`.

    Attributes:
        public_set: digest of the public inputs, 64 hex digits.
        inputs: M, how many there are, 1 to 1,000,000.
        classes: K, 2 to 10,000.
        rounds: >= 1.

        opinion: what is averaged: "posteriors" or "logits".
        logit_bound: clip of a logit, > 0 ("logits").
        temperature: T > 0; of the posteriors, the mean logits and the distillation alike.
        bits: resolution of an answer, 8 to 20.
        told: soft labels on their way down, "float32" or "uint8".

        warm_up_epochs: local passes before the first answer, >= 0.
        warm_up_rate: their rate, > 0.
        fit_steps: optimiser steps of a round, >= 0.
        local_batch: local examples of a step, >= 2.
        public_batch: public inputs of a step, >= 2 (all of them where there are fewer).
        optimizer, learning_rate, weight_decay: of the device; its state lasts.
        distillation_weight: weight of the consensus, >= 0.
        distillation_norm: BatchNorm on public inputs, "batch" or "running".
        balanced: balanced softmax with the device's own label histogram.

        evaluate: masked accuracy and loss "never", at the "end" or every "round".
        max_examples: largest number of held-out examples of a device, 1 to 2^24.
    """

    public_set: str
    inputs: int
    classes: int
    rounds: int = 10

    opinion: Opinion = "posteriors"
    logit_bound: float = 16.0
    temperature: float = 1.0
    bits: int = 12
    told: Told = "float32"

    warm_up_epochs: int = 12
    warm_up_rate: float = 0.002
    fit_steps: int = 30
    local_batch: int = 64
    public_batch: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.002
    weight_decay: float = 0.0001
    distillation_weight: float = 3.0
    distillation_norm: DistillationNorm = "batch"
    balanced: bool = True

    evaluate: Evaluation = "never"
    max_examples: int = 65_536

    def __post_init__(self) -> None:
        digest(self, "public_set")
        for name, least, most in _WHOLE:
            whole(self, name, least, most)
        positive(self, "logit_bound", "temperature", "warm_up_rate", "learning_rate")
        not_negative(self, "weight_decay", "distillation_weight")
        choice(self, "opinion", Opinion)
        choice(self, "told", Told)
        choice(self, "optimizer", Optimizer)
        choice(self, "distillation_norm", DistillationNorm)
        choice(self, "evaluate", Evaluation)


_WHOLE = (
    ("inputs", 1, 1_000_000),
    ("classes", 2, 10_000),
    ("rounds", 1, 10_000),
    ("bits", 8, 20),
    ("warm_up_epochs", 0, 10_000),
    ("fit_steps", 0, 1_000_000),
    ("local_batch", 2, 65_536),
    ("public_batch", 2, 65_536),
    ("max_examples", 1, 2**24),
)


class Consensus(PosteriorRounds[ConsensusConfig]):
    """See the module's docstring."""

    name = "consensus/1"

    def answer_fields(self) -> tuple[Field, ...]:
        c = self.config
        if c.opinion == "logits":
            return (Field(LOGITS, (c.inputs, c.classes), c.logit_bound, c.bits),)
        return (posterior_field(c.inputs, c.classes, c.bits),)

    def answer(self, ask: Ask, learner: Learner, data: Data) -> Update:
        c = self.config
        x_NCHW = public_set(data, c.public_set, c.inputs, learner).x_NCHW
        if c.opinion == "logits":
            logits_MK = learner.logits(x_NCHW).astype(np.float64)
            return Update({LOGITS: np.clip(logits_MK, -c.logit_bound, c.logit_bound)})
        return Update({POSTERIORS: sent(posteriors(learner, x_NCHW, c.temperature))})

    def tell(self, mean: Mapping[str, Array], crowd: Crowd) -> Mapping[str, PublicArray]:
        if self.config.opinion == "logits":
            agreed_MK = softmax(mean[LOGITS].astype(np.float64) / self.config.temperature)
        else:
            agreed_MK = received(mean)
        return {"targets": packed(normalised(agreed_MK), self.config.told)}

    def learn(self, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        c = self.config
        x_NCHW = public_set(data, c.public_set, c.inputs, learner).x_NCHW
        targets_MK = self._targets(tell.tensors)
        steps = steps_beside(
            data, rng, c.local_batch, c.fit_steps, x_NCHW, targets_MK, c.public_batch
        )
        learner.fit(steps, self.fit_objective(data, c.learning_rate))

    def labelled(self, told: Mapping[str, PublicArray], public: PublicSet) -> Floats | None:
        return self._targets(told) if public.digest == self.config.public_set else None

    def fit_objective(self, data: Data, rate: float) -> FitObjective:
        c = self.config
        objective = FitObjective(
            optimizer=c.optimizer,
            learning_rate=rate,
            weight_decay=c.weight_decay,
            distillation_weight=c.distillation_weight,
            temperature=c.temperature,
            distillation_norm=c.distillation_norm,
        )
        return objective.balanced(data.class_counts(c.classes)) if c.balanced else objective

    def _targets(self, tensors: Mapping[str, PublicArray]) -> Floats:
        c = self.config
        return normalised(unpacked(tensors, "targets", (c.inputs, c.classes), c.told))
