"""A traced graph as ONNX: values by name, shapes with one symbol, one function per operator.

Rules:
- operators are looked up by name in tables (`operators`, `shapes`, `convolutions`, `pools`); one
  that is in none is refused by name;
- shapes come from the tracer, not from the graph: a shape with one free dimension is a constant
  with a -1 in a Reshape; elsewhere it is computed from the first size of an input;
- an operator in place is its pure form whose result replaces its argument, and refused where
  another value is a view of that argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import fx

from dreamshare.learning.export.builder import Graph
from dreamshare.learning.export.refusals import fixed_batch, unsupported, without_output

Value = str | tuple[str, ...]
Operator = Callable[["Translation", fx.Node], Value]


class Expression(Protocol):
    """A size that depends on the batch, as the tracer computes with it."""

    is_Integer: bool
    is_Symbol: bool
    is_Mul: bool
    is_Add: bool
    args: tuple[Expression, ...]

    def __int__(self) -> int: ...


Dimension: TypeAlias = int | Expression

DTYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.int64: "int64",
    torch.bool: "bool",
}
_CODES = {"float32": 1, "int64": 7, "bool": 9, "float64": 11}
_VIEWS = (
    "view",
    "alias",
    "permute",
    "slice",
    "select",
    "expand",
    "squeeze",
    "unsqueeze",
    "detach",
    "as_strided",
    "t",
    "transpose",
    "split",
    "unbind",
)


@dataclass(frozen=True, slots=True)
class Whole:
    """What a translation looks at beside the node.

    Attributes:
        table: operator's name -> function.
        where: what refusals call the net.
        batch: the input whose first size is the batch.
        doubles: whether float64 is a type like the others; else it is refused.
    """

    table: Mapping[str, Operator]
    where: str
    batch: str = "x"
    doubles: bool = False


class Translation:
    """One traced graph on its way into `graph`."""

    def __init__(self, graph: Graph, whole: Whole) -> None:
        self.graph = graph
        self._whole = whole
        self._values: dict[fx.Node, Value] = {}

    def run(self, module: fx.GraphModule, arguments: Sequence[str]) -> list[str]:
        """Add the nodes of `module` applied to `arguments`; return the outputs' names."""
        given = iter(arguments)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(given)
            elif node.op == "get_attr":
                tensor = getattr(module, str(node.target)).detach()
                self._values[node] = self.graph.constant(tensor.numpy())
            elif node.op == "output":
                return [self.name(each) for each in node.args[0]]
            elif isinstance(node.meta.get("val"), torch.SymInt | int):
                continue
            else:
                self._values[node] = self._translated(node)
        raise without_output(self._whole.where)

    def _translated(self, node: fx.Node) -> Value:
        name = operator_name(node)
        if not self._whole.doubles and _is_double(node.meta.get("val")):
            raise unsupported("values of float64", self._whole.where, "use float32 throughout")
        if name == "getitem":
            parts = self._values[node.args[0]]
            return parts[node.args[1]]
        packet, _, overload = name.partition(".")
        if packet.endswith("_") and not packet.endswith("__"):
            self._check_in_place(node, name)
            result = self._find(f"{packet[:-1]}.{overload}", name)(self, node)
            self._values[node.args[0]] = result
            return result
        return self._find(name, name)(self, node)

    def _find(self, name: str, shown: str) -> Operator:
        operator = self._whole.table.get(name) or self._whole.table.get(name.partition(".")[0])
        if operator is None:
            raise unsupported(f"aten.{shown}", self._whole.where)
        return operator

    def _check_in_place(self, node: fx.Node, name: str) -> None:
        target = node.args[0]
        near = [target, *target.users]
        if any(operator_name(each).partition(".")[0] in _VIEWS for each in near):
            raise unsupported(
                f"aten.{name} on a view", self._whole.where, "write it without the in-place form"
            )

    # ---- reading a node --------------------------------------------------------------------------

    def name(self, argument: object) -> str:
        """Return the value of a tensor argument."""
        value = self._values[argument]
        if isinstance(value, tuple):
            raise unsupported("a tuple used as a tensor", self._whole.where)
        return value

    def source(self, argument: object) -> str:
        """Return a tensor argument before a broadcast, for operators that broadcast anyhow."""
        while isinstance(argument, fx.Node) and operator_name(argument) == "expand.default":
            argument = argument.args[0]
        return self.name(argument)

    def has(self, argument: object) -> bool:
        """Return whether an optional tensor is there."""
        return isinstance(argument, fx.Node)

    def number(self, argument: object, dtype: str) -> str:
        """Return a 0-d value of a number or of a size."""
        if isinstance(argument, fx.Node):
            size = self.size(expression(argument.meta["val"]))
            return self.converted(self.graph.op("Squeeze", size, self.graph.ints([0])), dtype)
        return self.graph.constant(np.asarray(argument, dtype))

    def operand(self, argument: object, dtype: str, broadcast: bool = False) -> str:
        """Return a tensor or a number as a value of `dtype`."""
        if isinstance(argument, fx.Node) and isinstance(argument.meta["val"], torch.Tensor):
            value = self.source(argument) if broadcast else self.name(argument)
            return value if dtype_of(argument) == dtype else self.converted(value, dtype)
        return self.number(argument, dtype)

    def converted(self, value: str, dtype: str) -> str:
        """Return a value in another type."""
        return self.graph.op("Cast", value, to=_CODES[dtype])

    # ---- shapes ----------------------------------------------------------------------------------

    def size(self, dimension: Dimension) -> str:
        """Return a dimension as an int64 value of shape (1,)."""
        graph = self.graph
        if isinstance(dimension, int) or dimension.is_Integer:
            return graph.ints([int(dimension)])
        if dimension.is_Symbol:
            return graph.op("Shape", self._whole.batch, start=0, end=1)
        if dimension.is_Mul or dimension.is_Add:
            kind = "Mul" if dimension.is_Mul else "Add"
            result = self.size(dimension.args[0])
            for other in dimension.args[1:]:
                result = graph.op(kind, result, self.size(other))
            return result
        raise fixed_batch(f"{self._whole.where}: a size is {dimension}, which")

    def shape(self, dimensions: Sequence[Dimension]) -> str:
        """Return a shape as an int64 value."""
        if all(isinstance(each, int) for each in dimensions):
            return self.graph.ints([int(each) for each in dimensions])
        return self.graph.op("Concat", *(self.size(each) for each in dimensions), axis=0)

    def reshape(self, value: str, dimensions: Sequence[Dimension]) -> str:
        """Return `value` in another shape."""
        free = [each for each in dimensions if not isinstance(each, int)]
        if len(free) > 1:
            return self.graph.op("Reshape", value, self.shape(dimensions))
        plain = [each if isinstance(each, int) else -1 for each in dimensions]
        return self.graph.op("Reshape", value, self.graph.ints(plain))


def operator_name(node: fx.Node) -> str:
    """Return "packet.overload" of a node's operator, or a Python function's name."""
    if isinstance(node.target, torch._ops.OpOverload):
        return f"{node.target._schema.name.partition('::')[2]}.{node.target._overloadname}"
    return getattr(node.target, "__name__", str(node.target))


def _is_double(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.float64


def dims_of(node: fx.Node) -> list[Dimension]:
    """Return the shape of a node's tensor."""
    return [expression(each) for each in node.meta["val"].shape]


def dtype_of(node: fx.Node) -> str:
    """Return the type of a node's tensor."""
    dtype = node.meta["val"].dtype
    if dtype not in DTYPES:
        raise unsupported(f"values of {dtype}", "the net", "use float32, float64, int64 or bool")
    return DTYPES[dtype]


def factor(dimension: Dimension) -> int:
    """Return the whole number by which a dimension multiplies the batch; 1 for a plain one."""
    if isinstance(dimension, int) or not dimension.is_Mul:
        return 1
    return math.prod(int(each) for each in dimension.args if each.is_Integer)


def expression(size: int | torch.SymInt) -> Dimension:
    """Return a size as a number or an expression of the batch's symbol."""
    if isinstance(size, int):
        return size
    expr = size.node.expr
    return int(expr) if expr.is_Integer else expr
