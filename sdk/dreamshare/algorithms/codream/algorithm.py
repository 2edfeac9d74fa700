"""The state machine of `codream/1`: count, warm up, then cycles of dream, label and learn.

    count -> warm_up -> [ dream x dream_steps -> label -> acquire (-> evaluate) ] x cycles -> done

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules:
- every nonlinear step (optimiser, priors, clamp, normalisation of labels) runs here, after a sum;
- what was summed with weights is divided by the sum of the weights that came with it (`mass`);
- the state is a value; nothing private is in it.

Source: Singh et al., "Co-Dream", AAAI 2025, with class-weighted targets instead of entropy alone;
see docs/algorithms/codream.md for what differs and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import CLIPPED, Bound, clipped_field
from dreamshare.algorithms.codream import device
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.algorithms.codream.showing import gallery_of_dreams
from dreamshare.algorithms.evaluate import EVALUATE, evaluated, evaluation, evaluation_fields
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.learning.measures import softmax
from dreamshare.payloads.dreams import (
    Floats,
    Replay,
    ServerStep,
    prior_gradient,
    starting_dreams,
    starting_labels,
)
from dreamshare.payloads.gallery import Gallery
from dreamshare.updates import Array, Field, PublicArray, Update

LEAST_MASS = 1e-3
"""Survivors who hold less than this share of a class do not move it: rounding would."""


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    COUNT = "count"
    WARM_UP = "warm_up"
    DREAM = "dream"
    LABEL = "label"
    ACQUIRE = "acquire"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class CodreamState:
    """Where a run stands; all of it public.

    Attributes:
        stage: what comes next.
        cycle: 0-based cycle that is under way.
        bound: clip of the next gradient.
        totals_K: examples of each class in the cohort (rounded masked sum); zeros before.
        x_BCHW: the cycle's dreams.
        labels_B: the class that each is to become.
        server: the optimiser on the dreams.
        replay: all dreams so far with their soft labels, the newest `config.replay`.
        targets_BK: soft labels of the cycle's dreams, once summed.
        clipped: largest share of clipped gradient coordinates in a round so far, 0 to 1.
        accuracies: masked mean accuracy at each evaluation, 0 to 1.
        loss: masked mean cross-entropy of the last evaluation, nats.
    """

    stage: Stage
    cycle: int
    bound: Bound
    totals_K: NDArray[np.float64]
    x_BCHW: Floats
    labels_B: NDArray[np.int64]
    server: ServerStep
    replay: Replay
    targets_BK: Floats
    clipped: float = 0.0
    accuracies: tuple[float, ...] = ()
    loss: float = 0.0


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
        if c.evaluate != "never":
            steps[Stage.EVALUATE.value] = evaluation_fields(c.max_examples)
        return steps

    def init(self, rng: np.random.Generator) -> CodreamState:
        """Return the first state; the dreams' randomness is the config's public seed alone."""
        c = self.config
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
        )

    def plan(self, state: CodreamState) -> Ask | Tell | Done:
        sums = self._sums_left(state)
        dreams: dict[str, PublicArray] = {"dreams": state.x_BCHW, "totals": state.totals_K}
        match state.stage:
            case Stage.COUNT:
                return Ask(Stage.COUNT.value, self.steps()[Stage.COUNT], sums=sums)
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {"totals": state.totals_K}, sums=sums)
            case Stage.DREAM:
                fields = self._dream_fields(state.bound.value)
                dreams["labels"] = state.labels_B
                return Ask(Stage.DREAM.value, fields, dreams, sums, state.cycle)
            case Stage.LABEL:
                return Ask(Stage.LABEL.value, self._label_fields(), dreams, sums, state.cycle)
            case Stage.ACQUIRE:
                told = {"dreams": state.x_BCHW, "targets": state.targets_BK}
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
            case Ask(step=Stage.DREAM):
                return device.dream(self.config, ask, learner, data)
            case Ask(step=Stage.LABEL):
                return device.label(self.config, ask, learner, data)
            case Ask(step=Stage.EVALUATE):
                return evaluation(learner, data, self.config.max_examples)
            case Tell(step=Stage.WARM_UP):
                return device.warm_up(self.config, learner, data, rng)
            case Tell(step=Stage.ACQUIRE):
                return device.acquire(self.config, ask, learner, data, rng)
        raise ConfigError(f"codream/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: CodreamState, mean: Mapping[str, Array], crowd: Crowd) -> CodreamState:
        match state.stage:
            case Stage.COUNT:
                totals_K = np.rint(np.maximum(mean["counts"] * crowd.survivors, 0.0))
                if not totals_K.any():
                    raise ConfigError("no device of the cohort has a single example")
                return replace(state, stage=Stage.WARM_UP, totals_K=totals_K)
            case Stage.WARM_UP:
                return self._next_dreams(state, cycle=0)
            case Stage.DREAM:
                return self._move(state, mean)
            case Stage.LABEL:
                targets_BK = self._targets(mean)
                return replace(state, stage=Stage.ACQUIRE, targets_BK=targets_BK)
            case Stage.ACQUIRE:
                replay = state.replay.add(state.x_BCHW, state.targets_BK, self.config.replay)
                last = state.cycle + 1 == self.config.cycles
                asked = self.config.evaluate
                if asked == "cycle" or (asked == "end" and last):
                    return replace(state, stage=Stage.EVALUATE, replay=replay)
                return self._after_cycle(replace(state, replay=replay))
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                seen = (*state.accuracies, accuracy)
                return self._after_cycle(replace(state, accuracies=seen, loss=loss))
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def gallery(self, state: object) -> Gallery | None:
        if not isinstance(state, CodreamState):
            return None
        learnt, cycles = state.replay.x_BCHW, state.cycle + 1
        if state.stage in (Stage.DREAM, Stage.LABEL, Stage.ACQUIRE):  # they are forming
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

    def _next_dreams(self, state: CodreamState, cycle: int) -> CodreamState:
        c = self.config
        x_BCHW = starting_dreams(c.seed, cycle, c.dreams, c.shape, c.spread)
        x_BCHW = np.clip(x_BCHW, c.low, c.high)
        present = np.flatnonzero(state.totals_K)
        return replace(
            state,
            stage=Stage.DREAM,
            cycle=cycle,
            x_BCHW=x_BCHW,
            labels_B=present[starting_labels(c.dreams, len(present))],
            server=ServerStep.start(x_BCHW),
            targets_BK=np.zeros((0, c.classes), np.float32),
        )

    def _move(self, state: CodreamState, mean: Mapping[str, Array]) -> CodreamState:
        """Take the server's step on the mean gradient of those who answered."""
        c = self.config
        mass_B = mean["mass"][state.labels_B][:, None, None, None]
        known_B = mass_B >= LEAST_MASS
        summed = mean["gradient"] / np.where(known_B, mass_B, 1.0)
        gradient = np.where(known_B, summed, 0.0)
        share = max(0.0, float(mean[CLIPPED])) / gradient.size
        bound = state.bound.follow(gradient, share)
        total = gradient + prior_gradient(state.x_BCHW, c.smoothness, c.norm)
        rate = c.local_rate if c.server_optimizer == "avg" else c.dream_rate
        moved, server = state.server.apply(
            state.x_BCHW, total.astype(np.float32), rate, c.server_optimizer
        )
        return replace(
            state,
            stage=Stage.LABEL if server.taken == c.dream_steps else Stage.DREAM,
            bound=bound,
            x_BCHW=np.clip(moved, c.low, c.high),
            server=server,
            clipped=max(state.clipped, share),
        )

    def _targets(self, mean: Mapping[str, Array]) -> Floats:
        """Return soft labels: weighted opinions over their weights, rows normalised."""
        mass_K = mean["mass"]
        known_K = mass_K >= LEAST_MASS
        opinion_BK = np.where(known_K, mean["opinion"] / np.where(known_K, mass_K, 1.0), 0.0)
        if self.config.label_average == "mean_logits":
            return softmax(opinion_BK / self.config.temperature).astype(np.float32)
        positive_BK = np.where(known_K, np.maximum(opinion_BK, 1e-6), 0.0)
        rows_B = positive_BK.sum(axis=1, keepdims=True)
        targets_BK: Floats = (positive_BK / rows_B).astype(np.float32)
        return targets_BK

    def _after_cycle(self, state: CodreamState) -> CodreamState:
        if state.cycle + 1 < self.config.cycles:
            return self._next_dreams(state, state.cycle + 1)
        return replace(state, stage=Stage.DONE)

    def _sums_left(self, state: CodreamState) -> int:
        """Return how many masked sums the run still needs, the next one included."""
        c = self.config
        evaluations = c.cycles if c.evaluate == "cycle" else int(c.evaluate == "end")
        whole = 1 + c.cycles * (c.dream_steps + 1) + evaluations
        if state.stage is Stage.COUNT:
            return whole
        done = 1 + state.cycle * (c.dream_steps + 1) + len(state.accuracies)
        match state.stage:
            case Stage.DREAM:
                done += state.server.taken
            case Stage.LABEL:
                done += c.dream_steps
            case Stage.ACQUIRE | Stage.EVALUATE:
                done += c.dream_steps + 1
            case Stage.DONE:
                return 0
        return whole - done

    def _done(self, state: CodreamState) -> Done:
        metrics = {"cycles": float(self.config.cycles), "clipped": state.clipped}
        if state.accuracies:
            metrics |= {"accuracy": state.accuracies[-1], "loss": state.loss}
        result: dict[str, PublicArray] = {
            "dreams": state.replay.x_BCHW,
            "targets": state.replay.targets_BK,
            "totals": state.totals_K,
            "accuracies": np.array(state.accuracies, np.float64),
        }
        return Done(result, metrics)
