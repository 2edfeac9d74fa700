"""The state machine of `generative/1`: devices describe their data, a generator makes a set.

    warm_up -> (count -> (describe -> | disclose ->)) learn (-> evaluate) -> done

Shape legend: M pictures, C channels, H height, W width, F frequencies, K classes, A words.

Rules:
- devices answer with sums of counts and of embeddings; no example leaves them, and no caption but
  by the step `disclose`, which says what it is (`disclosing`);
- the set is made on the aggregator, after the sums (`synthesis`); what a device does is in
  `device`; further rounds are tasks of their own (codream/1, fedavg/1) on the same learners;
- the state is a value; nothing private is in it (`state`).

Source: Zhang et al., "Federated Generative Learning with Foundation Models" (arXiv 2306.16064),
with sums in place of prompts; see docs/algorithms/generative.md for what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms import students
from dreamshare.algorithms.base import Ask, Crowd, Disclosure, Done, Tell
from dreamshare.algorithms.evaluate import evaluated, evaluation, evaluation_fields
from dreamshare.algorithms.generative import device, disclosing, fields, synthesis
from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import (
    GenerativeState,
    Stage,
    first_state,
    sums_left,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints, Learner
from dreamshare.payloads.gallery import Gallery
from dreamshare.payloads.pixels import packed, packed_labels
from dreamshare.updates import Array, Field, PublicArray, Update

SHOWN = 100
"""Pictures that people see: the first ones of a set, whose classes come in turn."""


class Generative:
    """See the module's docstring."""

    name = "generative/1"

    def __init__(self, config: GenerativeConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        steps: dict[str, tuple[Field, ...]] = {}
        if c.message != "none":
            steps[Stage.COUNT.value] = fields.counted(c)
        if c.message == "sums":
            steps[Stage.DESCRIBE.value] = fields.described(c, float(c.described))
        if c.captions == "text":
            steps[Stage.DISCLOSE.value] = disclosing.fields(c)
        if c.evaluate:
            steps[Stage.EVALUATE.value] = evaluation_fields(c.max_examples)
        return steps

    def disclosure(self, step: str) -> Disclosure | None:
        return disclosing.disclosure(self.config) if step == Stage.DISCLOSE else None

    def noise_fault(self) -> str:
        if self.config.captions != "text":
            return ""
        return "noise would drown every letter of the captions; use captions 'attributes'"

    def init(self, rng: np.random.Generator) -> GenerativeState:
        """Return the first state; its randomness is the config's public seed alone."""
        return first_state(self.config, students.first_student(self.config))

    def plan(self, state: GenerativeState) -> Ask | Tell | Done:
        c = self.config
        sums = sums_left(c, state.stage)
        match state.stage:
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {}, sums)
            case Stage.COUNT:
                return Ask(Stage.COUNT.value, fields.counted(c), sums=sums)
            case Stage.DESCRIBE:
                asked = fields.described(c, self._most(state))
                return Ask(Stage.DESCRIBE.value, asked, self._wanted(state), sums)
            case Stage.DISCLOSE:
                return Ask(Stage.DISCLOSE.value, disclosing.fields(c), self._wanted(state), sums)
            case Stage.LEARN:
                return Tell(Stage.LEARN.value, self._told(state), sums)
            case Stage.EVALUATE:
                return Ask(Stage.EVALUATE.value, evaluation_fields(c.max_examples), sums=sums)
            case Stage.DONE:
                return self._done(state)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.COUNT):
                return device.count(self.config, data)
            case Ask(step=Stage.DESCRIBE):
                return device.describe(self.config, ask, data)
            case Ask(step=Stage.DISCLOSE):
                return disclosing.disclose(self.config, ask, data)
            case Ask(step=Stage.EVALUATE):
                return evaluation(learner, data, self.config.max_examples)
            case Tell(step=Stage.WARM_UP):
                return device.warm_up(self.config, learner, data, rng)
            case Tell(step=Stage.LEARN):
                return device.learn(self.config, ask, learner, data, rng)
        raise ConfigError(f"generative/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(
        self, state: GenerativeState, mean: Mapping[str, Array], crowd: Crowd
    ) -> GenerativeState:
        match state.stage:
            case Stage.WARM_UP:
                synthesis.check_weights(self.config)  # before anything private is asked for
                if self.config.message == "none":
                    return self._synthesised(state)
                return replace(state, stage=Stage.COUNT)
            case Stage.COUNT:
                return self._counted(state, mean, crowd.survivors)
            case Stage.DESCRIBE:
                total = {name: array * float(crowd.survivors) for name, array in mean.items()}
                state = replace(
                    state,
                    described_K=np.rint(np.maximum(total["described"], 0.0)),
                    sums_KCFF=np.asarray(total["sums"], np.float64),
                    squares_KCFF=np.maximum(np.asarray(total["squares"], np.float64), 0.0),
                )
                return self._synthesised(state)
            case Stage.DISCLOSE:
                return self._synthesised(disclosing.read(state, mean, crowd.survivors))
            case Stage.LEARN:
                after = Stage.EVALUATE if self.config.evaluate else Stage.DONE
                return replace(state, stage=after)
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                return replace(state, stage=Stage.DONE, accuracy=accuracy, loss=loss)
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def lessons(self, state: object) -> Batch | None:
        if not isinstance(state, GenerativeState) or not len(state.labels_M):
            return None
        targets_MK = np.eye(self.config.classes, dtype=np.float32)[state.labels_M]
        return Batch(state.x_MCHW, state.labels_M, targets_MK)

    def gallery(self, state: object) -> Gallery | None:
        if not isinstance(state, GenerativeState) or not len(state.labels_M):
            return None
        return _shown(state.x_MCHW, state.labels_M)

    def gallery_of(self, result: Mapping[str, PublicArray]) -> Gallery | None:
        if not {"images", "labels"} <= result.keys() or not len(result["labels"]):
            return None
        return _shown(result["images"].astype(np.float32), result["labels"].astype(np.int64))

    def _counted(
        self, state: GenerativeState, mean: Mapping[str, Array], survivors: int
    ) -> GenerativeState:
        totals_K, holders_K = (
            np.rint(np.maximum(mean[name].astype(np.float64) * survivors, 0.0))
            for name in ("counts", "holders")
        )
        if not totals_K.any():
            raise ConfigError("no device of the cohort has a single example")
        if "words" in mean:
            words_KA = np.rint(np.maximum(mean["words"].astype(np.float64) * survivors, 0.0))
            state = replace(state, words_KA=words_KA)
        state = replace(state, totals_K=totals_K, holders_K=holders_K)
        if self.config.message == "sums":
            return replace(state, stage=Stage.DESCRIBE)
        if self.config.captions == "text":
            return replace(state, stage=Stage.DISCLOSE)
        return self._synthesised(state)

    def _synthesised(self, state: GenerativeState) -> GenerativeState:
        x_MCHW, labels_M = synthesis.made(self.config, state)
        student = students.taught(self.config, state.student, x_MCHW, labels_M)
        return replace(state, stage=Stage.LEARN, x_MCHW=x_MCHW, labels_M=labels_M, student=student)

    def _most(self, state: GenerativeState) -> float:
        """Return how many examples of a class one device can have: never more than all have."""
        return max(1.0, min(float(self.config.described), float(state.totals_K.max())))

    def _wanted(self, state: GenerativeState) -> dict[str, PublicArray]:
        return {"wanted": synthesis.wanted(self.config, state).astype(np.uint8)}

    def _told(self, state: GenerativeState) -> dict[str, PublicArray]:
        c = self.config
        if c.told == "sums":
            described: dict[str, PublicArray] = {
                "described": state.described_K,
                "sums": state.sums_KCFF,
                "squares": state.squares_KCFF,
            }
            return described | self._wanted(state)
        images: PublicArray = (
            packed(state.x_MCHW, c.low, c.high) if c.image_bits == 8 else state.x_MCHW
        )
        return {"images": images, "labels": packed_labels(state.labels_M, c.classes)}

    def _done(self, state: GenerativeState) -> Done:
        metrics = {"images": float(len(state.labels_M))}
        if self.config.captions == "text":
            metrics |= {"captions": float(len(state.said)), "captions_lost": float(state.unread)}
        if self.config.evaluate:
            metrics |= {"accuracy": state.accuracy, "loss": state.loss}
        result: dict[str, PublicArray] = {
            "images": state.x_MCHW,
            "labels": state.labels_M,
            "totals": state.totals_K,
            **students.result_of(state.student),
        }
        return Done(result, metrics)


def _shown(x_MCHW: Floats, labels_M: Ints) -> Gallery:
    first = slice(0, SHOWN)
    return Gallery(x_MCHW[first], labels_M[first], np.ones(len(labels_M[first]), np.int64))
