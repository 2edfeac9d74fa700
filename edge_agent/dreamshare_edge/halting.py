"""Stops a computation that nobody wants any more, and leaves the learner as it was.

A thread cannot be killed, so what computes is given a learner and data that ask, at every batch,
gradient and optimiser step, whether it is still wanted.

Rules:
- a halt is asked for from any thread; the work notices it at its next call and raises `Halted`;
- the first call that changes the learner keeps a snapshot of it before; `undo` goes back to that,
  so that work which was halted or failed leaves no trace;
- nothing is copied for work that changes nothing;
- what else a learner or data have, for algorithms of the app's own, is reached through the same
  object; a change that such a method makes is the app's to undo.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from dreamshare.errors import DreamshareError
from dreamshare.learning.base import (
    Batch,
    Data,
    Floats,
    GivesFeatureStatistics,
    InputGradient,
    Ints,
    KeepsSnapshots,
    Learner,
    ParameterGradient,
)
from dreamshare.learning.guarding import least_class_count
from dreamshare.learning.measures import parameter_gradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.programs import ProgramCall, evaluation
from dreamshare.updates import Array, PublicArray

T = TypeVar("T")


class Halted(DreamshareError):
    """The work was halted; nobody waits for its result."""


class Halt:
    """A switch between who wants a result and who computes it."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def ask(self) -> None:
        """Ask the work to end; idempotent."""
        self._asked.set()

    def check(self) -> None:
        """Return when the work is still wanted; raises Halted."""
        if self._asked.is_set():
            raise Halted("nobody waits for this computation any more")


class HaltingData:
    """Data that stop giving when the work is halted; see `dreamshare.learning.base.Data`.

    Args:
        data: the device's own.
        halt: who asks.
        least: the owner's least count of a class in a sum; None leaves it to the data
            (`dreamshare.learning.guarding`).
    """

    def __init__(self, data: Data, halt: Halt, least: int | None = None) -> None:
        self._data = data
        self._halt = halt
        self.least_class_count = least_class_count(data) if least is None else least

    def __getattr__(self, name: str) -> object:
        """Return what the data offer beyond the protocol."""
        self._halt.check()
        return getattr(self._data, name)

    def __len__(self) -> int:
        return len(self._data)

    def snapshot(self, token: str, *, begin: bool) -> Data:
        """Return the examples of a moment, of data that keep them; else these."""
        self._halt.check()
        if not isinstance(self._data, KeepsSnapshots):
            return self
        kept = self._data.snapshot(token, begin=begin)
        return HaltingData(kept, self._halt, self.least_class_count)

    def batches(self, rng: np.random.Generator, size: int) -> Iterator[Batch]:
        return _checked(self._data.batches(rng, size), self._halt)

    def class_counts(self, classes: int) -> Ints:
        self._halt.check()
        return self._data.class_counts(classes)

    def held_out(self) -> Batch:
        self._halt.check()
        return self._data.held_out()


class HaltingLearner:
    """A learner that stops when the work is halted; see `dreamshare.learning.base.Learner`."""

    def __init__(self, learner: Learner, halt: Halt) -> None:
        self.classes = learner.classes
        self._learner = learner
        self._halt = halt
        self._before: bytes | None = None

    def __getattr__(self, name: str) -> object:
        """Return what the learner offers beyond the protocol."""
        self._halt.check()
        return getattr(self._learner, name)

    def undo(self) -> None:
        """Put the learner back to what it was before this work; idempotent."""
        if self._before is not None:
            self._learner.restore(self._before)
            self._before = None

    def logits(self, x_NCHW: Floats) -> Floats:
        self._halt.check()
        return self._learner.logits(x_NCHW)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        self._halt.check()
        return self._learner.input_gradient(x_NCHW, objective)

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        self._changes()
        return self._learner.fit(_checked(steps, self._halt), objective)

    def feature_statistics(self, x_NCHW: Floats) -> Mapping[str, Floats]:
        self._halt.check()
        learner = self._learner
        if isinstance(learner, GivesFeatureStatistics):
            return learner.feature_statistics(x_NCHW)
        return {}

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        self._halt.check()
        return parameter_gradient(self._learner, batch)

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        self._halt.check()
        return evaluation(self._learner, call, batch)

    def snapshot(self) -> bytes:
        self._halt.check()
        return self._learner.snapshot()

    def restore(self, snapshot: bytes) -> None:
        self._changes()
        self._learner.restore(snapshot)

    def memory(self) -> Mapping[str, PublicArray]:
        return self._learner.memory()

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        self._changes()
        self._learner.remember(memory)

    def parameters(self) -> Mapping[str, Floats]:
        self._halt.check()
        return self._learner.parameters()

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        self._changes()
        self._learner.load_parameters(parameters)

    def _changes(self) -> None:
        self._halt.check()
        if self._before is None:
            self._before = self._learner.snapshot()


def _checked(items: Iterable[T], halt: Halt) -> Iterator[T]:
    for item in items:
        halt.check()
        yield item
