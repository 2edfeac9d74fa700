"""One evaluation of a bundle's program: several of its graphs where one does not give all.

Rules:
- a graph is opened for one evaluation and closed with it: a device keeps no sessions in memory
  between rounds;
- a device answers what its bundle was exported with; what it lacks is named.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.programs import open_program
from dreamshare.learning.onnx.runtime import Runtime
from dreamshare.learning.onnx.signatures import Transform
from dreamshare.learning.onnx.tensors import Arrays
from dreamshare.learning.programs import ProgramCall, data_of
from dreamshare.updates import Array


def evaluate(
    bundle: Bundle, weights: Arrays, runtime: Runtime, call: ProgramCall, batch: Batch
) -> Mapping[str, Array]:
    """Return what is wanted, by port; see `dreamshare.learning.programs.EvaluatesPrograms`."""
    groups = set(call.groups)
    transforms: list[Transform] = []
    if "product" in groups:
        transforms.append("hvp")  # its graph gives the gradient, too
    if "gradient" in groups and ("product" not in groups or "value" in groups):
        transforms.append("vjp")  # its graph gives the value, too
    if "pushed" in groups:
        transforms.append("jvp")
    if "value" in groups and not {"vjp", "jvp"} & set(transforms):
        transforms.append("value")
    program = open_program(bundle, call.program, transforms, weights, runtime)
    signature = program.signature
    data = data_of(call.program, signature.data, batch)
    shapes = {each.name: (each.shape, np.dtype(each.dtype)) for each in signature.arguments}
    tangents = {
        name: call.tangents.get(name, np.zeros(shape, dtype))
        for name, (shape, dtype) in shapes.items()
    }
    found: dict[str, Array] = {}

    def take(group: str, arrays: Arrays) -> None:
        if group in groups:
            found.update({f"{group}/{n}": _floats(n, a) for n, a in arrays.items()})

    for transform in transforms:
        match transform:
            case "value":
                take("value", program.value(call.arguments, data))
            case "vjp":
                pulled = program.vjp(call.arguments, data, call.cotangents)
                take("value", pulled.values)
                take("gradient", pulled.gradients)
            case "jvp":
                pushed = program.jvp(call.arguments, data, tangents)
                take("value", pushed.values)
                take("pushed", pushed.pushed)
            case "hvp":
                curved = program.hvp(call.arguments, data, call.cotangents, tangents)
                take("gradient", curved.gradients)
                take("product", curved.products)
    wanted = {f"{group}/{name}" for group in ("gradient", "product") for name in call.by}
    return {n: a for n, a in found.items() if n in wanted or n.startswith(("value/", "pushed/"))}


def _floats(name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Array:
    if array.dtype == np.float32:
        return array.astype(np.float32, copy=False)
    if array.dtype == np.float64:
        return array.astype(np.float64, copy=False)
    raise ConfigError(f"{name} is {array.dtype}; a program gives float32 or float64")
