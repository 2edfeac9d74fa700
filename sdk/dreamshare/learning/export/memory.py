"""How much memory a graph's intermediate values need: an estimate made where the graph is exported.

Rules:
- a value lives from its node to the last node that reads it; weights and inputs are not counted;
- shapes come from onnx; a value whose shape it cannot infer counts as much as the largest input of
  its node;
- onnxruntime may need less (it computes in place) or more (a kernel's own workspace).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import onnx
from onnx import shape_inference

_FEW, _MANY = 1, 9


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes of the intermediate values of a run: `fixed` + batch * `example`."""

    fixed: int
    example: int


def needed(content: bytes) -> Needed:
    """Return what a graph needs, from its peaks at two batch sizes."""
    few, many = (_peak(content, size) for size in (_FEW, _MANY))
    example = math.ceil(max(0, many - few) / (_MANY - _FEW))
    return Needed(max(0, few - example * _FEW), example)


def _peak(content: bytes, batch: int) -> int:
    model = onnx.load_from_string(content)
    for port in (*model.graph.input, *model.graph.output):
        for size in port.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_value = batch
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    sizes = {v.name: _bytes(v) for v in (*graph.input, *graph.value_info, *graph.output)}
    dying = defaultdict(list)
    for name, place in {n: i for i, node in enumerate(graph.node) for n in node.input}.items():
        dying[place].append(name)
    living: dict[str, int] = {}
    peak = 0
    for place, node in enumerate(graph.node):
        largest = max((sizes.get(name, 0) for name in node.input), default=0)
        for name in filter(None, node.output):
            living[name] = sizes.setdefault(name, 0) or largest
            sizes[name] = living[name]
        peak = max(peak, sum(living.values()))
        for name in dying[place]:
            living.pop(name, None)
    return peak


def _bytes(value: onnx.ValueInfoProto) -> int:
    """Return the size of a value, 0 where a dimension is not known."""
    tensor = value.type.tensor_type
    known = tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)
    if not known:
        return 0
    width = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return math.prod(int(d.dim_value) for d in tensor.shape.dim) * width
