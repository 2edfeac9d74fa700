"""A bundle's programs on a device: value, pull-back, push-forward and curvature by onnxruntime.

    program = open_program(bundle, "loss/1", ("vjp",), bundle.weights())
    pulled = program.vjp({"theta": theta}, {"x": x, "y": y}, {"loss": np.asarray(1.0)})
    pulled.values["loss"], pulled.gradients["theta"]

What the transforms compute: `dreamshare.learning.onnx.signatures`. A second derivative by reverse
mode needs no graph of its own: the pull-back of `vjp` along u is `hvp` with tangents u for the
arguments, and `jvp` along u for the cotangents.

Rules:
- arrays are checked against the manifest before onnxruntime sees them: names, types, shapes, one
  number of examples; what comes with a request must be finite;
- nothing is converted: an array of another type is an error, not another number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.ports import Port
from dreamshare.learning.onnx.runtime import Program, Runtime
from dreamshare.learning.onnx.signatures import Signature, Transform
from dreamshare.learning.onnx.tensors import Arrays

Given = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Pulled:
    """Results, and the gradient for each argument: J^T cotangents."""

    values: Arrays
    gradients: Arrays


@dataclass(frozen=True, slots=True)
class Pushed:
    """Results, and how they change along the tangents: J tangents."""

    values: Arrays
    pushed: Arrays


@dataclass(frozen=True, slots=True)
class Curved:
    """The gradient for each argument, and how it changes along the tangents."""

    gradients: Arrays
    products: Arrays


class DerivedProgram:
    """A program whose transforms are ready to run.

    Attributes:
        signature: what it takes and gives.
    """

    def __init__(self, signature: Signature, open_graphs: Mapping[Transform, Program]) -> None:
        self.signature = signature
        self._open = open_graphs

    def value(self, arguments: Given, data: Given) -> Arrays:
        """Return the results by name.

        Args:
            arguments: of the request, by name.
            data: the device's own, by name; one number of examples >= 1.

        Raises:
            ConfigError: an array is missing or too many, does not fit or is not finite, or this
                transform was not opened.
            BundleError: onnxruntime fails.
        """
        return _group(self._run("value", arguments, data, {}, {}), "value")

    def vjp(self, arguments: Given, data: Given, cotangents: Given) -> Pulled:
        """Return results and gradients, for cotangents of the results; raises as `value`."""
        found = self._run("vjp", arguments, data, cotangents, {})
        return Pulled(_group(found, "value"), _group(found, "gradient"))

    def jvp(self, arguments: Given, data: Given, tangents: Given) -> Pushed:
        """Return results and their change, for tangents of the arguments; raises as `value`."""
        found = self._run("jvp", arguments, data, {}, tangents)
        return Pushed(_group(found, "value"), _group(found, "pushed"))

    def hvp(self, arguments: Given, data: Given, cotangents: Given, tangents: Given) -> Curved:
        """Return gradients and their change along tangents; raises as `value`.

        Of one loss with the cotangent 1 these are the gradient and the Hessian times the tangents.
        """
        found = self._run("hvp", arguments, data, cotangents, tangents)
        return Curved(_group(found, "gradient"), _group(found, "product"))

    def _run(
        self,
        transform: Transform,
        arguments: Given,
        data: Given,
        cotangents: Given,
        tangents: Given,
    ) -> Arrays:
        program = self._open.get(transform)
        if program is None:
            raise ConfigError(
                f"program {self.signature.name} was opened for {', '.join(self._open)}, not for "
                f"{transform}"
            )
        given: dict[str, NDArray[np.generic]] = {}
        for group, arrays in (
            ("argument", arguments),
            ("data", data),
            ("cotangent", cotangents),
            ("tangent", tangents),
        ):
            given |= {f"{group}/{name}": array for name, array in arrays.items()}
        ports = self.signature.inputs(transform)
        odd = sorted({port.name for port in ports} ^ given.keys())
        if odd:
            raise ConfigError(
                f"program {self.signature.name}, {transform}: {odd[:4]} on one side only; it takes "
                f"{', '.join(port.name for port in ports)}"
            )
        self._check(ports, given)
        return program.run({name: np.asarray(array, order="C") for name, array in given.items()})

    def _check(self, ports: Sequence[Port], given: Given) -> None:
        below = {f"data/{each.name}": each.below for each in self.signature.data}
        examples = 0
        for port in ports:
            array = given[port.name]
            if port.shape[:1] == ("N",) and array.ndim and not examples:
                examples = len(array)
                if examples < 1:
                    raise ConfigError(f"{port.name} holds no example; a program needs 1 or more")
            shape = tuple(examples if size == "N" else size for size in port.shape)
            if array.dtype != np.dtype(port.dtype) or array.shape != shape:
                raise ConfigError(
                    f"{port.name} is {array.dtype} {array.shape}; program {self.signature.name} "
                    f"takes {port.dtype} {shape}"
                )
            asked = not port.name.startswith("data/")
            if asked and not np.isfinite(array).all():
                raise ConfigError(f"{port.name} holds values that are not finite")
            most = below.get(port.name, 0)
            if most and not ((array >= 0) & (array < most)).all():  # type: ignore[operator]
                raise ConfigError(f"{port.name} holds values outside 0 to {most - 1}")


def open_program(
    bundle: Bundle,
    name: str,
    transforms: Sequence[Transform],
    weights: Given,
    runtime: Runtime = Runtime(),  # noqa: B008
) -> DerivedProgram:
    """Return a program of a bundle with some of its transforms.

    Args:
        bundle: that holds it.
        name: such as "loss/1".
        transforms: what will be asked for, of "value", "vjp", "jvp", "hvp".
        weights: the device's own, by the net's names.
        runtime: how onnxruntime runs the graphs.

    Raises:
        BundleError: no such program or transform, a weight is missing, or onnxruntime refuses.
    """
    signature = bundle.manifest.programs.get(name)
    if signature is None:
        known = ", ".join(sorted(bundle.manifest.programs)) or "none"
        raise BundleError(f"the bundle has no program {name!r}; it has {known}")
    lacking = [each for each in transforms if each not in signature.transforms]
    if lacking or not transforms:
        raise BundleError(
            f"program {name} was exported with {', '.join(signature.transforms)}, not with "
            f"{', '.join(lacking) or 'nothing'}; export it with what is asked for"
        )
    graphs: dict[Transform, Program] = {
        each: bundle.open(signature.graph(each), weights, runtime) for each in transforms
    }
    return DerivedProgram(signature, graphs)


def _group(found: Arrays, group: str) -> Arrays:
    prefix = f"{group}/"
    return {n.removeprefix(prefix): a for n, a in found.items() if n.startswith(prefix)}
