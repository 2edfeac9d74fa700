"""The state machine of `selftuning/1`: FedAvg that differentiates its own rounds.

    start -> train x rounds -> adopt (-> evaluate) -> done

Round t: x' = x + step * D, D = sum(w d) / sum(w) over devices. With F the devices' held-out loss,
dF/dstep = <dF(x'), D> and dF/dnumber = step <dF(x'), dD/dnumber>, where dD/dnumber is a quotient of
sums that round t brings along. The directions are public, so round t + 1, whose devices have x'
anyway, sums one scalar for each (docs/algorithms/selftuning.md).

Rules:
- the slopes of a step are taken at its own end by the devices of the next round: exact for them,
  an estimate of the same where other devices have come or gone;
- the step moves by its logarithm, the weights' exponents by themselves, all within ranges;
- a step that raised F is taken back to a shorter one, where F is known; that round trains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import CLIPPED, Bound
from dreamshare.algorithms.fedavg import FedAvg, FedAvgState
from dreamshare.algorithms.fedavg.state import Stage
from dreamshare.algorithms.selftuning.config import SelfTuningConfig
from dreamshare.algorithms.selftuning.device import answer_train
from dreamshare.algorithms.selftuning.dials import Dial
from dreamshare.algorithms.selftuning.fields import told, train_fields
from dreamshare.algorithms.selftuning.state import Arrays, SelfTuningState
from dreamshare.algorithms.selftuning.vectors import floats, inner, length
from dreamshare.learning.base import Data, Learner
from dreamshare.updates import Array, Field, Update

WORSE = 1.2
"""A step is taken back where the held-out loss is more than this many times what it was."""


class SelfTuning:
    """See the module's docstring."""

    name = "selftuning/1"

    def __init__(self, config: SelfTuningConfig) -> None:
        self.config = config
        # shares of the cap are asked for in any case: their mean is the mean number of examples
        self._averaging = FedAvg(replace(config, weighting="examples"))

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        c = self.config
        largest = [c.delta_bound] * len(c.shapes)
        spread = dict.fromkeys(self.config.spread, largest)
        return {
            **self._averaging.steps(),
            Stage.TRAIN.value: train_fields(c, self._averaging, largest, spread),
        }

    def init(self, rng: np.random.Generator) -> SelfTuningState:
        c = self.config
        bound = Bound(c.delta_bound, c.delta_bound)
        power = 1.0 if c.weighting == "examples" else 0.0
        pace = c.weight_pace
        return SelfTuningState(
            averaging=self._averaging.init(rng),
            dials={
                "step": Dial(
                    c.server_rate, 1 / c.most_rate, c.most_rate, c.step_pace, c.step_pace, True
                ),
                "power": Dial(power, 0.0, 2.0, pace, pace),
                "doubt": Dial(0.0, 0.0, 4.0, pace, pace),
            },
            spread={number: (bound,) * len(c.shapes) for number in self.config.spread},
        )

    def plan(self, state: SelfTuningState) -> Ask | Tell | Done:
        c = self.config
        planned = self._averaging.plan(state.averaging)
        match planned:
            case Done():
                values = {name: dial.value for name, dial in state.dials.items()}
                slopes = {f"slope_{name}": slope for name, slope in state.slopes.items()}
                back = {"taken_back": float(state.back)}
                return replace(planned, metrics={**planned.metrics, **values, **slopes, **back})
            case Ask(step=Stage.TRAIN):
                spread = {n: [b.value for b in bounds] for n, bounds in state.spread.items()}
                fields = train_fields(
                    c, self._averaging, [b.value for b in state.averaging.bounds], spread
                )
                return replace(
                    planned,
                    fields=fields,
                    tensors={**planned.tensors, **told(c, self._averaging, state)},
                )
        return planned

    def conclusion(self, state: object) -> Tell | None:
        if not isinstance(state, SelfTuningState):
            return None
        return self._averaging.conclusion(state.averaging)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        if isinstance(ask, Ask) and ask.step == Stage.TRAIN:
            return answer_train(self._averaging, self.config, ask, learner, data, rng)
        return self._averaging.local(ask, learner, data, rng)

    def merge(
        self, state: SelfTuningState, mean: Mapping[str, Array], crowd: Crowd
    ) -> SelfTuningState:
        stage = state.averaging.stage
        if stage is Stage.TRAIN:
            return self._merged(state, mean)
        averaging = self._averaging.merge(state.averaging, mean, crowd)
        if stage is not Stage.START:
            return replace(state, averaging=averaging)
        first = Bound(self.config.delta_bound, self.config.delta_bound)
        bounds = (first,) * len(averaging.bounds)  # weights are about 1 here, not shares of a cap
        size = averaging.share * self.config.weight_cap
        return replace(state, averaging=replace(averaging, bounds=bounds), size=size)

    # ---- a round ---------------------------------------------------------------------------------

    def _merged(self, state: SelfTuningState, mean: Mapping[str, Array]) -> SelfTuningState:
        c, names = self.config, self._averaging.names
        weight = max(float(mean["weight"]), 1 / c.most_weight)
        change = tuple(mean[name] / weight for name in names)
        judges = float(mean.get("judges", np.zeros(())))
        loss = float(mean["loss"]) / judges if judges > 0 else None
        slopes = self._slopes(state, mean, change, judges)
        dials = {name: d.turned(slopes.get(name, 0.0)) for name, d in state.dials.items()}
        if "step" in slopes:  # by the distance: a step's slope by itself shrinks with the step
            distance = max(length(state.along["step"]), 1e-30)
            dials["step"] = state.dials["step"].turned(slopes["step"] / distance)
        state = replace(state, slopes=slopes or state.slopes)
        worse = loss is not None and state.loss is not None and loss > WORSE * state.loss
        if c.takes_back and worse and dials["step"].value < state.dials["step"].value:
            return self._taken_back(state, dials["step"], mean)
        step = dials["step"].value
        averaging = state.averaging
        along: dict[str, Arrays] = {"step": floats(change)} if "step" in c.learnt else {}
        for number in self.config.spread:
            shift = float(mean[number]) / weight
            along[number] = floats(
                step * (mean[f"{number}_{name}"] / weight - shift * array)
                for name, array in zip(names, change, strict=True)
            )
        share = max(0.0, float(mean[CLIPPED])) / self._size()
        return replace(
            state,
            averaging=self._counted(
                state,
                floats(x + step * d for x, d in zip(averaging.parameters, change, strict=True)),
                mean,
            ),
            dials=dials,
            centre=float(mean["trained"]),
            loss=loss,
            base=averaging.parameters,
            along=along,
            spread={
                number: tuple(
                    bound.follow(mean[f"{number}_{name}"], share)
                    for bound, name in zip(bounds, names, strict=True)
                )
                for number, bounds in state.spread.items()
            },
        )

    def _slopes(
        self,
        state: SelfTuningState,
        mean: Mapping[str, Array],
        change: tuple[Array, ...],
        judges: float,
    ) -> dict[str, float]:
        """Return d held-out loss / d number at the last step."""
        found: dict[str, float] = {}
        for number, arrays in state.along.items():
            if self.config.slopes == "lagged":
                scale = self.config.fit_steps * self.config.learning_rate
                found[number] = -inner(change, arrays) / scale
            elif judges > 0:
                found[number] = float(mean[f"slope_{number}"]) / judges * length(arrays)
        return found

    def _taken_back(
        self, state: SelfTuningState, dial: Dial, mean: Mapping[str, Array]
    ) -> SelfTuningState:
        """Return to where the last step began, and take it with the new length."""
        ratio = np.float32(dial.value / state.dials["step"].value)
        pairs = zip(state.base, state.averaging.parameters, strict=True)
        parameters = floats(base + ratio * (x - base) for base, x in pairs)
        along = {
            number: arrays if number == "step" else floats(ratio * each for each in arrays)
            for number, arrays in state.along.items()
        }
        return replace(
            state,
            averaging=self._counted(state, parameters, mean),
            dials={**state.dials, "step": dial},
            along=along,
            back=state.back + 1,
        )

    def _counted(
        self, state: SelfTuningState, parameters: Arrays, mean: Mapping[str, Array]
    ) -> FedAvgState:
        """Return the averaging's state after a round that ended at these parameters."""
        old, c = state.averaging, self.config
        share = max(0.0, float(mean[CLIPPED])) / self._size()
        done = old.round + 1
        return replace(
            old,
            stage=Stage.TRAIN if done < c.rounds else Stage.ADOPT,
            round=done,
            parameters=parameters,
            bounds=tuple(
                bound.follow(mean[name], share)
                for bound, name in zip(old.bounds, self._averaging.names, strict=True)
            ),
            clipped=max(old.clipped, share),
        )

    def _size(self) -> int:
        """Return how many numbers of a model a device sends."""
        return sum(math.prod(shape) for shape in self.config.shapes) * (1 + len(self.config.spread))
