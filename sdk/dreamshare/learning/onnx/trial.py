"""Every graph of a bundle once, on one batch: what `dreamshare export --check` runs.

Rules:
- inputs are small random numbers from a fixed seed, arguments of programs those that the export
  was checked with; results must be finite and of the size that the
  manifest promises; batches of 1 and 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import GraphEntry
from dreamshare.learning.onnx.ports import Port
from dreamshare.learning.onnx.runtime import Runtime
from dreamshare.learning.onnx.tensors import Arrays

_SIZES = (1, 3)
_USUAL = (0.1, 0.9)


def try_graphs(bundle: Bundle, runtime: Runtime | None = None) -> None:
    """Run every graph at two batch sizes, as `runtime` says.

    Raises:
        BundleError: a graph does not run, or gives something else than the manifest says.
    """
    weights = bundle.weights()
    ranges = {
        (program.graph(transform), f"argument/{each.name}"): (each.low, each.high)
        for program in bundle.manifest.programs.values()
        for transform in program.transforms
        for each in program.arguments
    }
    for name, entry in bundle.manifest.graphs.items():
        program = bundle.open(name, weights, runtime or Runtime())
        for size in _SIZES:
            rng = np.random.default_rng(0)
            feeds = {
                port.name: _input(port, size, weights, rng, ranges.get((name, port.name), _USUAL))
                for port in entry.inputs
            }
            _check(entry, program.run(feeds), size)


def _input(
    port: Port, size: int, weights: Arrays, rng: np.random.Generator, between: tuple[float, float]
) -> NDArray[np.generic]:
    group, _, name = port.name.partition("/")
    if group in ("P", "B"):
        return weights[name]
    shape = _shape(port, size)
    if group in ("G", "M", "V"):
        return np.zeros(shape, port.dtype)
    return np.asarray(rng.uniform(*between, shape), port.dtype)


def _check(entry: GraphEntry, found: Arrays, size: int) -> None:
    for port in entry.outputs:
        array = found[port.name]
        if array.shape != _shape(port, size) or array.dtype != port.dtype:
            raise BundleError(
                f"graph {entry.name} gives {port.name} as {array.dtype} {array.shape}, not as the "
                "manifest says; export the model again"
            )
        if not np.isfinite(array).all():
            raise BundleError(
                f"graph {entry.name} gives {port.name} with values that are not finite; are the "
                "weights finite? Export the model again"
            )


def _shape(port: Port, size: int) -> tuple[int, ...]:
    return tuple(size if each == "N" else int(each) for each in port.shape)
