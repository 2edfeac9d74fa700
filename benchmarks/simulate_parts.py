"""Devices and algorithms of benchmarks.simulate, in a module that workers import.

Shape legend: B dreams, K classes, P pixels of a dream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done
from dreamshare.algorithms.catalog import algorithm_from, algorithm_of, config_json_of
from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.binding import TaskLoop
from dreamshare.errors import ConfigError
from dreamshare.learning.base import InputGradient
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective
from dreamshare.protocol.outcomes import SumDone, TellSpread
from dreamshare.simulate.values import SimulatedDevice
from dreamshare.updates import Array, Field, Update

CLASSES = 10
SIDE = 28
EXAMPLES = 20
SUM = "sum/1"


class Linear:
    """A classifier of one layer, weights of its own: what a small device has learnt, 31 kB."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.classes = CLASSES
        self._w_PK = rng.normal(0.0, 0.1, (SIDE * SIDE, CLASSES)).astype(np.float32)

    def memory(self) -> Mapping[str, np.ndarray]:
        return {}

    def logits(self, x_NCHW: np.ndarray) -> np.ndarray:
        return x_NCHW.reshape(len(x_NCHW), -1) @ self._w_PK

    def input_gradient(self, x_NCHW: np.ndarray, objective: DreamObjective) -> InputGradient:
        if (
            objective.labels_B is None
            or objective.feature_weight
            or objective.adversarial != "none"
        ):
            raise ConfigError("a linear classifier has a gradient of cross-entropy and no other")
        logits_BK = self.logits(x_NCHW)
        off_BK = softmax(logits_BK) - np.eye(CLASSES, dtype=np.float32)[objective.labels_B]
        gradient = (off_BK @ self._w_PK.T).reshape(x_NCHW.shape).astype(np.float32)
        return InputGradient(gradient, logits_BK, {"task": 0.0})


@dataclass(frozen=True, slots=True)
class Classifiers:
    """Devices with a classifier and twenty examples each, skewed to two classes."""

    count: int
    seed: int = 0

    def devices(self, places: Sequence[int]) -> tuple[SimulatedDevice, ...]:
        return tuple(self._device(place) for place in places)

    def _device(self, place: int) -> SimulatedDevice:
        rng = np.random.default_rng([self.seed, place])
        y_N = rng.choice(rng.choice(CLASSES, 2, replace=False), EXAMPLES)
        data = ArrayData(np.zeros((EXAMPLES, 1, 1, 1), np.float32), y_N)
        return SimulatedDevice(Linear(rng), data, self.seed)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SumState:
    """The mean, once there is one."""

    mean: NDArray[np.float64] | None = None


class Sum:
    """One sum of `dims` numbers, of which each device knows its own."""

    name = SUM

    def __init__(self, dims: int) -> None:
        self._field = Field("x", (dims,), bound=1.0, bits=16)

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"sum": (self._field,)}

    def init(self, rng: np.random.Generator) -> SumState:
        return SumState()

    def plan(self, state: SumState) -> Ask | Done:
        return Ask("sum", (self._field,)) if state.mean is None else Done({"x": state.mean})

    def local(self, ask: object, learner: object, data: object, rng: np.random.Generator) -> Update:
        return Update({"x": rng.uniform(-1, 1, self._field.shape)})

    def merge(self, state: SumState, mean: Mapping[str, Array], crowd: Crowd) -> SumState:
        return SumState(np.asarray(mean["x"], np.float64))


def lookup(name: str, config: bytes) -> Algorithm[object]:
    """Return the algorithm of the benchmark."""
    return Sum(int(config)) if name == SUM else algorithm_from(name, config)


def one_round(dims: int, population: Classifiers) -> tuple[tuple[str, bytes], bytes | None]:
    """Return what is run, and the state it begins in: before the first gradients of CoDream.

    What a count of examples and a warm-up would have given is put in: two rounds of other sizes
    are not what is measured.
    """
    if dims % (SIDE * SIDE):
        return (SUM, b"%d" % dims), None
    config = CodreamConfig(
        shape=(1, SIDE, SIDE),
        classes=CLASSES,
        dreams=dims // (SIDE * SIDE),
        cycles=1,
        dream_steps=1,
        feature_weight=0.0,
        evaluate="never",
    )
    name, config_json = config_json_of(config)
    loop = TaskLoop(algorithm_of(config), config_json)
    counts = {"counts": np.full(CLASSES, EXAMPLES / CLASSES)}
    nobody = (bytes(16),) * population.count
    loop.react(SumDone(counts, population.count, nobody, population.count, "count", 0))  # type: ignore[arg-type]
    loop.react(TellSpread(0, population.count, population.count, "warm_up", 0))
    return (name, config_json), loop.checkpoint()
