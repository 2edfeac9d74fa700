"""A new algorithm in four methods, run in simulation: real masks and signatures, no network.

`Histogram` counts how many examples the devices hold of each class, and stops: the sum is known, no
device's own counts are. Run it as it stands:

    python examples/new_algorithm.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from dreamshare import (
    ArrayData,
    Ask,
    Cohort,
    Crowd,
    Data,
    Done,
    Field,
    Learner,
    Tell,
    TorchLearner,
    Update,
)
from dreamshare.simulate import SimulatedDevice, SimulationOptions, simulate
from dreamshare.updates import Array

CLASSES = 3


@dataclass(frozen=True, slots=True)
class Counts:
    """The state: a value, so that a service that is killed goes on from its last checkpoint."""

    of_class: tuple[float, ...] = ()


class Histogram:
    """Counts of each class, over all devices."""

    name = "histogram/1"  # a released name never changes its meaning

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        """Say what may be asked, with bounds: clipping and encoding need nothing else."""
        return {"count": (Field("counts", (CLASSES,), bound=1000.0),)}

    def init(self, rng: np.random.Generator) -> Counts:
        """Begin without knowledge."""
        return Counts()

    def plan(self, state: Counts) -> Ask | Tell | Done:
        """Say what is wanted next."""
        if state.of_class:
            return Done(metrics={f"class {i}": n for i, n in enumerate(state.of_class)})
        return Ask("count", self.steps()["count"])

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        """Compute a device's answer, on the device."""
        return Update({"counts": data.class_counts(CLASSES).astype(np.float64)})

    def merge(self, state: Counts, mean: Mapping[str, Array], crowd: Crowd) -> Counts:
        """Take the mean over the crowd; there is nothing else to take."""
        return Counts(tuple(float(n) * crowd.survivors for n in mean["counts"]))


def main() -> None:
    """Four devices with skewed data; nobody learns whose data is skewed how."""
    devices = []
    for number in range(4):
        rng = np.random.default_rng(number)
        y = rng.choice(CLASSES, size=50, p=rng.dirichlet([0.3] * CLASSES))
        x = rng.normal(size=(50, 2, 1, 1)).astype(np.float32)
        data = ArrayData(x, y)
        print(f"device {number} keeps to itself: {data.class_counts(CLASSES)}")
        net = nn.Sequential(nn.Flatten(), nn.Linear(2, CLASSES))
        devices.append(SimulatedDevice(TorchLearner(net, classes=CLASSES), data))
    result = simulate(
        ("histogram/1", b"{}"),
        devices,
        cohort=Cohort(least=4, most=4),
        options=SimulationOptions(lookup=lambda name, config: Histogram()),
    )
    for name, value in result.metrics.items():
        print(f"the sum says: {name} has {value:.1f} examples")


if __name__ == "__main__":
    main()
