"""The forward graph with 8-bit weights, for devices that only classify, or classify most.

Rules:
- matrices and kernels become int8 with one scale each for every output channel, symmetric, and are
  dequantised when a session is made: it saves size, not time (no gain was measured on x86);
- gradients and training keep float32; the bundle's own weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from dreamshare.learning.export.builder import IR_VERSION, OPSET


def quantized_forward(content: bytes, weights: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return the graph "logits" with `weights` (by port, "P/...") inside, 8 bits where they fit."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    constants = [each for each in graph.initializer if not each.external_data]
    outside = [each.name for each in graph.initializer if each.external_data]
    nodes = []
    for name in outside:
        array = weights[name]
        if array.dtype != np.float32 or array.ndim < 2:
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            continue
        axes = tuple(range(1, array.ndim))
        scale = (np.abs(array).max(axis=axes) / 127.0).astype(np.float32)
        scale[scale == 0] = 1.0
        wide = scale.reshape(-1, *([1] * len(axes)))
        small = np.clip(np.rint(array / wide), -127, 127).astype(np.int8)
        constants += [
            numpy_helper.from_array(small, f"{name}/int8"),
            numpy_helper.from_array(scale, f"{name}/scale"),
        ]
        inputs = [f"{name}/int8", f"{name}/scale"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=0))
    drawn = helper.make_graph(
        [*nodes, *graph.node], "dreamshare", list(graph.input), list(graph.output), constants
    )
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(drawn, opset_imports=opsets, ir_version=IR_VERSION)
    made.producer_name = "dreamshare"
    return bytes(made.SerializeToString(deterministic=True))
