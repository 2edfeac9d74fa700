"""How much memory a run of a graph needs: an estimate made where the graph is exported.

Counted are the values that live at one time and the buffers of the convolutions' kernels, times
`SLACK`: what onnxruntime holds beside them (its plan's gaps, what is freed but not returned) came
to 1.0 to 2.9 times on the covered nets (`python -m benchmarks.onnx_memory`).

Rules:
- a value lives from its node to the last node that reads it; weights and inputs are not counted;
- shapes come from onnx; a value whose shape it cannot infer counts as much as the largest input of
  its node;
- a number that is too small would end a device's process, so where in doubt it is too large.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import onnx
from onnx import shape_inference

SLACK = 3
_FEW, _MANY = 1, 513
_FLOAT = 4


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes of a run beside weights, inputs and outputs: `fixed` + batch * `example`."""

    fixed: int
    example: int


def needed(content: bytes) -> Needed:
    """Return what a graph needs: the chord of its peaks at two batch sizes lies above the rest."""
    few, many = (SLACK * _peak(content, size) for size in (_FEW, _MANY))
    example = math.ceil(max(0, many - few) / (_MANY - _FEW))
    return Needed(max(0, few - example * _FEW), example)


def _peak(content: bytes, batch: int) -> int:
    model = onnx.load_from_string(content)
    for port in (*model.graph.input, *model.graph.output):
        for size in port.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = batch
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {value.name: _shape(value) for value in values}
    shapes |= {each.name: tuple(each.dims) for each in graph.initializer}
    sizes = {value.name: _bytes(value, shapes[value.name]) for value in values}
    dying = defaultdict(list)
    for name, place in {n: i for i, node in enumerate(graph.node) for n in node.input}.items():
        dying[place].append(name)
    living: dict[str, int] = {}
    peak = 0
    for place, node in enumerate(graph.node):
        largest = max((sizes.get(name, 0) for name in node.input), default=0)
        for name in filter(None, node.output):
            living[name] = sizes[name] = sizes.get(name, 0) or largest
        peak = max(peak, sum(living.values()) + _workspace(node, shapes))
        for name in dying[place]:
            living.pop(name, None)
    return peak


def _workspace(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the bytes into which a convolution unfolds one example."""
    unfolded = {"Conv": node.output, "ConvTranspose": node.input}.get(node.op_type)
    if unfolded is None:
        return 0
    weight, places = shapes.get(node.input[1], ()), shapes.get(unfolded[0], ())
    return _FLOAT * math.prod(weight[1:]) * math.prod(places[2:])


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return a value's shape; (0,) where a dimension is not known."""
    tensor = value.type.tensor_type
    known = tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)
    return tuple(int(d.dim_value) for d in tensor.shape.dim) if known else (0,)


def _bytes(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> int:
    kind = value.type.tensor_type.elem_type
    return math.prod(shape) * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
