"""What a run of `fedavg/1` is told: the models' shape, the local steps, bounds and bits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dreamshare.algorithms.checks import choice, not_negative, positive, whole
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.objectives import Optimizer

Weighting = Literal["examples", "uniform"]


@dataclass(frozen=True, slots=True)
class FedAvgConfig:
    """A run of `fedavg/1`; `FedAvgConfig.of_model` fills in the first two.

    Attributes:
        shapes: shape of every parameter and floating-point buffer, in the model's order.
        layout: hex digest of their names and shapes.
        classes: K >= 2.
        rounds: >= 1.
        fit_steps: optimiser steps of a device in each round, >= 1.
        batch: examples of a step, >= 2.
        optimizer: "sgd" or "adam"; its state stays on the device between rounds.
        learning_rate: > 0.
        weight_decay: >= 0.
        proximal: mu >= 0 of FedProx: pulls a device's parameters towards the round's public ones;
            0 is plain averaging.
        balanced: balanced softmax with the device's own label histogram.
        weighting: "examples" or "uniform".
        weight_cap: largest number of examples that counts for one device, > 0 (ignored by
            "uniform").
        server_rate: factor of the mean difference, > 0; 1 is plain averaging.
        start_bound: largest clip of a parameter in `start`, > 0.
        delta_bound: largest clip of a difference, > 0; the bounds in use follow the public sums.
        bits: resolution of every parameter field, 8 to 20.
        evaluate: ask for masked accuracy and loss at the end.
        max_examples: largest number of held-out examples of one device, 1 to 2^24.
    """

    shapes: tuple[tuple[int, ...], ...]
    layout: str
    classes: int
    rounds: int = 10
    fit_steps: int = 30
    batch: int = 64
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.05
    weight_decay: float = 0.0001
    proximal: float = 0.0
    balanced: bool = False
    weighting: Weighting = "examples"
    weight_cap: float = 65_535.0
    server_rate: float = 1.0
    start_bound: float = 64.0
    delta_bound: float = 16.0
    bits: int = 16
    evaluate: bool = False
    max_examples: int = 65_536

    def __post_init__(self) -> None:
        if not self.shapes or any(n < 1 for shape in self.shapes for n in shape):
            raise ConfigError("shapes must name at least one array, every dimension >= 1")
        if len(self.layout) != 64:
            raise ConfigError("layout must be the 64 hex digits of `layout_of(parameters)`")
        for name, least, most in _WHOLE:
            whole(self, name, least, most)
        positive(self, "learning_rate", "weight_cap", "server_rate", "start_bound", "delta_bound")
        not_negative(self, "weight_decay", "proximal")
        choice(self, "optimizer", Optimizer)
        choice(self, "weighting", Weighting)

    @classmethod
    def of_model(cls, parameters: Mapping[str, Floats], classes: int) -> FedAvgConfig:
        """Return the defaults for models with these parameters; change them with `replace`."""
        shapes = tuple(array.shape for array in parameters.values())
        return cls(shapes=shapes, layout=layout_of(parameters), classes=classes)


_WHOLE = (
    ("classes", 2, 10_000),
    ("rounds", 1, 10_000),
    ("fit_steps", 1, 1_000_000),
    ("batch", 2, 65_536),
    ("bits", 8, 20),
    ("max_examples", 1, 2**24),
)


def layout_of(parameters: Mapping[str, Floats]) -> str:
    """Return the hex SHA-256 of the names and shapes, in order."""
    text = "\n".join(f"{name} {array.shape}" for name, array in parameters.items())
    return hashlib.sha256(text.encode()).hexdigest()
