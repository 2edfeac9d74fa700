"""A program and its transforms as pure functions of named tensors, ready to be traced.

Rules:
- names are ports of `dreamshare.learning.onnx.signatures`: "argument/theta", "data/x", ...;
- derivatives come from `torch.autograd.grad`, also the push-forward: it is the pull-back of the
  pull-back, which is linear in its cotangent; `torch.func` fixes batch sizes (see `functions`);
- what a derivative does not reach is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamshare.learning.export.bilinear import Bilinear
from dreamshare.learning.export.functions import Named, PureNet
from dreamshare.learning.export.norms import passing
from dreamshare.learning.export.program_sources import ProgramSource
from dreamshare.learning.export.refusals import ExportError
from dreamshare.learning.export.trace import Traced
from dreamshare.learning.onnx.signatures import Argument, Transform

_PARAMETER = "P/"


@dataclass(frozen=True, slots=True)
class PureProgram:
    """A program over a pure net.

    Attributes:
        source: the user's function.
        net: whose logits it may ask for.
        arguments: the source's own, then the net's parameters where they are given.
    """

    source: ProgramSource
    net: PureNet
    arguments: tuple[Argument, ...]

    @classmethod
    def of(cls, source: ProgramSource, net: PureNet) -> PureProgram:
        """Return the program with every argument that it takes."""
        arguments = source.arguments
        if source.parameters != "held":
            arguments += tuple(
                Argument(f"{_PARAMETER}{name}", tuple(value.shape), source.parameters)
                for name, value in net.parameters.items()
            )
        return cls(source, net, arguments)

    def state(self) -> Named:
        """Return what of the net's state is bound on the device."""
        given = self.source.parameters != "held"
        return self.net.buffers if given else self.net.parameters | self.net.buffers

    def transformed(self, transform: Transform) -> Traced:
        """Return a transform as a function of its ports and the held state."""
        functions: Mapping[Transform, Traced] = {
            "value": self._value,
            "vjp": self._vjp,
            "jvp": self._jvp,
            "hvp": self._hvp,
        }
        return functions[transform]

    def results(self, arguments: Named, data: Named, state: Named) -> Named:
        """Return what the user's function gives.

        Raises:
            ExportError: it gives something else than named tensors.
        """
        given = {n.removeprefix(_PARAMETER): v for n, v in arguments.items() if _is_parameter(n)}
        held = state
        if self.source.parameters == "float64":
            held = {n: v.double() if v.is_floating_point() else v for n, v in state.items()}

        def net(x: Tensor) -> Tensor:
            with passing(self.net.shared, plain=True):
                return self.net.logits({**held, **given}, x)

        own = {n: v for n, v in arguments.items() if not _is_parameter(n)}
        with Bilinear():
            return named_results(self.source, self.source.function(own, data, net))

    def _value(self, given: Named, state: Named) -> Named:
        found = self.results(_group(given, "argument"), _group(given, "data"), state)
        return _as("value", {name: value.detach() for name, value in found.items()})

    def _vjp(self, given: Named, state: Named) -> Named:
        leaves = _leaves(_group(given, "argument"))
        with torch.enable_grad():
            found = self.results(leaves, _group(given, "data"), state)
            gradients = _pull(found, leaves, _group(given, "cotangent"))
        values = {name: value.detach() for name, value in found.items()}
        return _as("value", values) | _as("gradient", gradients)

    def _jvp(self, given: Named, state: Named) -> Named:
        leaves = _leaves(_group(given, "argument"))
        with torch.enable_grad():
            found = self.results(leaves, _group(given, "data"), state)
            free = _leaves({name: torch.zeros_like(value) for name, value in found.items()})
            pulled = _pull(found, leaves, free, again=True)
            pushed = _pull(pulled, free, _group(given, "tangent"))
        values = {name: value.detach() for name, value in found.items()}
        return _as("value", values) | _as("pushed", pushed)

    def _hvp(self, given: Named, state: Named) -> Named:
        leaves = _leaves(_group(given, "argument"))
        with torch.enable_grad():
            found = self.results(leaves, _group(given, "data"), state)
            gradients = _pull(found, leaves, _group(given, "cotangent"), again=True)
            products = _pull(gradients, leaves, _group(given, "tangent"))
        values = {name: value.detach() for name, value in gradients.items()}
        return _as("gradient", values) | _as("product", products)


def named_results(source: ProgramSource, found: object) -> Named:
    """Return results by name; raises ExportError for anything else."""
    if not isinstance(found, Mapping) or not found:
        raise ExportError(f"program {source.name} returns {type(found).__name__}; return a dict")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ExportError(f"program {source.name}: result {name!r} is no named tensor")
        if value.dtype not in (torch.float32, torch.float64):
            raise ExportError(
                f"program {source.name}: result {name!r} is {value.dtype}; results are summed and "
                "differentiated, so make it float32 or float64"
            )
    return dict(found)


def _pull(found: Named, leaves: Named, cotangents: Named, again: bool = False) -> Named:
    """Return J^T cotangents; zeros where nothing reaches a leaf."""
    reached = {name: value for name, value in found.items() if value.requires_grad}
    if not reached:
        return {name: torch.zeros_like(value) for name, value in leaves.items()}
    gradients = torch.autograd.grad(
        list(reached.values()),
        list(leaves.values()),
        [cotangents[name] for name in reached],
        create_graph=again,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(leaves, gradients, strict=True))


def _leaves(values: Named) -> Named:
    return {name: value.detach().requires_grad_(True) for name, value in values.items()}


def _group(given: Named, group: str) -> Named:
    prefix = f"{group}/"
    return {n.removeprefix(prefix): v for n, v in given.items() if n.startswith(prefix)}


def _as(group: str, values: Named) -> Named:
    return {f"{group}/{name}": value for name, value in values.items()}


def _is_parameter(name: str) -> bool:
    return name.startswith(_PARAMETER)
