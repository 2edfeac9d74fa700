"""The weights that a net of the demo starts from: drawn by numpy from a seed, for either runtime.

    learner.load_parameters(first_weights(shapes_of(learner), seed))

Rules:
- the draw depends on names, shapes and the seed alone, so that a net starts alike under torch and
  under onnxruntime, with every release of either;
- what an array is, its name and its axes tell, as in the nets of `nets`: four axes are a
  convolution, two a linear layer, one belongs to BatchNorm or is a bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, TrainsParameters

LINEAR_DEVIATION = 0.05
STATISTICS = ("running_mean", "running_var")
"""Last parts of names of what training moves, but no optimiser does."""


def first_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Floats]:
    """Return an array for each name: He-normal convolutions (deviation sqrt(2 / fan-out), where
    fan-out is output channels times kernel size), normal linear weights of deviation 0.05, biases
    0, BatchNorm as the identity with mean 0 and variance 1.

    Raises:
        ConfigError: an array of a shape that no layer of the demo's nets has.
    """
    rng = np.random.default_rng(seed)
    return {name: _drawn(name, shapes[name], rng) for name in sorted(shapes)}


def shapes_of(learner: TrainsParameters) -> dict[str, tuple[int, ...]]:
    """Return the shapes of everything that a learner's `load_parameters` takes."""
    return {name: array.shape for name, array in learner.parameters().items()}


def parameter_count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many of these numbers an optimiser changes."""
    return sum(
        math.prod(shape)
        for name, shape in shapes.items()
        if name.rpartition(".")[2] not in STATISTICS
    )


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    match name.rpartition(".")[2], len(shape):
        case "weight", 4:
            outputs, _, *kernel = shape
            return _normal(shape, math.sqrt(2.0 / (outputs * math.prod(kernel))), rng)
        case "weight", 2:
            return _normal(shape, LINEAR_DEVIATION, rng)
        case (("weight" | "running_var"), 1):
            return np.ones(shape, np.float32)
        case (("bias" | "running_mean"), 1):
            return np.zeros(shape, np.float32)
    raise ConfigError(f"{name} of shape {shape} belongs to no layer of the demo's nets")


def _normal(shape: tuple[int, ...], deviation: float, rng: np.random.Generator) -> Floats:
    return (deviation * rng.standard_normal(shape)).astype(np.float32)
