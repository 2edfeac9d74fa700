"""A graph is looked at before onnxruntime sees it, and a weight before it is bound.

A bundle may come from elsewhere. onnxruntime by itself reads other files of the device where a
constant says so, runs loops for as long as a graph likes, and knows operators beyond the standard.
A graph that passes here has nothing but what the exporter writes:

- one graph of the standard domain, opset 18; operators of `OPERATORS`; no graph inside a graph, no
  function, no tensor inside a node;
- constants whose bytes are there, as many as their shape says; outside are the weights that the
  manifest names, and they are bound from memory, never read from a file;
- shapes that are written into the graph ask for at most `MAX_ELEMENTS`. What shapes that are
  computed ask for shows only when it runs: docs/threat-model.md, 5.12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import OPSET, GraphEntry
from dreamshare.learning.onnx.operators import OPERATORS
from dreamshare.learning.onnx.protobuf import Message, read_message

MAX_NODES = 100_000
MAX_ELEMENTS = 1 << 28

_DTYPES = {1: "float32", 3: "int8", 7: "int64", 9: "bool", 11: "float64"}
_MODEL = (frozenset({1, 2, 7}), frozenset({8}))
_OPSET = (frozenset({1, 2}), frozenset[int]())
_GRAPH = (frozenset({2}), frozenset({1, 5, 11, 12}))
_NODE = (frozenset({3, 4, 7}), frozenset({1, 2, 5}))
_ATTRIBUTE = (frozenset({1, 2, 3, 4, 20}), frozenset({7, 8}))
_TENSOR = (frozenset({2, 8, 9, 14}), frozenset({1, 13}))
_EXTERNAL = (frozenset({1, 2}), frozenset[int]())
_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Pad": 1}
"""Operators whose result is as large as an input says, and the place of that input."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A constant, or a weight that is bound.

    Attributes:
        name: in the graph.
        dtype: as numpy calls it.
        shape: sizes.
        outside: whether it is bound.
        sizes: its numbers where it may be a shape, else None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    outside: bool
    sizes: tuple[int, ...] | None


def inspect_graph(entry: GraphEntry, content: bytes) -> Mapping[str, Tensor]:
    """Return the weights that a graph wants bound, by name.

    Raises:
        BundleError: it holds what the exporter does not write.
    """
    model = read_message(memoryview(content), *_MODEL)
    opsets = [read_message(each, *_OPSET) for each in model.messages(8)]
    if [(each.text(1), each.number(2)) for each in opsets] != [("", OPSET)]:
        raise _refused(entry, f"operators beyond the standard domain's opset {OPSET}")
    (content_of_graph,) = list(model.messages(7)) or [memoryview(b"")]
    graph = read_message(content_of_graph, *_GRAPH)
    tensors = [_tensor(entry, read_message(each, *_TENSOR)) for each in graph.messages(5)]
    named = {each.name: each for each in tensors}
    if len(named) < len(tensors):
        raise _refused(entry, "two constants of one name")
    nodes = list(graph.messages(1))
    if len(nodes) > MAX_NODES:
        raise _refused(entry, f"more than {MAX_NODES} nodes")
    for node in nodes:
        _check_node(entry, read_message(node, *_NODE), named)
    outside = {each.name: each for each in tensors if each.outside}
    if outside.keys() != set(entry.weights):
        raise _refused(entry, "other weights than its manifest names")
    return outside


def check_weights(
    entry: GraphEntry, wanted: Mapping[str, Tensor], weights: Mapping[str, NDArray[np.generic]]
) -> None:
    """Raise BundleError unless `weights` have the types and shapes that a graph wants."""
    for name, tensor in wanted.items():
        array = weights[name]
        if array.dtype != np.dtype(tensor.dtype) or array.shape != tensor.shape:
            raise BundleError(
                f"graph {entry.name} takes {name} as {tensor.dtype} {tensor.shape}; it is "
                f"{array.dtype} {array.shape}: are these the weights of another model?"
            )


def _check_node(entry: GraphEntry, node: Message, tensors: Mapping[str, Tensor]) -> None:
    kind, domain = node.text(4), node.text(7)
    if domain or kind not in OPERATORS:
        shown = f"{domain}.{kind}" if domain else kind
        raise _refused(entry, f"the operator {shown!r}, which this release does not know")
    for attribute in node.messages(5):
        read_message(attribute, *_ATTRIBUTE)
    place = _SIZED.get(kind)
    if place is None:
        return
    inputs = list(node.messages(1))
    name = str(inputs[place], "utf-8", "replace") if place < len(inputs) else ""
    asked = tensors[name].sizes if name in tensors else None
    if asked and math.prod(max(1, abs(size)) for size in asked) > MAX_ELEMENTS:
        raise _refused(entry, f"{kind} of more than {MAX_ELEMENTS} elements")


def _tensor(entry: GraphEntry, message: Message) -> Tensor:
    name, dtype = message.text(8), _DTYPES.get(message.number(2))
    shape = tuple(message.numbers(1))
    if dtype is None or len(shape) > 8 or not all(0 <= size < 2**40 for size in shape):
        raise _refused(entry, f"the constant {name!r} without a known type and shape")
    raw = b"".join(message.messages(9))
    length = math.prod(shape) * np.dtype(dtype).itemsize
    keys = [read_message(each, *_EXTERNAL) for each in message.messages(13)]
    if message.number(14) == 1:
        where = [(each.text(1), each.text(2)) for each in keys]
        if where != [("location", "weights")] or raw or length > MAX_ELEMENTS * 8:
            raise _refused(entry, f"the constant {name!r}, to be read from a file of the device")
        return Tensor(name, dtype, shape, True, None)
    if keys or message.number(14) or len(raw) != length:
        raise _refused(entry, f"the constant {name!r} with other bytes than its shape says")
    small = dtype == "int64" and len(raw) <= 8 * 16
    sizes = tuple(int(each) for each in np.frombuffer(raw, "<i8")) if small else None
    return Tensor(name, dtype, shape, False, sizes)


def _refused(entry: GraphEntry, what: str) -> BundleError:
    return BundleError(
        f"graph {entry.name} is refused: it has {what}. Was the bundle made by another release, or "
        "by somebody else? Export the model again"
    )
