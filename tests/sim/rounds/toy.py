"""A toy algorithm: sums and Tells in turns, with answers that anybody can compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Array, Field, Update

NAME = "toy/1"
CONFIG = b"{}"
FIELDS = (Field("x", (2, 3), bound=1.0, bits=16), Field("count", (), bound=8.0, bits=12))
RESOLUTION = {"x": 2.0 / (2**16 - 1), "count": 16.0 / (2**12 - 1)}
"""One step of each field's encoding; random rounding errs by less than a step a device (12.2)."""


@dataclass(frozen=True, slots=True)
class ToyState:
    """How many sums were merged, and how many Tells were spread."""

    sums: int = 0
    tells: int = 0
    last: NDArray[np.float64] | None = None


class Toy:
    """`sums` sums; a Tell after each `tell_every`-th of them (0: none)."""

    name = NAME

    def __init__(self, sums: int = 3, tell_every: int = 2) -> None:
        self._sums = sums
        self._tell_every = tell_every

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"sum": FIELDS}

    def init(self, rng: np.random.Generator) -> ToyState:
        return ToyState()

    def plan(self, state: ToyState) -> Ask | Tell | Done:
        if self._tell_every and state.sums // self._tell_every > state.tells:
            return Tell("tell", {"number": np.array([state.tells], dtype=np.int64)})
        if state.sums == self._sums:
            return Done({} if state.last is None else {"x": state.last})
        tensors = {"public": np.full(4, state.sums, dtype=np.float32)}
        return Ask("sum", FIELDS, tensors, self._sums - state.sums, state.sums)

    def local(
        self, ask: Ask | Tell, learner: object, data: object, rng: np.random.Generator
    ) -> Update:
        return Update() if isinstance(ask, Tell) else Update({"x": rng.uniform(-1, 1, (2, 3))})

    def merge(self, state: ToyState, mean: Mapping[str, Array], crowd: Crowd) -> ToyState:
        if not mean:
            return ToyState(state.sums, state.tells + 1, state.last)
        return ToyState(state.sums + 1, state.tells, np.asarray(mean["x"], dtype=np.float64))


def answer_of(device: bytes, plan: RoundPlan) -> Update:
    """Return what a device answers to a plan: a function of both and of nothing else."""
    rng = np.random.default_rng([*device, *plan.payload().hash])
    return Update(
        {"x": rng.uniform(-1, 1, (2, 3)), "count": np.asarray(rng.uniform(-8, 8))},
        weight=float(rng.uniform(0.25, 1.0)),
    )


def mean_of(devices: tuple[bytes, ...], plan: RoundPlan) -> dict[str, NDArray[np.float64]]:
    """Return sum(w x) / sum(w) over these devices, without masks and rounding."""
    answers = [answer_of(device, plan) for device in devices]
    weight = sum(answer.weight for answer in answers)
    return {
        f.name: sum(a.weight * np.asarray(a.arrays[f.name], np.float64) for a in answers) / weight
        for f in FIELDS
    }
