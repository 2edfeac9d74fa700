"""The state machine of `fediod/1`: count, warm up, then cycles of two-leg steps and of labels.

    count -> warm_up -> [ (judge -> answer -> pull) x generator_steps -> label x labels
                          (-> evaluate) ] x cycles -> done

Shape legend: B images, C channels, H height, W width, K classes.

Rules:
- `answer` and `pull` are the two legs of one step of the generator: sums of predictions, then sums
  of image gradients (`forming`); what a device computes is in `device` and `judging`;
- the student takes its steps at a cycle's end, on the aggregator, from public labelled images;
- the state is a value; nothing private is in it (`state`).

Source: the official code of FedIOD (AAAI 2024) as described in docs/algorithms/fediod.md, which
says what differs and why; its paper was not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import Bound, clipped_field
from dreamshare.algorithms.evaluate import evaluated, evaluation_fields, overlapped
from dreamshare.algorithms.fediod import device, forming
from dreamshare.algorithms.fediod.config import FedIODConfig
from dreamshare.algorithms.fediod.state import FedIODState, Leg, Lessons, Stage, sums_left
from dreamshare.algorithms.posteriors import posterior_field
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Learner
from dreamshare.payloads.gallery import Gallery
from dreamshare.payloads.pixels import packed
from dreamshare.updates import Array, Field, PublicArray, Update


class FedIOD:
    """See the module's docstring."""

    name = "fediod/1"

    def __init__(self, config: FedIODConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        steps: dict[str, tuple[Field, ...]] = {
            Stage.COUNT.value: (Field("counts", (c.classes,), bound=float(c.most), bits=20),),
            Stage.ANSWER.value: self._answer_fields(),
            Stage.PULL.value: self._pull_fields(c.gradient_bound),
        }
        if c.labels:
            steps[Stage.LABEL.value] = self._label_fields()
        if c.evaluate != "never":
            steps[Stage.EVALUATE.value] = self._evaluation_fields()
        return steps

    def init(self, rng: np.random.Generator) -> FedIODState:
        """Return the first state; its randomness is the config's public seed alone."""
        c = self.config
        none_BCHW = np.zeros((0, *c.shape), np.float32)
        none_BK = np.zeros((0, c.classes), np.float32)
        no_lessons = np.zeros((0, *c.labelled_shape, c.classes), np.float32)
        return FedIODState(
            stage=Stage.COUNT,
            cycle=0,
            steps=0,
            labelled=0,
            bound=Bound(c.first_gradient_bound, c.gradient_bound),
            totals_K=np.zeros(c.classes),
            x_BCHW=none_BCHW,
            leg=Leg({}, none_BK),
            generator=forming.first_generator(c),
            student=forming.first_student(c),
            lessons=Lessons(none_BCHW, no_lessons),
        )

    def plan(self, state: FedIODState) -> Ask | Tell | Done:
        sums, cycle = sums_left(self.config, state), state.cycle
        shown = {"images": self._sent(state), "totals": state.totals_K}
        match state.stage:
            case Stage.COUNT:
                return Ask(Stage.COUNT.value, self.steps()[Stage.COUNT], sums=sums)
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {}, sums)
            case Stage.JUDGE:
                return Tell(Stage.JUDGE.value, {"images": shown["images"]}, sums, cycle)
            case Stage.ANSWER:
                return Ask(Stage.ANSWER.value, self._answer_fields(), shown, sums, cycle)
            case Stage.PULL:
                fields = self._pull_fields(state.bound.value)
                return Ask(Stage.PULL.value, fields, {**shown, **state.leg.told}, sums, cycle)
            case Stage.LABEL:
                return Ask(Stage.LABEL.value, self._label_fields(), shown, sums, cycle)
            case Stage.EVALUATE:
                fields = self._evaluation_fields()
                return Ask(Stage.EVALUATE.value, fields, _student(state), sums, cycle)
            case Stage.DONE:
                return self._done(state)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.COUNT):
                return device.count(self.config, data)
            case Ask(step=Stage.ANSWER | Stage.LABEL):
                return device.opinion(self.config, ask, learner, data)
            case Ask(step=Stage.PULL):
                return device.pull(self.config, ask, learner, data)
            case Ask(step=Stage.EVALUATE):
                return device.evaluate(self.config, ask, data)
            case Tell(step=Stage.WARM_UP):
                return device.warm_up(self.config, learner, data, rng)
            case Tell(step=Stage.JUDGE):
                return device.judge(self.config, ask, learner, data, rng)
        raise ConfigError(f"fediod/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: FedIODState, mean: Mapping[str, Array], crowd: Crowd) -> FedIODState:
        c = self.config
        match state.stage:
            case Stage.COUNT:
                totals_K = np.rint(np.maximum(mean["counts"] * crowd.survivors, 0.0))
                if not totals_K.any():
                    raise ConfigError("no device of the cohort has a single example")
                return replace(state, stage=Stage.WARM_UP, totals_K=totals_K)
            case Stage.WARM_UP:
                return self._next(state)
            case Stage.JUDGE:
                return replace(state, stage=Stage.ANSWER)
            case Stage.ANSWER:
                return forming.heard(c, state, mean, crowd)
            case Stage.PULL:
                return self._next(forming.stepped(c, state, mean, crowd))
            case Stage.LABEL:
                state = forming.noted(c, state, mean, crowd)
                return self._next(replace(state, labelled=state.labelled + 1))
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                seen = (*state.accuracies, accuracy)
                state = replace(state, accuracies=seen, loss=loss)
                if c.pixels:
                    state = replace(state, mean_iou=overlapped(mean, crowd.survivors))
                return self._after_cycle(state)
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def lessons(self, state: object) -> Batch | None:
        if not isinstance(state, FedIODState) or len(state.lessons.x_NCHW) == 0:
            return None
        return Batch(state.lessons.x_NCHW, targets_NK=forming.targets_of(state))

    def gallery(self, state: object) -> Gallery | None:
        if not isinstance(state, FedIODState):
            return None
        return self._gallery(state.lessons.x_NCHW, forming.targets_of(state), state.cycle + 1)

    def gallery_of(self, result: Mapping[str, PublicArray]) -> Gallery | None:
        if not {"images", "targets"} <= result.keys():
            return None
        images, targets = (result[name].astype(np.float32) for name in ("images", "targets"))
        return self._gallery(images, targets, self.config.cycles)

    def _gallery(self, x_NCHW: np.ndarray, targets_NK: np.ndarray, cycles: int) -> Gallery | None:
        """Return the images under the classes that the ensemble gives them."""
        count = len(x_NCHW)
        if count == 0:
            return None
        shares_NK = targets_NK.reshape(count, -1, self.config.classes).mean(axis=1)
        if self.config.pixels:  # most of every scene is background: what it has more of than others
            shares_NK = shares_NK - shares_NK.mean(axis=0)
        labels_N = shares_NK.argmax(axis=1).astype(np.int64)
        return Gallery(x_NCHW, labels_N, np.full(count, cycles, np.int64))

    def _answer_fields(self) -> tuple[Field, ...]:
        c = self.config
        fields = [*self._label_fields(), Field("total", (), bound=1.0, bits=20)]
        if c.asks_mean:
            fields.append(posterior_field(c.rows, c.classes, 16))
        if c.asks_logs:
            fields.append(Field("logs", (c.rows, c.classes), bound=forming.LOGS, bits=16))
        return tuple(fields)

    def _label_fields(self) -> tuple[Field, ...]:
        c = self.config
        logits = Field("logits", (c.rows, c.classes), bound=c.logit_bound, bits=16)
        return logits, Field("mass", (c.classes,), bound=1.0, bits=20)

    def _pull_fields(self, bound: float) -> tuple[Field, ...]:
        c = self.config
        gradient = Field("gradient", (c.batch, *c.shape), bound=bound, bits=c.gradient_bits)
        return gradient, Field("total", (), bound=1.0, bits=20), clipped_field((gradient,))

    def _evaluation_fields(self) -> tuple[Field, ...]:
        c = self.config
        return evaluation_fields(c.most, c.classes if c.pixels else 0)

    def _sent(self, state: FedIODState) -> PublicArray:
        c = self.config
        return packed(state.x_BCHW, c.low, c.high) if c.image_bits == 8 else state.x_BCHW

    def _next(self, state: FedIODState) -> FedIODState:
        """Return the state at the next step of the cycle, or at what follows its last one."""
        c = self.config
        if state.steps < c.generator_steps:
            return forming.pictured(c, state, Stage.JUDGE if c.real_weight else Stage.ANSWER)
        if state.labelled < c.labels:
            return forming.pictured(c, state, Stage.LABEL)
        state = replace(state, student=forming.taught(c, state))
        last = state.cycle + 1 == c.cycles
        if c.evaluate == "cycle" or (c.evaluate == "end" and last):
            return replace(state, stage=Stage.EVALUATE)
        return self._after_cycle(state)

    def _after_cycle(self, state: FedIODState) -> FedIODState:
        if state.cycle + 1 == self.config.cycles:
            return replace(state, stage=Stage.DONE)
        return self._next(replace(state, cycle=state.cycle + 1, steps=0, labelled=0))

    def _done(self, state: FedIODState) -> Done:
        metrics = {"cycles": float(self.config.cycles), "clipped": state.clipped}
        if state.accuracies:
            metrics |= {"accuracy": state.accuracies[-1], "loss": state.loss}
            if self.config.pixels:
                metrics["mean_iou"] = state.mean_iou
        made = {f"{forming.GENERATOR}{n}": a for n, a in state.generator.values.items()}
        result: dict[str, PublicArray] = {
            "images": state.lessons.x_NCHW,
            "targets": forming.targets_of(state),
            "totals": state.totals_K,
            "accuracies": np.array(state.accuracies, np.float64),
            **_student(state),
            **made,
        }
        return Done(result, metrics)


def _student(state: FedIODState) -> dict[str, PublicArray]:
    return {f"{forming.STUDENT}{name}": array for name, array in state.student.values.items()}
