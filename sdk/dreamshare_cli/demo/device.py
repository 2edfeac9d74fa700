"""What an agent of the demo computes with, and what it would reach alone.

The agent's settings name `dreamshare_cli.demo.device:make_equipment`. Beside the net that learns
from what devices share, two companions of the same architecture and the same first weights train on
the device's own digits only: one plainly, one with balanced softmax. They take as many steps as the
net takes in one algorithm.

Rules:
- every algorithm finds the net with its first weights, so that none gains from another's lessons;
- companions are trained once, beside the last algorithm, after each of its lessons;
- companions' accuracies go to the notes file of the device and nowhere else: nothing here sends;
- notes are JSON lines, flushed one by one, accuracies 0 to 1:
    {"event": "equipped", "architecture": "VGG-like", "runtime": "onnx", "parameters": 1,
     "examples": 1, "tested": 1}
    {"event": "alone", "kind": "independent", "cycle": 0, "accuracy": 0.5}   cycle 0 is the warm-up
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dreamshare.algorithms.baselines import balanced, independent
from dreamshare.learning.base import (
    Batch,
    Data,
    Floats,
    GivesFeatureStatistics,
    InputGradient,
    Learner,
    ParameterGradient,
)
from dreamshare.learning.measures import measure, parameter_gradient
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.programs import ProgramCall, evaluation
from dreamshare.settings import Scalar
from dreamshare.updates import Array, PublicArray
from dreamshare_cli.demo.device_settings import DeviceSettings
from dreamshare_cli.demo.digits import device_data
from dreamshare_cli.demo.first_weights import parameter_count, shapes_of
from dreamshare_cli.demo.learners import make_learner
from dreamshare_cli.demo.methods import methods
from dreamshare_cli.demo.setting import architecture_of, codream_config, net_seed
from dreamshare_edge.equipment import Equipment


def make_equipment(table: Mapping[str, Scalar]) -> Equipment:
    """Return net, digits and companions of one device; raises ConfigError on a wrong table."""
    settings = DeviceSettings.read(table)
    data = device_data(settings.device, settings.devices, settings.seed)
    architecture = architecture_of(settings.device)
    config = codream_config(settings.seed, settings.cycles)

    def learner() -> Learner:
        seed = net_seed(settings.seed, settings.device)
        return make_learner(settings.runtime, architecture, seed)

    notes = Notes(settings.notes)
    companions = []
    for number, (kind, train) in enumerate(
        (("independent", independent), ("balanced", balanced)), start=1
    ):
        alone = learner()
        rng = np.random.default_rng([settings.seed, settings.device, number])
        companions.append(Companion(kind, alone, train(config, alone, data, rng)))
    own = learner()
    notes.write(
        {
            "event": "equipped",
            "architecture": architecture,
            "runtime": settings.runtime.value,
            "parameters": parameter_count(shapes_of(own)),
            "examples": len(data),
            "tested": len(data.held_out().x_NCHW),
        }
    )
    lessons = [
        each.lessons for each in methods(settings.algorithms, settings.seed, settings.cycles)
    ]
    return Equipment(Accompanied(own, companions, lessons, data, notes), data, architecture)


class Notes:
    """Appends JSON lines to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, line: Mapping[str, str | int | float]) -> None:
        """Append one line at once."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


@dataclass(frozen=True, slots=True)
class Companion:
    """A net of the device that never learns from others.

    Attributes:
        kind: "independent" or "balanced".
        learner: its net.
        phases: does the work of a phase for each item: the warm-up gives 0, then each cycle.
    """

    kind: str
    learner: Learner
    phases: Iterator[int]


@dataclass(frozen=True, slots=True)
class Place:
    """What goes with one `fit`.

    Attributes:
        first: of its algorithm.
        companions: how many phases of theirs follow.
    """

    first: bool = False
    companions: int = 0


def places(lessons: Sequence[Sequence[int]]) -> Iterator[Place]:
    """Yield the place of each fit of a demo, from `Method.lessons` in the order of the runs."""
    for number, lessons_of_run in enumerate(lessons, start=1):
        reached = -1
        for lesson in lessons_of_run:
            yield Place(reached < 0, lesson - reached if number == len(lessons) else 0)
            reached = lesson


class Accompanied:
    """A learner whose companions take their steps when it has taken its own.

    Args:
        learner: does everything that is asked; its weights are the first ones of every algorithm.
        companions: trained and measured on `data` after each `fit` of the last algorithm.
        lessons: `Method.lessons` of the algorithms, in order.
        notes: gets their accuracies.
    """

    def __init__(
        self,
        learner: Learner,
        companions: Sequence[Companion],
        lessons: Sequence[Sequence[int]],
        data: Data,
        notes: Notes,
    ) -> None:
        self.classes = learner.classes
        self._learner = learner
        self._first = learner.snapshot()
        self._companions = tuple(companions)
        self._places = tuple(places(lessons))
        self._fitted = 0
        self._data = data
        self._notes = notes

    def fit(self, steps: Iterable[tuple[Batch, ...]], objective: FitObjective) -> float:
        place = self._places[self._fitted] if self._fitted < len(self._places) else Place()
        if place.first:
            self._learner.restore(self._first)
        loss = self._learner.fit(steps, objective)
        self._fitted += 1
        for companion in self._companions:
            for cycle in itertools.islice(companion.phases, place.companions):
                measured = measure(companion.learner, self._data.held_out())
                self._notes.write(
                    {
                        "event": "alone",
                        "kind": companion.kind,
                        "cycle": cycle,
                        "accuracy": measured.accuracy,
                    }
                )
        return loss

    def logits(self, x_NCHW: Floats) -> Floats:
        return self._learner.logits(x_NCHW)

    def input_gradient(self, x_NCHW: Floats, objective: DreamObjective) -> InputGradient:
        return self._learner.input_gradient(x_NCHW, objective)

    def feature_statistics(self, x_NCHW: Floats) -> Mapping[str, Floats]:
        learner = self._learner
        if isinstance(learner, GivesFeatureStatistics):
            return learner.feature_statistics(x_NCHW)
        return {}

    def parameter_gradient(self, batch: Batch) -> ParameterGradient:
        return parameter_gradient(self._learner, batch)

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        return evaluation(self._learner, call, batch)

    def snapshot(self) -> bytes:
        return self._learner.snapshot()

    def restore(self, snapshot: bytes) -> None:
        self._learner.restore(snapshot)

    def memory(self) -> Mapping[str, PublicArray]:
        return self._learner.memory()

    def remember(self, memory: Mapping[str, PublicArray]) -> None:
        self._learner.remember(memory)

    def parameters(self) -> Mapping[str, Floats]:
        return self._learner.parameters()

    def load_parameters(self, parameters: Mapping[str, Floats]) -> None:
        self._learner.load_parameters(parameters)
