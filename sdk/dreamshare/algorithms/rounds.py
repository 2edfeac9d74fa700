"""The state machine of algorithms whose devices answer on a public set and learn from the mean.

    (warm_up ->) [ answer -> learn (-> evaluate) ] x rounds (-> evaluate) -> done

Rules:
- `answer` is one masked sum, `learn` one broadcast: all that differs between algorithms is what is
  answered, what is told of the mean, and how a device learns from it;
- everything in the state is public: whoever holds the set may train on its labels (`lessons_on`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.evaluate import EVALUATE, evaluated, evaluation, evaluation_fields
from dreamshare.algorithms.posteriors import local_steps
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Learner
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.public import PublicSet
from dreamshare.updates import Array, Field, PublicArray, Update

Evaluation = Literal["never", "end", "round"]


class Rounds(Protocol):
    """What the configs have in common; each describes its own fields."""

    @property
    def classes(self) -> int: ...
    @property
    def rounds(self) -> int: ...
    @property
    def warm_up_epochs(self) -> int: ...
    @property
    def warm_up_rate(self) -> float: ...
    @property
    def local_batch(self) -> int: ...
    @property
    def balanced(self) -> bool: ...
    @property
    def evaluate(self) -> Evaluation: ...
    @property
    def max_examples(self) -> int: ...


ConfigT = TypeVar("ConfigT", bound=Rounds)


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    WARM_UP = "warm_up"
    ANSWER = "answer"
    LEARN = "learn"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RoundsState:
    """Where a run stands; all of it public.

    Attributes:
        stage: what comes next.
        round: 0-based round that is under way.
        told: what the newest `learn` tells.
        metrics: of the last evaluation.
    """

    stage: Stage
    round: int = 0
    told: Mapping[str, PublicArray] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class PosteriorRounds(ABC, Generic[ConfigT]):
    """Base of such an algorithm; see the module's docstring."""

    name = ""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    @abstractmethod
    def answer_fields(self) -> tuple[Field, ...]:
        """Return the fields of `answer`."""

    @abstractmethod
    def answer(self, ask: Ask, learner: Learner, data: Data) -> Update:
        """Return this device's answer; its learner stays as it is."""

    @abstractmethod
    def tell(self, mean: Mapping[str, Array], crowd: Crowd) -> Mapping[str, PublicArray]:
        """Return what devices are told of the mean answer."""

    @abstractmethod
    def learn(self, tell: Tell, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        """Learn from what is told."""

    @abstractmethod
    def fit_objective(self, data: Data, rate: float) -> FitObjective:
        """Return how this device trains."""

    @abstractmethod
    def labelled(self, told: Mapping[str, PublicArray], public: PublicSet) -> Floats | None:
        """Return soft labels (M, K) of the run's public set; None for another one, or for none."""

    def lessons_on(self, state: object, public: PublicSet) -> Batch | None:
        if not isinstance(state, RoundsState) or not state.told:
            return None
        targets_MK = self.labelled(state.told, public)
        return None if targets_MK is None else Batch(public.x_NCHW, targets_NK=targets_MK)

    def evaluation_fields(self) -> tuple[Field, ...]:
        """Return the fields of `evaluate`."""
        return evaluation_fields(self.config.max_examples)

    def evaluation(self, learner: Learner, data: Data) -> Update:
        """Return this device's sums over its held-out examples."""
        return evaluation(learner, data, self.config.max_examples)

    def evaluated(self, mean: Mapping[str, Array]) -> dict[str, float]:
        """Return the metrics of a summed evaluation."""
        accuracy, loss = evaluated(mean)
        return {"accuracy": accuracy, "loss": loss}

    # ---- the contract ----------------------------------------------------------------------------

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        steps = {Stage.ANSWER.value: self.answer_fields()}
        if self.config.evaluate != "never":
            steps[Stage.EVALUATE.value] = self.evaluation_fields()
        return steps

    def init(self, rng: np.random.Generator) -> RoundsState:
        return RoundsState(Stage.WARM_UP if self.config.warm_up_epochs else Stage.ANSWER)

    def plan(self, state: RoundsState) -> Ask | Tell | Done:
        sums = self._sums_left(state)
        match state.stage:
            case Stage.WARM_UP:
                return Tell(Stage.WARM_UP.value, {}, sums)
            case Stage.ANSWER:
                return Ask(Stage.ANSWER.value, self.answer_fields(), {}, sums, state.round)
            case Stage.LEARN:
                return Tell(Stage.LEARN.value, state.told, sums, state.round)
            case Stage.EVALUATE:
                fields = self.evaluation_fields()
                return Ask(Stage.EVALUATE.value, fields, {}, sums, state.round)
            case Stage.DONE:
                rounds = {"rounds": float(self.config.rounds)}
                return Done(state.told, rounds | dict(state.metrics))

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.ANSWER):
                return self.answer(ask, learner, data)
            case Ask(step=Stage.EVALUATE):
                return self.evaluation(learner, data)
            case Tell(step=Stage.WARM_UP):
                self._warm_up(learner, data, rng)
                return Update()
            case Tell(step=Stage.LEARN):
                self.learn(ask, learner, data, rng)
                return Update()
        raise ConfigError(f"{self.name} has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: RoundsState, mean: Mapping[str, Array], crowd: Crowd) -> RoundsState:
        match state.stage:
            case Stage.WARM_UP:
                return replace(state, stage=Stage.ANSWER)
            case Stage.ANSWER:
                return replace(state, stage=Stage.LEARN, told=self.tell(mean, crowd))
            case Stage.LEARN:
                last = state.round + 1 == self.config.rounds
                measured = self.config.evaluate == "round" or (
                    last and self.config.evaluate == "end"
                )
                return replace(state, stage=Stage.EVALUATE) if measured else self._next(state)
            case Stage.EVALUATE:
                return self._next(replace(state, metrics=self.evaluated(mean)))
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def _next(self, state: RoundsState) -> RoundsState:
        if state.round + 1 == self.config.rounds:
            return replace(state, stage=Stage.DONE)
        return replace(state, stage=Stage.ANSWER, round=state.round + 1)

    def _sums_left(self, state: RoundsState) -> int:
        """Return how many sums a run still needs, the one that is planned included."""
        whole = self.config.rounds - state.round
        answers = whole if state.stage in (Stage.WARM_UP, Stage.ANSWER) else whole - 1
        match self.config.evaluate:
            case "never":
                return answers
            case "end":
                return answers + 1
            case "round":
                return answers + whole

    def _warm_up(self, learner: Learner, data: Data, rng: np.random.Generator) -> None:
        c = self.config
        steps = c.warm_up_epochs * -(-len(data) // c.local_batch)
        objective = self.fit_objective(data, c.warm_up_rate)
        learner.fit(local_steps(data, rng, c.local_batch, steps), objective)
