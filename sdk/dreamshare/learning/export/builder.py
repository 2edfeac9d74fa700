"""An ONNX graph in the making: standard domain, opset 18, no equal node twice.

Rules:
- a value is its name; a node with the same operator, inputs and attributes as an earlier one is the
  earlier one, so forward and backward passes share what they have in common;
- nodes that no output needs are left out at the end;
- no doc strings, no metadata: nothing of the machine that exported gets into the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dreamshare.learning.export.refusals import unsupported
from dreamshare.learning.onnx.operators import OPERATORS

OPSET = 18
IR_VERSION = 9
Attribute = int | float | str | tuple[int, ...]
Attributes = dict[str, Attribute]

_TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


class Graph:
    """Nodes, constants and inputs so far."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._known: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: dict[str, onnx.ValueInfoProto] = {}
        self._outside: dict[str, onnx.TensorProto] = {}
        self.used_outside: frozenset[str] = frozenset()

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """Declare an input; a dimension given as text is free."""
        self._inputs[name] = helper.make_tensor_value_info(name, _TYPES[dtype], list(shape))
        return name

    def outside(self, name: str, dtype: str, shape: Sequence[int]) -> str:
        """Declare a weight that is given when a session is made (external data)."""
        tensor = TensorProto(name=name, data_type=_TYPES[dtype], dims=list(shape))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
        self._outside[name] = tensor
        return name

    def constant(self, value: NDArray[np.generic]) -> str:
        """Return the name of a constant."""
        array = np.ascontiguousarray(value).reshape(value.shape)
        key = ("constant", array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = f"c{len(self._constants)}"
            self._constants[name] = numpy_helper.from_array(array, name)
            self._known[key] = (name,)
        return self._known[key][0]

    def floats(self, value: float | Sequence[float]) -> str:
        """Return a float32 constant."""
        return self.constant(np.asarray(value, np.float32))

    def ints(self, value: int | Sequence[int]) -> str:
        """Return an int64 constant."""
        return self.constant(np.asarray(value, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node with one output; return its name."""
        return self.ops(kind, inputs, 1, attributes)[0]

    def ops(
        self, kind: str, inputs: Sequence[str], count: int, attributes: Mapping[str, Attribute]
    ) -> tuple[str, ...]:
        """Add a node with `count` outputs; return their names."""
        if kind not in OPERATORS:
            raise unsupported(f"the ONNX operator {kind}", "the net")
        key = (kind, tuple(inputs), count, tuple(sorted(attributes.items())))
        if key not in self._known:
            names = tuple(f"v{len(self._nodes)}{'abc'[i] if i else ''}" for i in range(count))
            node = helper.make_node(kind, list(inputs), list(names))
            for name, value in attributes.items():
                plain = list(value) if isinstance(value, tuple) else value
                node.attribute.append(helper.make_attribute(name, plain))
            self._nodes.append(node)
            self._known[key] = names
        return self._known[key]

    def model(self, outputs: Mapping[str, tuple[str, str, Sequence[int | str]]]) -> bytes:
        """Return the model; `outputs` maps a name to (value, dtype, shape)."""
        infos = []
        for name, (value, dtype, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
            infos.append(helper.make_tensor_value_info(name, _TYPES[dtype], list(shape)))
        nodes, used = self._needed(outputs)
        constants = [t for n, t in {**self._constants, **self._outside}.items() if n in used]
        self.used_outside = frozenset(self._outside) & used
        graph = helper.make_graph(
            nodes, "dreamshare", list(self._inputs.values()), infos, constants
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="dreamshare"
        )
        return bytes(model.SerializeToString(deterministic=True))

    def _needed(self, outputs: Mapping[str, object]) -> tuple[list[onnx.NodeProto], set[str]]:
        wanted = set(outputs)
        kept = []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        return kept[::-1], wanted
