"""Views, slices, joins and constants as ONNX nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import fx

from dreamshare.learning.export.refusals import unsupported
from dreamshare.learning.export.translation import (
    Operator,
    Translation,
    dims_of,
    dtype_of,
    operator_name,
)


def _same(t: Translation, node: fx.Node) -> str:
    return t.name(node.args[0])


def _view(t: Translation, node: fx.Node) -> str:
    return t.reshape(t.name(node.args[0]), dims_of(node))


def _as_strided(t: Translation, node: fx.Node) -> str:
    """A view that keeps every element in its order."""
    before, after = node.args[0].meta["val"], node.meta["val"]
    offset = node.args[3] if len(node.args) > 3 else None
    whole = before.is_contiguous() and after.is_contiguous() and not offset
    if not whole or before.numel() != after.numel():
        raise unsupported("aten.as_strided", "the net")
    return _view(t, node)


def _permute(t: Translation, node: fx.Node) -> str:
    rank = len(dims_of(node))
    order = tuple(int(axis) % rank for axis in node.args[1])
    return t.graph.op("Transpose", t.name(node.args[0]), perm=order)


def _transpose(t: Translation, node: fx.Node) -> str:
    order = list(range(len(dims_of(node))))
    first, second = (node.args[1], node.args[2]) if len(node.args) > 2 else (0, 1)
    order[first], order[second] = order[second], order[first]
    return t.graph.op("Transpose", t.name(node.args[0]), perm=tuple(order))


def _expand(t: Translation, node: fx.Node) -> str:
    if dims_of(node) == dims_of(node.args[0]):
        return t.name(node.args[0])
    return t.graph.op("Expand", t.name(node.args[0]), t.shape(dims_of(node)))


def _repeat(t: Translation, node: fx.Node) -> str:
    value = t.name(node.args[0])
    extra = len(dims_of(node)) - len(dims_of(node.args[0]))
    if extra:
        value = t.reshape(value, [1] * extra + dims_of(node.args[0]))
    sizes = [
        t.size(n) if isinstance(n, int) else t.size(n.meta["val"].node.expr) for n in node.args[1]
    ]
    return t.graph.op("Tile", value, t.graph.op("Concat", *sizes, axis=0))


def _full(t: Translation, node: fx.Node) -> str:
    number = node.args[1] if operator_name(node).startswith(("full", "fill")) else 0
    if operator_name(node).startswith(("ones", "new_ones")):
        number = 1
    return _filled(t, node, number)


def _copied(t: Translation, node: fx.Node) -> str:
    """The second tensor in the first one's type and shape; what the first held is gone."""
    value = t.operand(node.args[1], dtype_of(node))
    same = dims_of(node) == dims_of(node.args[1])
    return value if same else t.graph.op("Expand", value, t.shape(dims_of(node)))


def _scalar(t: Translation, node: fx.Node) -> str:
    return t.number(node.args[0], dtype_of(node))


def _filled(t: Translation, node: fx.Node, number: object) -> str:
    value = t.number(number, dtype_of(node))
    dims = dims_of(node)
    if not dims:
        return value
    if all(isinstance(each, int) for each in dims) and isinstance(number, int | float):
        return t.graph.constant(np.full([int(d) for d in dims], number, dtype_of(node)))
    return t.graph.op("Expand", value, t.shape(dims))


def _arange(t: Translation, node: fx.Node) -> str:
    numbers = [each for each in node.args if isinstance(each, int | float)]
    if len(numbers) != len(node.args):
        raise unsupported("aten.arange over the batch", "the net")
    return t.graph.constant(np.arange(*numbers).astype(dtype_of(node)))


def _cat(t: Translation, node: fx.Node) -> str:
    axis = node.args[1] if len(node.args) > 1 else 0
    return t.graph.op("Concat", *(t.name(each) for each in node.args[0]), axis=int(axis))


def _slice(t: Translation, node: fx.Node) -> str:
    axis, start, stop, step = _bounds(node, node.args[1:])
    if dims_of(node) == dims_of(node.args[0]):
        return t.name(node.args[0])
    return cut(t, t.name(node.args[0]), axis, start, stop, step)


def cut(t: Translation, value: str, axis: int, start: int, stop: int, step: int = 1) -> str:
    """Return value[start:stop:step] along an axis."""
    ints = t.graph.ints
    return t.graph.op("Slice", value, ints([start]), ints([stop]), ints([axis]), ints([step]))


def _bounds(node: fx.Node, asked: fx.node.Argument) -> tuple[int, int, int, int]:
    given = tuple(asked)
    axis, start, stop, step = given + (0, None, None, 1)[len(given) :]
    size = dims_of(node.args[0])[int(axis)]
    if isinstance(start, fx.Node) or isinstance(stop, fx.Node):
        raise unsupported("aten.slice over the batch", "the net")
    first = 0 if start is None else int(start)
    last = 2**62 if stop is None else int(stop)
    if isinstance(size, int):
        first = min(max(first + size if first < 0 else first, 0), size)
        last = min(max(last + size if last < 0 else last, first), size)
    elif first or last < 2**31:
        raise unsupported("aten.slice over the batch", "the net")
    return int(axis), first, last, int(step)


def _select(t: Translation, node: fx.Node) -> str:
    index = t.graph.ints(int(node.args[2]))
    return t.graph.op("Gather", t.name(node.args[0]), index, axis=int(node.args[1]))


def _slice_scatter(t: Translation, node: fx.Node) -> str:
    """The slice between what lies before and after it; steps of 1 only."""
    whole, part = t.name(node.args[0]), t.name(node.args[1])
    axis, start, stop, step = _bounds(node, node.args[2:])
    size = dims_of(node)[axis]
    if not isinstance(size, int):  # the whole batch
        return part
    if step != 1:
        positions = np.arange(start, stop, step)
        return _scattered(t, node, part, axis, positions)
    pieces = [cut(t, whole, axis, 0, start)] if start else []
    pieces.append(part)
    if stop < size:
        pieces.append(cut(t, whole, axis, stop, size))
    return t.graph.op("Concat", *pieces, axis=axis) if len(pieces) > 1 else part


def _scattered(t: Translation, node: fx.Node, part: str, axis: int, positions: np.ndarray) -> str:
    wide = [1] * len(dims_of(node))
    wide[axis] = -1
    index = t.graph.constant(positions.astype(np.int64).reshape(wide))
    spread = t.graph.op("Expand", index, t.graph.op("Shape", part))
    return t.graph.op("ScatterElements", t.name(node.args[0]), spread, part, axis=axis)


def _select_scatter(t: Translation, node: fx.Node) -> str:
    axis, index = int(node.args[2]), int(node.args[3])
    part = t.graph.op("Unsqueeze", t.name(node.args[1]), t.graph.ints([axis]))
    size = int(dims_of(node)[axis])
    index %= size
    whole = t.name(node.args[0])
    pieces = [cut(t, whole, axis, 0, index)] if index else []
    pieces.append(part)
    if index + 1 < size:
        pieces.append(cut(t, whole, axis, index + 1, size))
    return t.graph.op("Concat", *pieces, axis=axis) if len(pieces) > 1 else part


def _pad(t: Translation, node: fx.Node) -> str:
    pads = [int(each) for each in node.args[1]]
    rank = len(dims_of(node))
    low, high = [0] * rank, [0] * rank
    for place in range(len(pads) // 2):
        low[rank - 1 - place], high[rank - 1 - place] = pads[2 * place], pads[2 * place + 1]
    number = node.args[2] if len(node.args) > 2 else 0
    value = t.number(number, dtype_of(node))
    return t.graph.op("Pad", t.name(node.args[0]), t.graph.ints([*low, *high]), value)


def _index_select(t: Translation, node: fx.Node) -> str:
    return t.graph.op("Gather", t.name(node.args[0]), t.name(node.args[2]), axis=int(node.args[1]))


def _embedding(t: Translation, node: fx.Node) -> str:
    return t.graph.op("Gather", t.name(node.args[0]), t.name(node.args[1]), axis=0)


SHAPES: Mapping[str, Operator] = {
    "alias": _same,
    "detach": _same,
    "clone": _same,
    "contiguous": _same,
    "lift_fresh_copy": _same,
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "squeeze": _view,
    "unsqueeze": _view,
    "as_strided": _as_strided,
    "permute": _permute,
    "transpose": _transpose,
    "t": _transpose,
    "expand": _expand,
    "repeat": _repeat,
    "full": _full,
    "full_like": _full,
    "zeros": _full,
    "zeros_like": _full,
    "ones": _full,
    "ones_like": _full,
    "new_zeros": _full,
    "new_ones": _full,
    "copy": _copied,
    "empty": _full,
    "empty_like": _full,
    "empty_permuted": _full,
    "new_empty": _full,
    "scalar_tensor": _scalar,
    "arange": _arange,
    "cat": _cat,
    "slice": _slice,
    "select": _select,
    "slice_scatter": _slice_scatter,
    "select_scatter": _select_scatter,
    "constant_pad_nd": _pad,
    "index_select": _index_select,
    "embedding": _embedding,
}
