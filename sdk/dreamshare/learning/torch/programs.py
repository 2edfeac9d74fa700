"""Programs on a device with torch: value, pull-back, push-forward and curvature by autograd.

Rules:
- a device evaluates the sources that its application registered, with the transforms that they
  name, and nothing else;
- derivatives come from `torch.autograd.grad`; the push-forward is the pull-back of the pull-back,
  of one number the product with its gradient, so that a device may live in the process of a client
  that differentiates forwards;
- parameters and buffers are the same before and after; what a derivative does not reach is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.programs import NEEDS, ProgramCall, data_of
from dreamshare.learning.torch.dreaming import teaching
from dreamshare.learning.torch.sources import ProgramSource
from dreamshare.updates import Array

PARAMETER = "P/"
Named = dict[str, Tensor]


class TorchPrograms:
    """The programs of one net.

    Args:
        net: what `net(x)` of a program calls.
        sources: what may be evaluated.
        device: where.

    Raises:
        ConfigError: two sources have one name.
    """

    def __init__(
        self, net: nn.Module, sources: Sequence[ProgramSource], device: torch.device
    ) -> None:
        self._net = net
        self._device = device
        self._sources = {source.name: source for source in sources}
        if len(self._sources) < len(sources):
            raise ConfigError("two programs have one name; another meaning is another version")

    def evaluate(self, call: ProgramCall, batch: Batch) -> Mapping[str, Array]:
        """See `dreamshare.learning.programs.EvaluatesPrograms`."""
        source = self._source(call)
        data = self._tensors(data_of(source.name, source.data, batch))
        leaves = {n: t.requires_grad_(True) for n, t in self._tensors(call.arguments).items()}
        cotangents, tangents = self._tensors(call.cotangents), self._tensors(call.tangents)
        with teaching(self._net), torch.enable_grad():
            results = self._results(source, leaves, data)
            if call.cotangents and call.cotangents.keys() != results.keys():
                raise ConfigError(f"program {source.name} has the results {sorted(results)}")
            by = {name: leaves[name] for name in call.by}
            along = {name: leaves[name] for name in tangents}
            found: Named = {}
            if "value" in call.groups:
                found |= _as("value", results)
            if "gradient" in call.groups:
                found |= _as("gradient", _pull(results, by, cotangents))
            if "pushed" in call.groups:
                found |= _as("pushed", _push(results, along, tangents))
            if "product" in call.groups:
                found |= _as("product", _pull(_pull(results, along, cotangents), by, tangents))
        return {name: tensor.detach().cpu().numpy() for name, tensor in found.items()}

    def _source(self, call: ProgramCall) -> ProgramSource:
        source = self._sources.get(call.program)
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            raise ConfigError(f"this device has no program {call.program}; it has {known}")
        refused = {NEEDS[group] for group in call.groups} - set(source.transforms)
        if refused:
            raise ConfigError(f"program {source.name} is registered without {sorted(refused)}")
        shapes = {each.name: (each.shape, each.dtype) for each in source.arguments}
        if source.parameters != "held":
            for name, value in self._net.named_parameters():
                shapes[f"{PARAMETER}{name}"] = (tuple(value.shape), source.parameters)
        given = {name: (array.shape, str(array.dtype)) for name, array in call.arguments.items()}
        if given != shapes:
            raise ConfigError(f"program {source.name} takes the arguments {shapes}, not {given}")
        return source

    def _results(self, source: ProgramSource, leaves: Named, data: Named) -> Named:
        """Return what the application's function gives."""
        given = {n.removeprefix(PARAMETER): t for n, t in leaves.items() if PARAMETER in n}
        held: Named = {}
        if source.parameters == "float64":
            state = self._net.state_dict()
            held = {n: t.double() for n, t in state.items() if t.is_floating_point()}

        def net(x: Tensor) -> Tensor:
            logits: Tensor = functional_call(self._net, {**held, **given}, (x,))
            return logits

        own = {name: tensor for name, tensor in leaves.items() if PARAMETER not in name}
        found = source.function(own, data, net)
        for name, tensor in found.items():
            if tensor.dtype not in (torch.float32, torch.float64):
                raise ConfigError(
                    f"program {source.name}: result {name!r} is {tensor.dtype}; results are summed "
                    "and differentiated, so make it float32 or float64"
                )
        return dict(found)

    def _tensors(self, arrays: Mapping[str, NDArray[np.generic]]) -> Named:
        return {name: torch.tensor(array, device=self._device) for name, array in arrays.items()}


def _pull(found: Named, leaves: Named, cotangents: Named) -> Named:
    """Return J^T cotangents, differentiable; zeros where nothing reaches a leaf."""
    reached = {name: value for name, value in found.items() if value.requires_grad}
    if not reached or not leaves:
        return {name: torch.zeros_like(value) for name, value in leaves.items()}
    gradients = torch.autograd.grad(
        list(reached.values()),
        list(leaves.values()),
        [cotangents[name] for name in reached],
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(leaves, gradients, strict=True))


def _push(found: Named, leaves: Named, tangents: Named) -> Named:
    """Return J tangents: of one number its gradient's product with them, a single way back."""
    if len(found) == 1 and all(value.numel() == 1 for value in found.values()):
        ((name, value),) = found.items()
        slopes = _pull(found, leaves, {name: torch.ones_like(value)})
        change = sum((slopes[n] * tangents[n]).sum() for n in leaves)
        return {name: torch.as_tensor(change, dtype=value.dtype).reshape(value.shape)}
    free = {name: torch.zeros_like(value, requires_grad=True) for name, value in found.items()}
    return _pull(_pull(found, leaves, free), free, tangents)


def _as(group: str, values: Named) -> Named:
    return {f"{group}/{name}": value for name, value in values.items()}
