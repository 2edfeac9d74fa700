"""Elements by index, picked and put back, as ONNX nodes: what losses of classes are made of."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from dreamshare.learning.export.builder import Attributes
from dreamshare.learning.export.refusals import unsupported
from dreamshare.learning.export.translation import Operator, Translation, dims_of, dtype_of


def _gather(t: Translation, node: fx.Node) -> str:
    axis = int(node.args[1])
    return t.graph.op("GatherElements", t.name(node.args[0]), t.name(node.args[2]), axis=axis)


def _scattered(reduction: str) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        whole, axis, index, source = node.args[:4]
        dtype = dtype_of(node)
        if t.has(source):
            if dims_of(source) != dims_of(index):
                raise unsupported("aten.scatter of a part of its source", "the net")
            values = t.operand(source, dtype)
        else:
            shape = t.graph.op("Shape", t.name(index))
            values = t.graph.op("Expand", t.number(source, dtype), shape)
        rows = (t.name(whole), t.name(index), values)
        attributes: Attributes = {"axis": int(axis), "reduction": reduction}
        return t.graph.ops("ScatterElements", rows, 1, attributes)[0]

    return translate


def _index(t: Translation, node: fx.Node) -> str:
    """x[i] along the first axis; other forms of indexing are refused."""
    indices = [each for each in node.args[1] if each is not None]
    if len(indices) != 1 or node.args[1][0] is None or dtype_of(indices[0]) != "int64":
        raise unsupported("aten.index with more than one index", "the net", "use torch.gather")
    return t.graph.op("Gather", t.name(node.args[0]), t.name(indices[0]), axis=0)


INDEXING: Mapping[str, Operator] = {
    "gather": _gather,
    "index.Tensor": _index,
    "scatter.src": _scattered("none"),
    "scatter.value": _scattered("none"),
    "scatter_add": _scattered("add"),
}
