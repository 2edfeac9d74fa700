"""A population whose sums can be computed by head, in a module that workers import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
from dreamshare.simulate import SimulatedDevice
from dreamshare.updates import Array, Field, Update

NAME = "heads/1"
CONFIG = b"{}"
FIELD = Field("x", (2,), bound=1.0, bits=20)
STEP = 2.0 / (2**20 - 1)
"""Of the encoding: random rounding errs by less than one of them a device."""


class Value:
    """A learner that is one number, and learns by adding another."""

    def __init__(self, value: float) -> None:
        self.value = value

    def snapshot(self) -> bytes:
        return json.dumps(self.value).encode()

    def restore(self, snapshot: bytes) -> None:
        self.value = json.loads(snapshot)


@dataclass(frozen=True, slots=True)
class Values:
    """Device i holds i / count."""

    count: int

    def devices(self, places: Sequence[int]) -> tuple[SimulatedDevice, ...]:
        return tuple(SimulatedDevice(Value(place / self.count), None) for place in places)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class HeadState:
    """Means so far, in turns with Tells."""

    means: tuple[float, ...] = ()
    told: int = 0
    survivors: int = 0


class Heads:
    """Sum, tell everybody the mean, sum again."""

    name = NAME

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"sum": (FIELD,)}

    def init(self, rng: np.random.Generator) -> HeadState:
        return HeadState()

    def plan(self, state: HeadState) -> Ask | Tell | Done:
        if len(state.means) == 2:
            return Done({"means": np.array(state.means)}, {"survivors": float(state.survivors)})
        if len(state.means) > state.told:
            return Tell("learn", {"mean": np.array(state.means[-1:])})
        return Ask("sum", (FIELD,), sums=2, cycle=state.told)

    def local(
        self, ask: Ask | Tell, learner: Value, data: object, rng: np.random.Generator
    ) -> Update:
        if isinstance(ask, Tell):
            learner.value = (learner.value + float(ask.tensors["mean"][0])) / 2
            return Update()
        return Update({"x": np.array([learner.value, float(rng.uniform(-1, 1))])})

    def merge(self, state: HeadState, mean: Mapping[str, Array], crowd: Crowd) -> HeadState:
        if not mean:
            return HeadState(state.means, state.told + 1, state.survivors)
        return HeadState((*state.means, float(mean["x"][0])), state.told, crowd.survivors)


def lookup(name: str, config: bytes) -> Algorithm[object]:
    return Heads()
