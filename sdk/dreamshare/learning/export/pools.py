"""Pooling and its gradients as ONNX nodes.

Rules:
- MaxPool's own indices count through the whole tensor, so its gradient is one scatter into a flat
  tensor: exact on ties and on windows that overlap; torch's count through one image's channel, and
  are what other operators see;
- one-dimensional pooling reaches us as two-dimensional pooling of height 1;
- ceil_mode is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import fx

from dreamshare.learning.export.builder import Attributes
from dreamshare.learning.export.refusals import unsupported
from dreamshare.learning.export.translation import Operator, Translation, dims_of, dtype_of


def _pair(value: object, otherwise: Sequence[int] = ()) -> tuple[int, int]:
    numbers = [int(each) for each in value] if isinstance(value, Sequence) else [int(str(value))]
    numbers = numbers or list(otherwise)
    first, second = numbers * 2 if len(numbers) == 1 else numbers
    return first, second


def _argument(node: fx.Node, place: int, otherwise: object) -> object:
    return node.args[place] if len(node.args) > place else otherwise


def _max_pool(t: Translation, node: fx.Node) -> tuple[str, ...]:
    y, through = _pooled(t, node.args)
    height, width = (int(str(each)) for each in dims_of(node.args[0])[-2:])
    return y, t.graph.op("Mod", through, t.graph.ints(height * width))


def _pooled(t: Translation, given: Sequence[fx.node.Argument]) -> tuple[str, str]:
    """Return MaxPool of (x, kernel, stride, padding, dilation, ceil_mode): values, indices.

    The same arguments give the same node: a gradient finds the indices of its forward pass.
    """
    rest = (*given[2:6], *([], [0], [1], False)[len(given) - 2 :])
    (x, kernel), (stride, padding, dilation, ceil_mode) = given[:2], rest
    if ceil_mode:
        raise unsupported("max_pool2d with ceil_mode", "the net", "pad the input instead")
    attributes: Attributes = {
        "kernel_shape": _pair(kernel),
        "strides": _pair(stride, _pair(kernel)),
        "pads": _pair(padding) * 2,
        "dilations": _pair(dilation),
    }
    y, indices = t.graph.ops("MaxPool", (t.name(x),), 2, attributes)
    return y, indices


def _max_pool_backward(t: Translation, node: fx.Node) -> str:
    g = t.graph
    dy, x = t.name(node.args[0]), t.name(node.args[1])
    indices = _pooled(t, node.args[1:7])[1]
    flat = g.ints([-1])
    blank = g.op("ConstantOfShape", _count(t, x))
    if dtype_of(node) != "float32":
        blank = t.converted(blank, dtype_of(node))
    kernel, stride = _pair(node.args[2]), _pair(node.args[3], _pair(node.args[2]))
    apart = all(s >= k for s, k in zip(stride, kernel, strict=True))
    rows = (blank, g.op("Reshape", indices, flat), g.op("Reshape", dy, flat))
    mode = "none" if apart else "add"
    found = g.ops("ScatterElements", rows, 1, {"axis": 0, "reduction": mode})[0]
    return t.reshape(found, dims_of(node))


def _count(t: Translation, x: str) -> str:
    return t.graph.op("Reshape", t.graph.op("Size", x), t.graph.ints([1]))


def _avg_pool(t: Translation, node: fx.Node) -> str:
    kernel = _pair(node.args[1])
    stride = _pair(_argument(node, 2, []), kernel)
    padding = _pair(_argument(node, 3, [0]))
    _check_average(_argument(node, 4, False), _argument(node, 6, None))
    attributes: Attributes = {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": padding * 2,
        "count_include_pad": int(bool(_argument(node, 5, True))),
    }
    return t.graph.ops("AveragePool", (t.name(node.args[0]),), 1, attributes)[0]


def _check_average(ceil_mode: object, divisor: object) -> None:
    if ceil_mode or divisor is not None:
        raise unsupported(
            "avg_pool2d with ceil_mode or divisor_override", "the net", "pad the input instead"
        )


def _avg_pool_backward(t: Translation, node: fx.Node) -> str:
    dy, x, kernel, stride, padding, ceil_mode, counted, divisor = node.args
    _check_average(ceil_mode, divisor)
    kernel, stride, padding = _pair(kernel), _pair(stride, _pair(kernel)), _pair(padding)
    if any(padding) and not counted:
        raise unsupported("avg_pool2d without count_include_pad", "the net", "count the padding")
    return _spread(t, t.name(dy), dims_of(dy), dims_of(x), (kernel, stride, padding))


def _spread(
    t: Translation,
    dy: str,
    reached: Sequence[object],
    sizes: Sequence[object],
    how: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
) -> str:
    """Give every pixel of a window an equal part of the window's gradient."""
    g = t.graph
    kernel, stride, padding = how
    channels, height, width = (int(str(each)) for each in sizes[1:])
    down, across = int(str(reached[2])), int(str(reached[3]))
    part = g.op("Mul", dy, g.floats(1.0 / (kernel[0] * kernel[1])))
    if kernel == stride and (down * kernel[0], across * kernel[1]) == (height, width):
        blocks = g.op("Reshape", part, g.ints([-1, channels, down, 1, across, 1]))
        wide = g.op("Expand", blocks, g.ints([1, 1, 1, kernel[0], 1, kernel[1]]))
        return g.op("Reshape", wide, g.ints([-1, channels, height, width]))
    extra = tuple(
        size - ((out - 1) * s - 2 * p + k)
        for size, out, k, s, p in zip(
            (height, width), (down, across), kernel, stride, padding, strict=True
        )
    )
    ones = g.constant(np.ones((channels, 1, *kernel), np.float32))
    attributes: Attributes = {
        "strides": stride,
        "pads": padding * 2,
        "group": channels,
        "output_padding": extra,
    }
    return g.ops("ConvTranspose", (part, ones), 1, attributes)[0]


def _even(node: fx.Node, sizes: Sequence[object], reached: Sequence[object]) -> tuple[int, int]:
    down, across = (
        divmod(int(str(size)), int(str(out)))
        for size, out in zip(sizes[2:], reached[2:], strict=True)
    )
    if down[1] or across[1]:
        raise unsupported(
            "adaptive_avg_pool2d to a size that does not divide the input's",
            "the net",
            "choose an output size that divides it",
        )
    return down[0], across[0]


def _adaptive(t: Translation, node: fx.Node) -> str:
    kernel = _even(node, dims_of(node.args[0]), dims_of(node))
    attributes = {"kernel_shape": kernel, "strides": kernel}
    return t.graph.ops("AveragePool", (t.name(node.args[0]),), 1, attributes)[0]


def _adaptive_backward(t: Translation, node: fx.Node) -> str:
    dy, x = node.args[:2]
    kernel = _even(node, dims_of(x), dims_of(dy))
    return _spread(t, t.name(dy), dims_of(dy), dims_of(x), (kernel, kernel, (0, 0)))


POOLS: Mapping[str, Operator] = {
    "max_pool2d_with_indices": _max_pool,
    "max_pool2d_with_indices_backward": _max_pool_backward,
    "avg_pool2d": _avg_pool,
    "avg_pool2d_backward": _avg_pool_backward,
    "_adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool2d_backward": _adaptive_backward,
}
