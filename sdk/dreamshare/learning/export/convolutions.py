"""Convolutions and their gradients as ONNX nodes.

Shape legend: N batch, Ci input and Co output channels, H x W pixels of the output.

Rules:
- the gradient for the input is a ConvTranspose;
- the gradient for the weights of a plain convolution is one product of matrices per kernel tap,
  channels last: a Conv with exchanged axes took twice the time in onnxruntime 1.31;
- depthwise: one product and sum per tap; other groups: group by group;
- one-dimensional ones are two-dimensional ones of height 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import fx

from dreamshare.learning.export.builder import Attributes
from dreamshare.learning.export.refusals import unsupported
from dreamshare.learning.export.translation import Dimension, Operator, Translation, dims_of


@dataclass(frozen=True, slots=True)
class Geometry:
    """Strides, paddings and dilations by axis, and the number of groups."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def attributes(self) -> Attributes:
        """Return the attributes of Conv."""
        return {
            "strides": self.stride,
            "pads": self.padding * 2,
            "dilations": self.dilation,
            "group": self.groups,
        }


def _geometry(rank: int, arguments: Sequence[fx.node.Argument]) -> Geometry:
    stride, padding, dilation, _, _, groups = arguments
    wide = [tuple(int(n) for n in each) for each in (stride, padding, dilation)]
    full = [each * rank if len(each) == 1 else each for each in wide]
    return Geometry(full[0], full[1], full[2], int(groups))


def _convolution(t: Translation, node: fx.Node) -> str:
    x, weight, bias = node.args[:3]
    geometry = _geometry(len(dims_of(x)) - 2, node.args[3:9])
    inputs = [t.name(x), t.name(weight), *([t.name(bias)] if t.has(bias) else [])]
    attributes = geometry.attributes()
    if not node.args[6]:
        return t.graph.ops("Conv", inputs, 1, attributes)[0]
    extra = tuple(int(n) for n in node.args[7])
    return t.graph.ops("ConvTranspose", inputs, 1, {**attributes, "output_padding": extra})[0]


def _backward(t: Translation, node: fx.Node) -> tuple[str, str, str]:
    dy, x, weight = node.args[:3]
    wanted = node.args[10]
    geometry = _geometry(len(dims_of(x)) - 2, node.args[4:10])
    if node.args[7]:
        dx = t.graph.ops("Conv", (t.name(dy), t.name(weight)), 1, geometry.attributes())[0]
        dw = _weight_gradient(t, dy, x, dims_of(weight), geometry) if wanted[1] else ""
    else:
        dx = _input_gradient(t, dy, x, weight, geometry) if wanted[0] else ""
        dw = _weight_gradient(t, x, dy, dims_of(weight), geometry) if wanted[1] else ""
    axes = [0, *range(2, len(dims_of(dy)))]
    db = t.graph.op("ReduceSum", t.name(dy), t.graph.ints(axes), keepdims=0) if wanted[2] else ""
    return dx, dw, db


def _input_gradient(
    t: Translation, dy: fx.Node, x: fx.Node, weight: fx.Node, geometry: Geometry
) -> str:
    sizes, reached, kernel = dims_of(x)[2:], dims_of(dy)[2:], dims_of(weight)[2:]
    extra = tuple(
        int(size) - ((int(out) - 1) * s - 2 * p + d * (int(k) - 1) + 1)
        for size, out, k, s, p, d in zip(
            sizes,
            reached,
            kernel,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            strict=True,
        )
    )
    attributes = {**geometry.attributes(), "output_padding": extra}
    return t.graph.ops("ConvTranspose", (t.name(dy), t.name(weight)), 1, attributes)[0]


def _weight_gradient(
    t: Translation, x: fx.Node, dy: fx.Node, weight: Sequence[Dimension], geometry: Geometry
) -> str:
    if len(weight) > 4:
        raise unsupported("the weight gradient of a 3-d convolution", "the net")
    shape = [int(each) for each in weight]
    images, slopes = t.name(x), t.name(dy)
    sizes_x, sizes_y = dims_of(x), dims_of(dy)
    if len(shape) == 3:
        images, slopes = (
            t.graph.op("Unsqueeze", each, t.graph.ints([2])) for each in (images, slopes)
        )
        sizes_x, sizes_y = ([*each[:2], 1, each[2]] for each in (sizes_x, sizes_y))
        geometry = Geometry(
            (1, *geometry.stride), (0, *geometry.padding), (1, *geometry.dilation), geometry.groups
        )
    taps = _Taps(t, geometry, [int(n) for n in sizes_x[1:]], [int(n) for n in sizes_y[1:]])
    kernel = shape[-2:] if len(shape) == 4 else [1, shape[2]]
    if geometry.groups == 1:
        found = taps.plain(images, slopes, kernel)
    elif shape[1] == 1:
        found = taps.depthwise(images, slopes, kernel)
    else:
        found = taps.grouped(images, slopes, kernel)
    return t.graph.op("Reshape", found, t.graph.ints(shape))


class _Taps:
    """Weight gradients tap by tap; `size_x` and `size_y` are (channels, height, width)."""

    def __init__(
        self, t: Translation, geometry: Geometry, size_x: list[int], size_y: list[int]
    ) -> None:
        self._t, self._g = t, t.graph
        self._geometry, self._x, self._y = geometry, size_x, size_y

    def plain(self, x: str, dy: str, kernel: list[int]) -> str:
        """Return (Co, Ci, kh, kw) for one group."""
        g = self._g
        inputs, outputs = self._x[0], self._y[0]
        rows = g.op("Transpose", dy, perm=(1, 0, 2, 3))
        rows = g.op("Reshape", rows, g.ints([outputs, -1]))
        last = self._padded(g.op("Transpose", x, perm=(0, 2, 3, 1)), (1, 2))
        products = []
        for tap in self._each(kernel):
            window = self._window(last, tap, (1, 2))
            columns = g.op("Reshape", window, g.ints([-1, inputs]))
            products.append(g.op("MatMul", rows, columns))
        return self._together(products, kernel)

    def grouped(self, x: str, dy: str, kernel: list[int]) -> str:
        """Return (Co, Ci / groups, kh, kw): as `plain`, the groups as a batch of products."""
        g, groups = self._g, self._geometry.groups
        inputs, outputs = self._x[0] // groups, self._y[0] // groups
        rows = g.op("Transpose", dy, perm=(1, 0, 2, 3))
        rows = g.op("Reshape", rows, g.ints([groups, outputs, -1]))
        padded = self._padded(x, (2, 3))
        products = []
        for tap in self._each(kernel):
            window = g.op("Transpose", self._window(padded, tap, (2, 3)), perm=(1, 0, 2, 3))
            columns = g.op("Reshape", window, g.ints([groups, inputs, -1]))
            columns = g.op("Transpose", columns, perm=(0, 2, 1))
            product = g.op("MatMul", rows, columns)
            products.append(g.op("Reshape", product, g.ints([groups * outputs, inputs])))
        return self._together(products, kernel)

    def depthwise(self, x: str, dy: str, kernel: list[int]) -> str:
        """Return (C, 1, kh, kw): each output channel sees one input channel."""
        g = self._g
        times = self._y[0] // self._x[0]
        if times > 1:
            x = g.op("Unsqueeze", x, g.ints([2]))
            wide = g.op("Expand", x, g.ints([1, self._x[0], times, self._x[1], self._x[2]]))
            x = g.op("Reshape", wide, g.ints([-1, self._y[0], self._x[1], self._x[2]]))
        padded = self._padded(x, (2, 3))
        sums = []
        for tap in self._each(kernel):
            product = g.op("Mul", self._window(padded, tap, (2, 3)), dy)
            summed = g.op("ReduceSum", product, g.ints([0, 2, 3]), keepdims=0)
            sums.append(g.op("Reshape", summed, g.ints([-1, 1])))
        return self._together(sums, kernel)

    def _together(self, products: list[str], kernel: list[int]) -> str:
        """Return per-tap matrices (Co, Ci) as (Co, Ci, kh, kw)."""
        g = self._g
        if len(products) == 1:
            return products[0]
        deep = [g.op("Unsqueeze", each, g.ints([2])) for each in products]
        return g.op("Concat", *deep, axis=2)

    def _each(self, kernel: list[int]) -> list[tuple[int, int]]:
        return [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]

    def _padded(self, x: str, axes: tuple[int, int]) -> str:
        if not any(self._geometry.padding):
            return x
        pads = np.zeros(8, np.int64)
        for axis, pad in zip(axes, self._geometry.padding, strict=True):
            pads[axis] = pads[axis + 4] = pad
        return self._g.op("Pad", x, self._g.constant(pads))

    def _window(self, x: str, tap: tuple[int, int], axes: tuple[int, int]) -> str:
        """Return what one tap sees: every stride-th pixel from its offset on."""
        g, geometry = self._g, self._geometry
        starts = [place * d for place, d in zip(tap, geometry.dilation, strict=True)]
        stops = [
            start + s * (out - 1) + 1
            for start, s, out in zip(starts, geometry.stride, self._y[1:], strict=True)
        ]
        sizes = [n + 2 * p for n, p in zip(self._x[1:], geometry.padding, strict=True)]
        if starts == [0, 0] and stops == sizes and geometry.stride == (1, 1):
            return x
        ints = (g.ints(each) for each in (starts, stops, list(axes), list(geometry.stride)))
        return g.op("Slice", x, *ints)


CONVOLUTIONS: Mapping[str, Operator] = {
    "convolution": _convolution,
    "convolution_backward": _backward,
}
