"""The state machine of `moments/1`: sums of class-wise moments, a set drawn from them, training.

    (warm_up ->) (alone ->) count -> (sketch ->) describe -> learn (-> evaluate) -> done
    (warm_up ->) release -> learn -> done                                   form "clipped"

Shape legend: M pictures, C channels, H height, W width, K classes, D values of an input.

Rules:
- devices answer with sums alone, and none of them runs a net for it (`device`);
- what is asked, and where moments are taken, is in `forms`; the set is made in `synthesis`, on the
  aggregator and on every device from the same numbers; how devices train with it is in `filling`;
- the state is a value; nothing private is in it (`state`).

This algorithm is our own; docs/algorithms/moments.md derives it and says where it fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms import students
from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import CLIPPED
from dreamshare.algorithms.evaluate import evaluated, evaluation, evaluation_fields
from dreamshare.algorithms.moments import device, forms, mapped, released, synthesis, verdict
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import form_of
from dreamshare.algorithms.moments.state import (
    MomentsState,
    Stage,
    after_warm_up,
    asked_with,
    first_state,
    sums_left,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.learning.public import HELD, pictures_of
from dreamshare.payloads.gallery import Gallery
from dreamshare.payloads.pixels import packed_labels, unpacked
from dreamshare.privacy.wanted import ExampleNoise
from dreamshare.updates import Array, Field, PublicArray, Update

SHOWN = 100
"""Pictures that people see: the first ones of a set, whose classes come in turn."""


class MomentSharing:
    """See the module's docstring."""

    name = "moments/1"

    def __init__(self, config: MomentsConfig) -> None:
        self.config = config
        self.form = form_of(config)

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        if self.form.kind == "clipped":
            return {Stage.RELEASE.value: released.fields(c)}
        steps = {Stage.COUNT.value: forms.count_fields(c)}
        if c.compare:
            steps[Stage.ALONE.value] = evaluation_fields(c.max_examples)
        if self.form.columns:
            steps[Stage.SKETCH.value] = forms.sketch_fields(c, self.form)
        steps[Stage.DESCRIBE.value] = forms.describe_fields(c, self.form)
        if c.evaluate:
            steps[Stage.EVALUATE.value] = evaluation_fields(c.max_examples)
        return steps

    def example_noise(self) -> ExampleNoise | None:
        return released.noise_of(self.config) if self.form.kind == "clipped" else None

    def init(self, rng: np.random.Generator) -> MomentsState:
        """Return the first state; its randomness is the config's public seed alone."""
        return first_state(self.config, students.first_student(self.config))

    def plan(self, state: MomentsState) -> Ask | Tell | Done:
        sums = sums_left(self.config, state.stage)
        match state.stage:
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {}, sums)
            case Stage.LEARN:
                return Tell(Stage.LEARN.value, self._told(state), sums)
            case Stage.DONE:
                return self._done(state)
            case _:
                fields = self.steps()[state.stage.value]
                return Ask(state.stage.value, fields, asked_with(state), sums)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.ALONE):
                return verdict.alone(self.config, learner, data, rng)
            case Ask(step=Stage.RELEASE):
                return released.answer(self.config, data, rng)
            case Ask(step=Stage.COUNT):
                return device.count(self.config, data)
            case Ask(step=Stage.SKETCH):
                return device.sketch(self.config, ask, data)
            case Ask(step=Stage.DESCRIBE):
                return device.describe(self.config, ask, data)
            case Ask(step=Stage.EVALUATE):
                return evaluation(learner, data, self.config.max_examples)
            case Tell(step=Stage.WARM_UP):
                return device.warm_up(self.config, learner, data, rng)
            case Tell(step=Stage.LEARN):
                return device.learn(self.config, ask, learner, data, rng)
        raise ConfigError(f"moments/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: MomentsState, mean: Mapping[str, Array], crowd: Crowd) -> MomentsState:
        total = {name: array * float(crowd.survivors) for name, array in mean.items()}
        match state.stage:
            case Stage.WARM_UP:
                return replace(state, stage=after_warm_up(self.config))
            case Stage.ALONE:
                return replace(state, stage=Stage.COUNT, alone=evaluated(mean)[0])
            case Stage.RELEASE:
                return self._drawn(released.described(self.config, state, total))
            case Stage.COUNT:
                return self._counted(state, total)
            case Stage.SKETCH:
                return self._sketched(state, total)
            case Stage.DESCRIBE:
                return self._described(state, total)
            case Stage.LEARN:
                after = Stage.EVALUATE if self.config.evaluate else Stage.DONE
                return replace(state, stage=after)
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                return replace(state, stage=Stage.DONE, accuracy=accuracy, loss=loss)
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def lessons(self, state: object) -> Batch | None:
        if not isinstance(state, MomentsState) or not len(state.labels_M):
            return None
        c = self.config
        x_MCHW = unpacked(state.pictures_MCHW, *c.space.ends)
        targets_MK = np.eye(c.classes, dtype=np.float32)[state.labels_M]
        return Batch(x_MCHW, state.labels_M, targets_MK)

    def gallery(self, state: object) -> Gallery | None:
        if not isinstance(state, MomentsState):
            return None
        return self._shown(state.pictures_MCHW, state.labels_M)

    def gallery_of(self, result: Mapping[str, PublicArray]) -> Gallery | None:
        if not {"images", "labels"} <= result.keys():
            return None
        return self._shown(result["images"], result["labels"])

    def _counted(self, state: MomentsState, total: Mapping[str, Array]) -> MomentsState:
        totals_K, holders_K = (
            np.rint(np.maximum(total[name], 0.0)).astype(np.float64)
            for name in ("counts", "holders")
        )
        c = self.config
        if not synthesis.wanted(c, totals_K, holders_K).any():
            raise ConfigError(
                f"no class has {c.least_examples} examples on {c.least_holders} devices, each with "
                "as many as its owner's least_class_count; nothing may be summed"
            )
        stage = Stage.SKETCH if self.form.columns else Stage.DESCRIBE
        return replace(state, stage=stage, totals_K=totals_K, holders_K=holders_K)

    def _sketched(self, state: MomentsState, total: Mapping[str, Array]) -> MomentsState:
        found = synthesis.firsts(self.config, state, total)
        basis_DB, scale_B = synthesis.found_basis(self.config, state, found, total)
        return replace(
            state,
            stage=Stage.DESCRIBE,
            known_K=found.known_K,
            mean_KD=synthesis.told_means(found),
            variance_D=found.variance_D,
            basis_DB=basis_DB,
            scale_B=scale_B,
            clipped=self._clipped(Stage.SKETCH, total),
        )

    def _described(self, state: MomentsState, total: Mapping[str, Array]) -> MomentsState:
        c, sketched = self.config, self.form.columns > 0
        if self.form.kind == "maps":
            return self._drawn(mapped.described(c, state, total))
        if sketched:
            found = synthesis.firsts_again(c, state, total)
            basis = forms.basis_of(self.form, state.basis_DB, state.scale_B)
        else:
            found = synthesis.firsts(c, state, total)
            basis = forms.public_basis(c, self.form)
        covariance_KP, residual_D = synthesis.covariances(c, found, basis, total, sketched)
        described = replace(
            state,
            stage=Stage.LEARN,
            known_K=found.known_K,
            mean_KD=synthesis.told_means(found),
            covariance_KP=covariance_KP,
            residual_D=residual_D,
            clipped=max(state.clipped, self._clipped(Stage.DESCRIBE, total)),
        )
        return self._drawn(described)

    def _drawn(self, described: MomentsState) -> MomentsState:
        """Return the state with the set that its sums make, and the student that saw it."""
        c = self.config
        made = mapped.drawn(c, synthesis.told_sums(c, described))
        student = students.taught(c, described.student, made.inputs(), made.labels_M)
        return replace(
            described, pictures_MCHW=made.bytes_MCHW, labels_M=made.labels_M, student=student
        )

    def _clipped(self, stage: Stage, total: Mapping[str, Array]) -> float:
        """Return the share of coordinates that a round's bounds cut, all devices together."""
        fields = self.steps()[stage.value]
        size = sum(field.size for field in fields if field.name != CLIPPED)
        return max(0.0, float(total[CLIPPED])) / size

    def _told(self, state: MomentsState) -> dict[str, PublicArray]:
        if self.config.told == "sums":
            return synthesis.told_sums(self.config, state)
        labels = packed_labels(state.labels_M, self.config.classes)
        return {"totals": state.known_K, "images": state.pictures_MCHW, "labels": labels}

    def _done(self, state: MomentsState) -> Done:
        metrics = {"images": float(len(state.labels_M)), "clipped": state.clipped}
        metrics |= {HELD: 1.0} if self.config.keep else {}
        if self.form.kind == "clipped":
            metrics |= released.metrics(self.config, state)
        if self.config.evaluate:
            metrics |= {"accuracy": state.accuracy, "loss": state.loss}
        if self.config.compare:
            metrics |= verdict.metrics(state)
        result: dict[str, PublicArray] = {
            **pictures_of(state.pictures_MCHW, state.labels_M, *self.config.space.ends),
            "holders": state.holders_K,
            **synthesis.told_sums(self.config, state),
            **students.result_of(state.student),
        }
        return Done(result, metrics, verdict.advice(self.config, state))

    def _shown(self, images: PublicArray, labels: PublicArray) -> Gallery | None:
        if not len(labels) or self.config.ranges:  # a table is no picture
            return None
        first, labels_M = slice(0, SHOWN), labels.astype(np.int64)
        x_MCHW = unpacked(images[first], self.config.low, self.config.high)
        return Gallery(x_MCHW, labels_M[first], np.ones(len(labels_M[first]), np.int64))
