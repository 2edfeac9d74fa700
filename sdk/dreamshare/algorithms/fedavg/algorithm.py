"""The state machine of `fedavg/1`; with `proximal` > 0 it is FedProx (Li et al. 2020).

    start -> train x rounds -> adopt (-> evaluate) -> done

`start` is the mean of the devices' own parameters: devices that built their model from one public
seed give back that model, and the aggregator needs no framework.

Rules:
- every floating-point entry of a model's state is one field with a bound of its own, BatchNorm
  statistics included; whole-number counters stay on the device;
- `train` answers with the difference to the public parameters, weighted by the number of examples;
- a difference that was too late for its round is carried over to the device's next one;
- models must be equal: a digest of names and shapes is part of the config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import CLIPPED, Bound, answer, carried, clipped_field
from dreamshare.algorithms.evaluate import evaluated, evaluation, evaluation_fields
from dreamshare.algorithms.fedavg.config import FedAvgConfig, layout_of
from dreamshare.algorithms.fedavg.state import FedAvgState, Stage
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Floats, Learner
from dreamshare.learning.objectives import FitObjective
from dreamshare.updates import Array, Field, PublicArray, Update

SHARE = Field("share", (), bound=1.0, bits=20)
"""A device's weight, in `start`: how much smaller what travels is than a difference."""

LEAST_SHARE = 2.0**-16
"""Resolution of a weight in the encoding (docs/protocol.md 12.3)."""


class FedAvg:
    """See the module's docstring."""

    name = "fedavg/1"

    def __init__(self, config: FedAvgConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        steps = {
            Stage.START.value: (*self.fields([c.start_bound] * len(c.shapes)), SHARE),
            Stage.TRAIN.value: self.fields([c.delta_bound] * len(c.shapes)),
        }
        if c.evaluate:
            steps[Stage.EVALUATE.value] = evaluation_fields(c.max_examples)
        return steps

    def init(self, rng: np.random.Generator) -> FedAvgState:
        c = self.config
        bound = Bound(c.delta_bound, c.delta_bound)
        nothing = tuple(np.zeros(shape, np.float32) for shape in c.shapes)
        return FedAvgState(Stage.START, 0, nothing, 1.0, (bound,) * len(c.shapes))

    def noise_fault(self) -> str:
        if self.config.weighting == "examples":
            return "its weights are numbers of examples; set weighting = 'uniform'"
        return ""

    def carries(self, step: str) -> bool:
        return step == Stage.TRAIN

    def carry(self, ask: Ask, own: Update, late: Update) -> Update:
        return carried(own, late, ask.fields, ask.weight_cap)

    def plan(self, state: FedAvgState) -> Ask | Tell | Done:
        c = self.config
        left = c.rounds - state.round + int(c.evaluate)
        model = self.model(state)
        match state.stage:
            case Stage.START:
                return Ask(Stage.START.value, self.steps()[Stage.START], sums=left + 1)
            case Stage.TRAIN:
                fields = self.fields([bound.value for bound in state.bounds])
                return Ask(Stage.TRAIN.value, fields, model, left, state.round)
            case Stage.ADOPT:
                return self._adopt(state)
            case Stage.EVALUATE:
                return Ask(Stage.EVALUATE.value, self.steps()[Stage.EVALUATE], cycle=state.round)
            case Stage.DONE:
                metrics = {"rounds": float(c.rounds), "clipped": state.clipped}
                if c.evaluate:
                    metrics |= {"accuracy": state.accuracy, "loss": state.loss}
                return Done(model, metrics)

    def conclusion(self, state: object) -> Tell | None:
        if not isinstance(state, FedAvgState) or state.stage is Stage.START:
            return None
        return self._adopt(state)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        match ask:
            case Ask(step=Stage.START):
                own = dict(zip(self.names, self._own(learner).values(), strict=True))
                share = np.array(self._weight(data))
                return answer({**own, SHARE.name: share}, ask.fields, 1.0, ask.weight_cap)
            case Ask(step=Stage.TRAIN):
                return self._train(ask, learner, data, rng)
            case Tell(step=Stage.ADOPT):
                learner.load_parameters(self.received(ask.tensors, learner))
                return Update()
            case Ask(step=Stage.EVALUATE):
                return evaluation(learner, data, self.config.max_examples)
        raise ConfigError(f"fedavg/1 has no {type(ask).__name__} named {ask.step!r}")

    def merge(self, state: FedAvgState, mean: Mapping[str, Array], crowd: Crowd) -> FedAvgState:
        c = self.config
        match state.stage:
            case Stage.START:
                parameters = tuple(mean[name].astype(np.float32) for name in self.names)
                share = float(np.clip(mean[SHARE.name], LEAST_SHARE, 1.0))
                # what travels is the difference times a weight, so the bounds shrink with weights
                first = min(1.0, 2.0 * share) * c.delta_bound
                bounds = (Bound(first, c.delta_bound),) * len(c.shapes)
                return replace(
                    state, stage=Stage.TRAIN, parameters=parameters, share=share, bounds=bounds
                )
            case Stage.TRAIN:
                return self._step(state, mean)
            case Stage.ADOPT:
                return replace(state, stage=Stage.EVALUATE if c.evaluate else Stage.DONE)
            case Stage.EVALUATE:
                accuracy, loss = evaluated(mean)
                return replace(state, stage=Stage.DONE, accuracy=accuracy, loss=loss)
            case Stage.DONE:
                raise ConfigError("this run is over; nothing is left to merge")

    def _adopt(self, state: FedAvgState) -> Tell:
        left = int(self.config.evaluate)
        return Tell(Stage.ADOPT.value, self.model(state), left, state.round)

    def model(self, state: FedAvgState) -> dict[str, PublicArray]:
        """Return the public model, as it travels."""
        return dict(zip(self.names, state.parameters, strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's fields, in its order."""
        return tuple(f"p{i}" for i in range(len(self.config.shapes)))

    def fields(self, bounds: Sequence[float]) -> tuple[Field, ...]:
        """Return the fields of a difference with these bounds, and their count of clips."""
        c = self.config
        triples = zip(self.names, c.shapes, bounds, strict=True)
        fields = tuple(Field(name, shape, bound, c.bits) for name, shape, bound in triples)
        return (*fields, clipped_field(fields))

    def _weight(self, data: Data) -> float:
        """Return the device's weight: a share of the cap, so that a run has one weight cap, 1."""
        c = self.config
        return min(len(data) / c.weight_cap, 1.0) if c.weighting == "examples" else 1.0

    def _own(self, learner: Learner) -> Mapping[str, Floats]:
        own = learner.parameters()
        if layout_of(own) != self.config.layout:
            raise ConfigError(
                "this device's model differs in names or shapes from the one that is averaged; "
                "fedavg/1 needs equal models (codream/1 does not)"
            )
        return own

    def received(
        self, tensors: Mapping[str, PublicArray], learner: Learner
    ) -> dict[str, NDArray[np.float32]]:
        """Return a public model by the device's own names; raises ConfigError where it is none."""
        missing = [name for name in self.names if name not in tensors]
        if missing:
            raise ConfigError(f"the public parameter {missing[0]} did not come with the plan")
        pairs = zip(self._own(learner), self.names, strict=True)
        return {own: tensors[name].astype(np.float32) for own, name in pairs}

    def _train(self, ask: Ask, learner: Learner, data: Data, rng: np.random.Generator) -> Update:
        arrays, _ = self.difference(ask.tensors, learner, data, rng)
        return answer(arrays, ask.fields, self._weight(data), ask.weight_cap)

    def difference(
        self,
        tensors: Mapping[str, PublicArray],
        learner: Learner,
        data: Data,
        rng: np.random.Generator,
    ) -> tuple[dict[str, Array], float]:
        """Train from the public model; return what that changed, and the mean loss, nats."""
        c = self.config
        before = self.received(tensors, learner)
        learner.load_parameters(before)
        objective = FitObjective(
            optimizer=c.optimizer,
            learning_rate=c.learning_rate,
            weight_decay=c.weight_decay,
            proximal=c.proximal,
        )
        if c.balanced:
            objective = objective.balanced(data.class_counts(c.classes))
        batches = data.batches(rng, c.batch)
        loss = learner.fit(((next(batches),) for _ in range(c.fit_steps)), objective)
        after = learner.parameters()
        deltas = zip(self.names, before, strict=True)
        return {name: after[own] - before[own] for name, own in deltas}, loss

    def _step(self, state: FedAvgState, mean: Mapping[str, Array]) -> FedAvgState:
        c = self.config
        size = sum(array.size for array in state.parameters)
        share = max(0.0, float(mean[CLIPPED])) / size
        parameters = tuple(
            (old + c.server_rate * mean[name]).astype(np.float32)
            for old, name in zip(state.parameters, self.names, strict=True)
        )
        bounds = tuple(
            bound.follow(mean[name], share, scale=state.share)
            for bound, name in zip(state.bounds, self.names, strict=True)
        )
        done = state.round + 1
        return replace(
            state,
            stage=Stage.TRAIN if done < c.rounds else Stage.ADOPT,
            round=done,
            parameters=parameters,
            bounds=bounds,
            clipped=max(state.clipped, share),
        )
