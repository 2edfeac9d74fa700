"""`fedh2l/1`: mutual distillation on a seed set, exact by total minus own (Li et al. 2021).

Shape legend: M seeds, K classes, n devices in a sum.

The gradient of sum over j != i of KL(P_j || q) with respect to q's logits is (n - 1) q - sum P_j:
of the others a device needs the sum of their posteriors and nothing else. It subtracts its own from
the total that everybody is told, so the mean over the others is exact up to the encoding.

Rules:
- what leaves a device are its posteriors on the seeds and its marks (`tags`), inside a masked sum;
- only an answer that was in the sum is subtracted from it (`tags`);
- cross-entropy to the seeds' labels and divergence from the others have the gradient of one
  cross-entropy to blended targets, so a step is one local and one seed batch;
- where the two gradients oppose each other, `projection` decides, on the device, before momentum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Crowd, Tell
from dreamshare.algorithms.domains import domain_accuracies, domain_evaluation, domain_fields
from dreamshare.algorithms.fedh2l.config import FedH2LConfig
from dreamshare.algorithms.fedh2l.tags import TAGS, marked, places, slots_marked, tag_field
from dreamshare.algorithms.posteriors import (
    POSTERIORS,
    local_steps,
    normalised,
    packed,
    posterior_field,
    posteriors,
    received,
    sent,
    steps_beside,
    told,
    unpacked,
)
from dreamshare.algorithms.rounds import PosteriorRounds, RoundsState
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Floats, Learner
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.public import PublicSet, public_set
from dreamshare.updates import Array, Field, PublicArray, Update

FedH2LState = RoundsState

SURVIVORS = "survivors"


class FedH2L(PosteriorRounds[FedH2LConfig]):
    """See the module's docstring."""

    name = "fedh2l/1"

    def noise_fault(self) -> str:
        return (
            "noise hides the marks by which a device finds its own answer in a sum; "
            "run consensus/1, which subtracts nothing"
        )

    def answer_fields(self) -> tuple[Field, ...]:
        c = self.config
        return posterior_field(c.seeds, c.classes, c.bits), tag_field(c.tag_slots)

    def answer(self, ask: Ask, learner: Learner, data: Data) -> Update:
        own_MK = posteriors(learner, self._seeds(learner, data).x_NCHW)
        tags = marked(self._places(learner, data, ask.cycle), self.config.tag_slots)
        return Update({POSTERIORS: sent(own_MK), TAGS: tags})

    def tell(self, mean: Mapping[str, Array], crowd: Crowd) -> Mapping[str, PublicArray]:
        return {
            POSTERIORS: packed(received(mean), self.config.told),
            TAGS: slots_marked(mean[TAGS], crowd.survivors),
            SURVIVORS: np.array([crowd.survivors], np.int64),
        }

    def learn(self, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        c = self.config
        seeds = self._seeds(learner, data)
        others_MK = self.others(tell, learner, data)
        targets_MK, weight = self._targets(seeds, others_MK)
        objective = self.fit_objective(data, c.learning_rate, weight)
        if weight == 0:
            learner.fit(local_steps(data, rng, c.local_batch, c.fit_steps), objective)
            return
        steps = steps_beside(
            data, rng, c.local_batch, c.fit_steps, seeds.x_NCHW, targets_MK, c.seed_batch
        )
        learner.fit(steps, objective)

    def others(self, tell: Tell, learner: Learner, data: Data) -> Floats | None:
        """Return the mean posteriors of the others, or None where nobody else answered.

        The learner's weights are still those of this round's answer, so its own posteriors are
        computed again instead of being kept.

        Raises:
            ConfigError: a tensor did not come, or has another shape.
        """
        c = self.config
        mean_MK = unpacked(tell.tensors, POSTERIORS, (c.seeds, c.classes), c.told)
        slots = told(tell.tensors, TAGS, (c.tag_slots,))
        count = float(told(tell.tensors, SURVIVORS, (1,))[0])
        if not slots[self._places(learner, data, tell.cycle)].all():
            return normalised(mean_MK)
        if count < 2:
            return None
        own_MK = posteriors(learner, self._seeds(learner, data).x_NCHW)
        return normalised((count * mean_MK - own_MK) / (count - 1))

    def labelled(self, told: Mapping[str, PublicArray], public: PublicSet) -> Floats | None:
        """Return the targets of a device that did not answer: the seeds' classes and everybody."""
        c = self.config
        if public.digest != c.seed_set:
            return None
        mean_MK = normalised(unpacked(told, POSTERIORS, (c.seeds, c.classes), c.told))
        targets_MK, weight = self._targets(public, mean_MK)
        return targets_MK if weight else None

    def fit_objective(self, data: Data, rate: float, seed_weight: float = 0.0) -> FitObjective:
        c = self.config
        objective = FitObjective(
            optimizer=c.optimizer,
            learning_rate=rate,
            weight_decay=c.weight_decay,
            distillation_weight=seed_weight,
            distillation_norm=c.distillation_norm,
            projection=c.projection,
        )
        return objective.balanced(data.class_counts(c.classes)) if c.balanced else objective

    def evaluation_fields(self) -> tuple[Field, ...]:
        own = super().evaluation_fields()
        return (*own, *domain_fields(self.config.tests)) if self.config.test_set else own

    def evaluation(self, learner: Learner, data: Data) -> Update:
        c = self.config
        own = super().evaluation(learner, data)
        if not c.test_set:
            return own
        tests = public_set(data, c.test_set, c.tests, learner)
        return Update({**own.arrays, **domain_evaluation(learner, data, tests)})

    def evaluated(self, mean: Mapping[str, Array]) -> dict[str, float]:
        own = super().evaluated(mean)
        return own | domain_accuracies(mean) if self.config.test_set else own

    def _seeds(self, learner: Learner, data: Data) -> PublicSet:
        c = self.config
        seeds = public_set(data, c.seed_set, c.seeds, learner)
        if c.label_weight > 0 and seeds.y_N is None:
            raise ConfigError("the seed set has no classes; set label_weight to 0")
        return seeds

    def _places(self, learner: Learner, data: Data, round_: int) -> NDArray[np.int64]:
        return places(learner, data, self.config.classes, round_, self.config.tag_slots)

    def _targets(self, seeds: PublicSet, others_MK: Floats | None) -> tuple[Floats, float]:
        """Return (a labels + b others) / (a + b) and a + b, the weight of the cross-entropy."""
        c = self.config
        labels, mutual = c.label_weight, c.mutual_weight if others_MK is not None else 0.0
        total_MK = np.zeros((c.seeds, c.classes))
        if seeds.y_N is not None and labels > 0:
            if seeds.y_N.max() >= c.classes:
                raise ConfigError(f"the seed set has a class of {c.classes} or more")
            total_MK[np.arange(c.seeds), seeds.y_N] += labels
        if others_MK is not None:
            total_MK += mutual * others_MK
        weight = labels + mutual
        return normalised(total_MK), weight
