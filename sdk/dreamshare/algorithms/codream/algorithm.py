"""The state machine of `codream/1`: count, warm up, then cycles of dream, label and learn.

    count -> warm_up -> [ dream x dream_steps -> label -> acquire (-> evaluate) ] x cycles -> done

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- every nonlinear step (optimiser, priors, clamp, generator, student, normalisation of labels) runs
  on the aggregator, after a sum (`forming`, `student`); what a device computes is in `device`;
- the state is a value; nothing private is in it (`state`).

Source: Singh et al., "Co-Dream", AAAI 2025, with class-weighted targets instead of entropy alone;
see docs/algorithms/codream.md for what differs and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import Bound, clipped_field
from dreamshare.algorithms.codream import acquiring, device, forming
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.showing import gallery_of_dreams
from dreamshare.algorithms.codream.state import CodreamState, Stage, sums_left
from dreamshare.algorithms.codream.student import first_student, opinion, result_of, taught
from dreamshare.algorithms.evaluate import evaluated, evaluation, evaluation_fields
from dreamshare.algorithms.shares import held, over_mass
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.learning.measures import softmax
from dreamshare.learning.plain import Trained
from dreamshare.payloads.dreams import Floats, Replay, ServerStep
from dreamshare.payloads.gallery import Gallery
from dreamshare.payloads.pixels import packed, packed_labels
from dreamshare.updates import Array, Field, PublicArray, Update


class Codream:
    """See the module's docstring."""

    name = "codream/1"

    def __init__(self, config: CodreamConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        steps: dict[str, tuple[Field, ...]] = {
            Stage.COUNT.value: (
                Field("counts", (c.classes,), bound=float(c.max_examples), bits=20),
            ),
            Stage.DREAM.value: self._dream_fields(c.gradient_bound),
            Stage.LABEL.value: self._label_fields(),
        }
        if c.adversarial not in ("none", "server_entropy"):
            steps[Stage.CONTEST.value] = self._contest_fields(c.gradient_bound)
        if c.evaluate != "never":
            steps[Stage.EVALUATE.value] = evaluation_fields(c.max_examples)
        return steps

    def init(self, rng: np.random.Generator) -> CodreamState:
        """Return the first state; the dreams' randomness is the config's public seed alone."""
        c = self.config
        if c.start:
            forming.start_of(c)  # before anything private is asked for
        none_BCHW = np.zeros((0, *c.shape), np.float32)
        none_BK = np.zeros((0, c.classes), np.float32)
        return CodreamState(
            stage=Stage.COUNT,
            cycle=0,
            bound=Bound(c.first_gradient_bound, c.gradient_bound),
            totals_K=np.zeros(c.classes),
            x_BCHW=none_BCHW,
            labels_B=np.zeros(0, np.int64),
            server=ServerStep.start(none_BCHW),
            replay=Replay(none_BCHW, none_BK),
            targets_BK=none_BK,
            meta=forming.first_generator(c),
            made_by=Trained.start({}),
            latents=Trained.start({}),
            student=first_student(c),
        )

    def plan(self, state: CodreamState) -> Ask | Tell | Done:
        sums = sums_left(self.config, state)
        dreams = {"dreams": self._sent(state.x_BCHW), "totals": state.totals_K}
        match state.stage:
            case Stage.COUNT:
                return Ask(Stage.COUNT.value, self.steps()[Stage.COUNT], sums=sums)
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {"totals": state.totals_K}, sums=sums)
            case Stage.DREAM:
                fields = self._dream_fields(state.bound.value)
                dreams["labels"] = packed_labels(state.labels_B, self.config.classes)
                return Ask(Stage.DREAM.value, fields, dreams, sums, state.cycle)
            case Stage.CONTEST:
                fields = self._contest_fields(state.bound.value)
                dreams["labels"] = packed_labels(state.labels_B, self.config.classes)
                seen_BCHW = forming.shown(self.config, state.x_BCHW)
                dreams["student"] = opinion(self.config, state.student, seen_BCHW)
                return Ask(Stage.CONTEST.value, fields, dreams, sums, state.cycle)
            case Stage.LABEL:
                return Ask(Stage.LABEL.value, self._label_fields(), dreams, sums, state.cycle)
            case Stage.ACQUIRE:
                told = {"dreams": self._sent(state.x_BCHW), "targets": state.targets_BK}
                return Tell(Stage.ACQUIRE.value, told, sums, state.cycle)
            case Stage.EVALUATE:
                fields = evaluation_fields(self.config.max_examples)
                return Ask(Stage.EVALUATE.value, fields, sums=sums, cycle=state.cycle)
            case Stage.DONE:
                return self._done(state)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.COUNT):
                return device.count(self.config, data)
            case Ask(step=Stage.DREAM | Stage.CONTEST):
                return device.dream(self.config, ask, learner, data)
            case Ask(step=Stage.LABEL):
                return device.label(self.config, ask, learner, data)
            case Ask(step=Stage.EVALUATE):
                return evaluation(learner, data, self.config.max_examples)
            case Tell(step=Stage.WARM_UP):
                return acquiring.warm_up(self.config, learner, data, rng)
            case Tell(step=Stage.ACQUIRE):
                return acquiring.acquire(self.config, ask, learner, data, rng)
        raise ConfigError(f"codream/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: CodreamState, mean: Mapping[str, Array], crowd: Crowd) -> CodreamState:
        match state.stage:
            case Stage.COUNT:
                totals_K = np.rint(np.maximum(mean["counts"] * crowd.survivors, 0.0))
                if not totals_K.any():
                    raise ConfigError("no device of the cohort has a single example")
                return replace(state, stage=Stage.WARM_UP, totals_K=totals_K)
            case Stage.WARM_UP:
                return forming.begun(self.config, state, cycle=0)
            case Stage.DREAM | Stage.CONTEST:
                return forming.moved(self.config, state, mean, crowd.survivors)
            case Stage.LABEL:
                targets_BK = self._targets(mean, crowd.survivors)
                return replace(state, stage=Stage.ACQUIRE, targets_BK=targets_BK)
            case Stage.ACQUIRE:
                replay = state.replay.add(state.x_BCHW, state.targets_BK, self.config.replay)
                student = taught(self.config, state.student, replay, state.cycle)
                state = replace(state, replay=replay, student=student)
                last = state.cycle + 1 == self.config.cycles
                asked = self.config.evaluate
                if asked == "cycle" or (asked == "end" and last):
                    return replace(state, stage=Stage.EVALUATE)
                return self._after_cycle(state)
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                seen = (*state.accuracies, accuracy)
                return self._after_cycle(replace(state, accuracies=seen, loss=loss))
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def lessons(self, state: object) -> Batch | None:
        if not isinstance(state, CodreamState) or len(state.replay.x_BCHW) == 0:
            return None
        return Batch(state.replay.x_BCHW, targets_NK=state.replay.targets_BK)

    def gallery(self, state: object) -> Gallery | None:
        if not isinstance(state, CodreamState):
            return None
        learnt, cycles = state.replay.x_BCHW, state.cycle + 1
        forming_now = (Stage.DREAM, Stage.CONTEST, Stage.LABEL, Stage.ACQUIRE)
        if state.stage in forming_now:
            learnt = np.concatenate([learnt, state.x_BCHW])
        return gallery_of_dreams(learnt, state.totals_K, self.config.dreams, cycles)

    def gallery_of(self, result: Mapping[str, PublicArray]) -> Gallery | None:
        if not {"dreams", "totals"} <= result.keys():
            return None
        dreams_NCHW, totals_K = (
            result["dreams"].astype(np.float32),
            result["totals"].astype(np.float64),
        )
        return gallery_of_dreams(dreams_NCHW, totals_K, self.config.dreams, self.config.cycles)

    def _dream_fields(self, bound: float) -> tuple[Field, ...]:
        c = self.config
        gradient = Field("gradient", (c.dreams, *c.shape), bound=bound, bits=c.gradient_bits)
        mass = Field("mass", (c.classes,), bound=1.0, bits=20)
        return gradient, mass, clipped_field((gradient,))

    def _label_fields(self) -> tuple[Field, ...]:
        c = self.config
        bound = c.logit_bound if c.label_average == "mean_logits" else 1.0
        opinion = Field("opinion", (c.dreams, c.classes), bound=bound, bits=16)
        return opinion, Field("mass", (c.classes,), bound=1.0, bits=20)

    def _contest_fields(self, bound: float) -> tuple[Field, ...]:
        """Return a dream's fields and the gradients of the disagreement by the student's logits.

        Of either kind a coordinate lies within its weight: a difference of two probabilities, or
        half of a probability times the part of a log ratio above its mean, which is below 1.
        """
        c = self.config
        largest = max(c.adversarial_weight, 1e-6)
        cotangent = Field("cotangent", (c.dreams, c.classes), bound=largest, bits=12)
        return *self._dream_fields(bound), cotangent

    def _sent(self, x_BCHW: Floats) -> PublicArray:
        c = self.config
        return packed(x_BCHW, c.low, c.high) if c.dream_bits == 8 else x_BCHW

    def _targets(self, mean: Mapping[str, Array], survivors: int) -> Floats:
        """Return soft labels: weighted opinions over their weights, rows normalised."""
        opinion_BK = over_mass(mean["opinion"], mean["mass"], survivors)
        if self.config.label_average == "mean_logits":
            return softmax(opinion_BK / self.config.temperature).astype(np.float32)
        there_K = held(mean["mass"], survivors)
        positive_BK = np.where(there_K, np.maximum(opinion_BK, 1e-6), 0.0)
        rows_B = positive_BK.sum(axis=1, keepdims=True)
        targets_BK: Floats = (positive_BK / rows_B).astype(np.float32)
        return targets_BK

    def _after_cycle(self, state: CodreamState) -> CodreamState:
        if state.cycle + 1 < self.config.cycles:
            return forming.begun(self.config, state, state.cycle + 1)
        return replace(state, stage=Stage.DONE)

    def _done(self, state: CodreamState) -> Done:
        metrics = {
            "cycles": float(self.config.cycles),
            "dreamt": float(state.dreamt),
            "clipped": state.clipped,
        }
        if state.accuracies:
            metrics |= {"accuracy": state.accuracies[-1], "loss": state.loss}
        result: dict[str, PublicArray] = {
            "dreams": state.replay.x_BCHW,
            "targets": state.replay.targets_BK,
            "totals": state.totals_K,
            "accuracies": np.array(state.accuracies, np.float64),
            **result_of(state.student),
        }
        return Done(result, metrics)
