"""Programs in torch: pure functions for federated automatic differentiation.

    def loss(arguments, data, net):
        margin_N = data["y"] * (data["x"] @ arguments["theta"])
        return {"loss": torch.nn.functional.softplus(-margin_N).sum()}

    LOSS = ProgramSource(
        "loss/1",
        loss,
        arguments=(Argument("theta", (5,), "float64"),),
        data=(DataArray("x", ("N", 5), "float64"), DataArray("y", ("N",), "float64")),
        transforms=("value", "vjp", "hvp"),
    )

Rules:
- a function is pure: the same arguments and data give the same results, nothing is written;
- results are what devices' answers are summed of: their sizes do not depend on the batch;
- `net(x)` gives the logits of the device's net in evaluation mode.

The same source is registered with a `TorchLearner` and exported into a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from dreamshare.errors import ConfigError
from dreamshare.learning.onnx.signatures import (
    Argument,
    DataArray,
    Transform,
    check_name,
    check_transforms,
)

Tensors: TypeAlias = Mapping[str, Tensor]
Net: TypeAlias = Callable[[Tensor], Tensor]
Function: TypeAlias = Callable[[Tensors, Tensors, Net], Tensors]
Parameters = Literal["held", "float32", "float64"]


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """A program and what it takes.

    Attributes:
        name: "loss/1": a name and a version; another meaning is another version.
        function: (arguments, data, net) -> results, each by name.
        arguments: what it is differentiated by.
        data: the device's own arrays, with "N" for the number of examples.
        transforms: the graphs to make: "value", "vjp", "jvp", "hvp".
        parameters: "held": `net` has the device's own weights, which no derivative reaches.
            "float32" or "float64": the net's parameters are arguments of that type, under "P/"
            and their own names; what else belongs to the net's state stays the device's own.
    """

    name: str
    function: Function
    arguments: tuple[Argument, ...] = ()
    data: tuple[DataArray, ...] = ()
    transforms: tuple[Transform, ...] = ("value", "vjp")
    parameters: Parameters = "held"

    def __post_init__(self) -> None:
        check_name(self.name)
        check_transforms(self.name, self.transforms)
        if self.parameters not in ("held", "float32", "float64"):
            raise ConfigError(f"program {self.name}: parameters are held, float32 or float64")
        if not self.arguments and self.parameters == "held":
            raise ConfigError(f"program {self.name} has no argument to be differentiated by")
        for kind, arrays in (("argument", self.arguments), ("data array", self.data)):
            names = [each.name for each in arrays]
            if len(set(names)) < len(names) or any(name.startswith("P/") for name in names):
                raise ConfigError(
                    f"program {self.name}: {kind}s have names of their own, none with 'P/'"
                )
