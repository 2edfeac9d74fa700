"""Optimiser steps by a bundle's graphs, as `TorchLearner` takes them.

Rules:
- a step with two batches runs two graphs: "gradients" for the local one, whose moved statistics and
  gradients go into the training step for the dreams;
- where their gradients are projected it runs "gradients" for both; the training step then gets the
  result, and two examples of weight 0;
- weights and optimiser state are arrays of the caller's `TrainState`; a step replaces all of them
  or, where it raises, none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Floats, ParameterGradient
from dreamshare.learning.objectives import FitObjective, Optimizer, Projection
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.calls import (
    Feeds,
    distillation_feeds,
    local_feeds,
    nothing_feeds,
    scalar,
)
from dreamshare.learning.onnx.runtime import Program, Runtime
from dreamshare.learning.onnx.tensors import Arrays
from dreamshare.learning.projection import factors

EVALUATION_BATCH = 512
"""Most examples of one run of `gradient`; changes no result."""

MOMENTUM = 0.9
BETAS = (0.9, 0.999)


@dataclass(slots=True)
class TrainState:
    """What training changes.

    Attributes:
        weights: parameters and buffers by the net's own names.
        kind: of the optimiser, "" before the first step.
        steps: taken with this optimiser.
        moments: "M/name" and, with Adam, "V/name".
    """

    weights: Arrays
    kind: Optimizer | str = ""
    steps: int = 0
    moments: Arrays = field(default_factory=dict)


class Training:
    """The training graphs of one bundle; sessions are made when they are first needed."""

    def __init__(self, bundle: Bundle, runtime: Runtime | None = None) -> None:
        self._bundle, self._runtime = bundle, runtime or Runtime()
        self._open: dict[str, Program] = {}
        weights = bundle.weights()
        self._blank = {f"G/{n}": np.zeros_like(weights[n]) for n in bundle.manifest.parameters}

    def step(
        self,
        state: TrainState,
        step: tuple[Batch, ...],
        objective: FitObjective,
        anchor: Arrays | None = None,
    ) -> float:
        """Take one step; return its loss.

        Args:
            state: what changes.
            step: one or two batches.
            objective: how.
            anchor: where `objective.proximal` pulls to; None for where `state` is.

        Raises:
            ConfigError: a step without batches or with more than two, a batch without its labels.
        """
        if not 1 <= len(step) <= 2:
            raise ConfigError(f"a step holds {len(step)} batches; 1 (local) or 2 (and dreams)")
        manifest = self._bundle.manifest
        steps, moments = state.steps, state.moments
        if state.kind != objective.optimizer:
            steps, moments = 0, {}
        weights = dict(state.weights)
        gradients, loss = self._pulled(weights, anchor or weights, objective.proximal)
        feeds = local_feeds(manifest, step[0], objective)
        if len(step) == 2 and objective.distillation_weight > 0:
            dreams = distillation_feeds(manifest, step[1], objective)
            found = self._run("gradients", feeds | self._state(weights) | gradients)
            weights |= _new(found, "B_/")
            gradients = {f"G/{n}": g for n, g in _new(found, "G_/").items()}
            loss, feeds = loss + float(found["loss"]), dreams
            if objective.projection != "none":
                found = self._run("gradients", feeds | self._state(weights) | self._blank)
                public = {f"G/{n}": g for n, g in _new(found, "G_/").items()}
                gradients = _combined(objective.projection, gradients, public)
                loss, feeds = loss + float(found["loss"]), nothing_feeds(manifest, step[1])
        number = steps + 1
        found = self._run(
            f"train_{objective.optimizer}",
            feeds
            | self._state(weights)
            | gradients
            | (moments or self._no_moments(objective.optimizer))
            | rates(objective, number),
        )
        state.weights = weights | _new(found, "B_/") | _new(found, "P_/")
        state.moments = {f"M/{n}": m for n, m in _new(found, "M_/").items()}
        state.moments |= {f"V/{n}": v for n, v in _new(found, "V_/").items()}
        state.kind, state.steps = objective.optimizer, number
        return loss + float(found["loss"])

    def gradient(self, state: TrainState, batch: Batch) -> ParameterGradient:
        """Return loss and gradient in evaluation mode; nothing changes.

        Raises:
            ConfigError: the batch has no labels, or one example needs more than the budget.
        """
        manifest, entry = self._bundle.manifest, self._bundle.manifest.graphs["gradients"]
        size = min(EVALUATION_BATCH, self._runtime.most_examples(entry))
        running = {"batch": scalar(0.0), "track": scalar(0.0)}
        sums = {n: np.zeros(self._blank[f"G/{n}"].shape) for n in manifest.parameters}
        total, count = 0.0, len(batch.x_NCHW)
        for at in range(0, count, size):
            y_N = None if batch.y_N is None else batch.y_N[at : at + size]
            part = Batch(batch.x_NCHW[at : at + size], y_N)
            feeds = local_feeds(manifest, part, FitObjective()) | running
            found = self._run("gradients", feeds | self._state(state.weights) | self._blank)
            total += len(part.x_NCHW) * float(found["loss"])
            for name, gradient in _new(found, "G_/").items():
                sums[name] += len(part.x_NCHW) * _floats(gradient)
        most = max(count, 1)
        return ParameterGradient(
            total / most, {name: (each / most).astype(np.float32) for name, each in sums.items()}
        )

    def _pulled(self, weights: Arrays, anchor: Arrays, proximal: float) -> tuple[Arrays, float]:
        """Return gradient and value of proximal / 2 * |w - w0|^2: graphs add to what they get."""
        if proximal == 0:
            return self._blank, 0.0
        names = self._bundle.manifest.parameters
        apart = {n: _floats(weights[n]) - _floats(anchor[n]) for n in names}
        square = sum(float(np.square(a, dtype=np.float64).sum()) for a in apart.values())
        gradients: Arrays = {f"G/{n}": np.float32(proximal) * a for n, a in apart.items()}
        return gradients, proximal / 2 * square

    def _run(self, name: str, feeds: Feeds) -> Arrays:
        if name not in self._open:
            self._open[name] = self._bundle.open(name, {}, self._runtime)
        program = self._open[name]
        self._runtime.check(program.entry, len(feeds["x"]))
        return program.run(feeds)

    def _state(self, weights: Arrays) -> Feeds:
        manifest = self._bundle.manifest
        parameters = {f"P/{n}": weights[n] for n in manifest.parameters}
        return parameters | {f"B/{n}": weights[n] for n in manifest.buffers}

    def _no_moments(self, kind: Optimizer) -> Feeds:
        groups = ("M", "V") if kind == "adam" else ("M",)
        return {
            f"{group}/{path.partition('/')[2]}": blank
            for path, blank in self._blank.items()
            for group in groups
        }


def rates(objective: FitObjective, number: int) -> Feeds:
    """Return the hyper-parameters of the optimiser's 1-based step.

    Adam's two corrections are computed here in double precision: 1 - 0.999 in float32 is wrong by
    1e-5.
    """
    decay = scalar(objective.weight_decay)
    if objective.optimizer == "sgd":
        return {
            "rate": scalar(objective.learning_rate),
            "momentum": scalar(MOMENTUM),
            "decay": decay,
        }
    first, second = BETAS
    return {
        "rate": scalar(objective.learning_rate / (1.0 - first**number)),
        "correction": scalar(1.0 / math.sqrt(1.0 - second**number)),
        "decay": decay,
    }


def _combined(projection: Projection, local: Arrays, public: Arrays) -> Arrays:
    """Return the gradient of a step whose two gradients may oppose each other."""
    mine = {name: _floats(local[name]) for name in local}
    theirs = {name: _floats(public[name]) for name in local}
    a, b = factors(projection, _inner(mine, theirs), _inner(mine, mine), _inner(theirs, theirs))
    return {name: np.float32(a) * mine[name] + np.float32(b) * theirs[name] for name in local}


def _inner(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> float:
    """Return the inner product of two gradients, summed in float64."""
    return sum(float((one[name] * other[name]).sum(dtype=np.float64)) for name in one)


def _new(found: Arrays, prefix: str) -> Arrays:
    size = len(prefix)
    return {name[size:]: array for name, array in found.items() if name.startswith(prefix)}


def _floats(array: NDArray[np.generic]) -> Floats:
    return array.astype(np.float32, copy=False)
