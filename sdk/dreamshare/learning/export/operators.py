"""Arithmetic, comparisons, reductions and products of matrices as ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import fx

from dreamshare.learning.export.translation import (
    Dimension,
    Operator,
    Translation,
    dims_of,
    dtype_of,
    factor,
    operator_name,
)


def _unary(kind: str) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        return t.graph.op(kind, t.name(node.args[0]))

    return translate


def _binary(kind: str) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        dtype = dtype_of(node)
        left, right = (_broadcast(t, node, each, dtype) for each in node.args[:2])
        alpha = node.kwargs.get("alpha", 1)
        if alpha != 1:
            right = t.graph.op("Mul", right, t.number(alpha, dtype))
        return t.graph.op(kind, left, right)

    return translate


def _broadcast(t: Translation, node: fx.Node, argument: object, dtype: str) -> str:
    """Return an operand; a broadcast that the operator does itself is left out."""
    others = [each for each in node.args[:2] if each is not argument and t.has(each)]
    return t.operand(argument, dtype, broadcast=any(_fills(each, node) for each in others))


def _fills(operand: fx.Node, node: fx.Node) -> bool:
    """Return whether an operand has the result's whole shape without a broadcast of its own."""
    whole = hasattr(operand.meta["val"], "shape") and dims_of(operand) == dims_of(node)
    return whole and not operator_name(operand).startswith("expand")


def _compared(kind: str, negate: bool = False) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        dtype = dtype_of(node.args[0])
        left, right = (t.operand(each, dtype) for each in node.args[:2])
        found = t.graph.op(kind, left, right)
        return t.graph.op("Not", found) if negate else found

    return translate


def _reduced(kind: str) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        value = t.operand(node.args[0], dtype_of(node))
        axes = node.args[1] if len(node.args) > 1 and node.args[1] is not None else None
        keep = int(bool(node.args[2])) if len(node.args) > 2 else 0
        if axes is None or axes == []:
            return t.graph.op(kind, value, keepdims=keep)
        rank = len(dims_of(node.args[0]))
        axes = [axes] if isinstance(axes, int) else axes
        whole = sorted(axis % rank for axis in axes)
        if kind == "ReduceSum" and whole == list(range(len(whole))):
            summed = _summed_rows(t, value, dims_of(node.args[0]), len(whole))
            return t.reshape(summed, dims_of(node)) if keep else summed
        return t.graph.op(kind, value, t.graph.ints(whole), keepdims=keep)

    return translate


def _summed_rows(t: Translation, value: str, dims: Sequence[Dimension], count: int) -> str:
    """Sum over the first `count` axes: within each example, then over the batch.

    onnxruntime 1.31 adds rows one after the other: thousands at once lose ten times what torch's
    tree of sums loses.
    """
    g, inner = t.graph, factor(dims[0])
    if inner > 1:
        value = t.reshape(value, [-1, inner, *dims[1:]])
        count += 1
    if count > 1 and count < len(dims) + (inner > 1):
        value = g.op("ReduceSum", value, g.ints(list(range(1, count))), keepdims=0)
        count = 1
    return g.op("ReduceSum", value, g.ints(list(range(count))), keepdims=0)


def _pow(t: Translation, node: fx.Node) -> str:
    base, power = t.name(node.args[0]), node.args[1]
    match power:
        case 2:
            return t.graph.op("Mul", base, base)
        case 1:
            return base
        case 3:
            return t.graph.op("Mul", t.graph.op("Mul", base, base), base)
        case 0.5:
            return t.graph.op("Sqrt", base)
        case -1:
            return t.graph.op("Reciprocal", base)
    return t.graph.op("Pow", base, t.operand(power, dtype_of(node)))


def _rsqrt(t: Translation, node: fx.Node) -> str:
    return t.graph.op("Reciprocal", t.graph.op("Sqrt", t.name(node.args[0])))


def _expm1(t: Translation, node: fx.Node) -> str:
    """exp(x) - 1 without cancellation: tanh(x / 2) * (exp(x) + 1), an identity."""
    x, one = t.name(node.args[0]), _number(t, node, 1.0)
    half = t.graph.op("Tanh", t.graph.op("Mul", x, _number(t, node, 0.5)))
    return t.graph.op("Mul", half, t.graph.op("Add", t.graph.op("Exp", x), one))


def _log1p(t: Translation, node: fx.Node) -> str:
    return t.graph.op("Log", t.graph.op("Add", t.name(node.args[0]), _number(t, node, 1.0)))


def _clamp(t: Translation, node: fx.Node) -> str:
    low, high = (*node.args[1:], None, None)[:2]
    low = node.kwargs.get("min", low)
    high = node.kwargs.get("max", high)
    value, dtype = t.name(node.args[0]), dtype_of(node)
    if low is not None:
        value = t.graph.op("Max", value, t.operand(low, dtype))
    return value if high is None else t.graph.op("Min", value, t.operand(high, dtype))


def _hardtanh(t: Translation, node: fx.Node) -> str:
    low, high = (*node.args[1:], -1.0, 1.0)[:2] if len(node.args) > 1 else (-1.0, 1.0)
    bounds = _number(t, node, low), _number(t, node, high)
    return t.graph.op("Clip", t.name(node.args[0]), *bounds)


def _number(t: Translation, node: fx.Node, value: float) -> str:
    """Return a constant of the result's type."""
    return t.number(value, dtype_of(node))


def _silu(t: Translation, node: fx.Node) -> str:
    x = t.name(node.args[0])
    return t.graph.op("Mul", x, t.graph.op("Sigmoid", x))


def _gelu(t: Translation, node: fx.Node) -> str:
    g, x = t.graph, t.name(node.args[0])
    if node.kwargs.get("approximate", "none") == "tanh":
        cube = g.op("Mul", g.op("Mul", x, x), x)
        inner = g.op("Add", x, g.op("Mul", cube, _number(t, node, 0.044715)))
        curve = g.op("Tanh", g.op("Mul", inner, _number(t, node, math.sqrt(2 / math.pi))))
    else:
        curve = g.op("Erf", g.op("Mul", x, _number(t, node, math.sqrt(0.5))))
    risen = g.op("Add", curve, _number(t, node, 1.0))
    return g.op("Mul", g.op("Mul", x, _number(t, node, 0.5)), risen)


def _hardsigmoid(t: Translation, node: fx.Node) -> str:
    return t.graph.op("HardSigmoid", t.name(node.args[0]), alpha=1.0 / 6.0, beta=0.5)


def _hardswish(t: Translation, node: fx.Node) -> str:
    g, x = t.graph, t.name(node.args[0])
    zero, three, six = (_number(t, node, each) for each in (0.0, 3.0, 6.0))
    risen = g.op("Clip", g.op("Add", x, three), zero, six)
    return g.op("Mul", g.op("Mul", x, risen), _number(t, node, 1.0 / 6.0))


def _where(t: Translation, node: fx.Node) -> str:
    dtype = dtype_of(node)
    return t.graph.op(
        "Where",
        t.name(node.args[0]),
        t.operand(node.args[1], dtype),
        t.operand(node.args[2], dtype),
    )


def _any(t: Translation, node: fx.Node) -> str:
    value = t.converted(t.name(node.args[0]), "int64")
    keep = int(bool(node.args[2])) if len(node.args) > 2 else 0
    found = t.graph.op("ReduceMax", value, t.graph.ints([node.args[1]]), keepdims=keep)
    return t.converted(found, "bool")


def _mm(t: Translation, node: fx.Node) -> str:
    return t.graph.op("MatMul", t.name(node.args[0]), t.name(node.args[1]))


def _addmm(t: Translation, node: fx.Node) -> str:
    bias, left, right = (t.name(each) for each in node.args[:3])
    alpha, beta = float(node.kwargs.get("alpha", 1)), float(node.kwargs.get("beta", 1))
    return t.graph.op("Gemm", left, right, bias, alpha=alpha, beta=beta)


def _softmax(kind: str) -> Operator:
    def translate(t: Translation, node: fx.Node) -> str:
        return t.graph.op(kind, t.name(node.args[0]), axis=int(node.args[1]))

    return translate


def _var_mean(t: Translation, node: fx.Node) -> tuple[str, str]:
    g, value = t.graph, t.name(node.args[0])
    dims = dims_of(node.args[0])
    asked = node.args[1] if len(node.args) > 1 else None
    axes = list(range(len(dims))) if asked is None else [a % len(dims) for a in asked]
    correction = node.kwargs.get("correction", 1)
    keep = bool(node.kwargs.get("keepdim", False))
    mean = g.op("ReduceMean", value, g.ints(axes), keepdims=1)
    centred = g.op("Sub", value, mean)
    var = g.op("ReduceMean", g.op("Mul", centred, centred), g.ints(axes), keepdims=1)
    if correction:
        count = math.prod(int(dims[axis]) for axis in axes)
        var = g.op("Mul", var, t.number(count / (count - correction), dtype_of(node.args[0])))
    if keep:
        return var, mean
    return g.op("Squeeze", var, g.ints(axes)), g.op("Squeeze", mean, g.ints(axes))


def _var(t: Translation, node: fx.Node) -> str:
    return _var_mean(t, node)[0]


def _layer_norm(t: Translation, node: fx.Node) -> tuple[str, ...]:
    x, shape, weight, bias, eps = node.args
    ones = np.ones([int(each) for each in shape], dtype_of(x))
    scale = t.name(weight) if t.has(weight) else t.graph.constant(ones)
    shift = t.name(bias) if t.has(bias) else t.graph.constant(np.zeros_like(ones))
    attributes = {"axis": -len(shape), "epsilon": float(eps)}
    return t.graph.ops("LayerNormalization", (t.name(x), scale, shift), 3, attributes)


def _affine(t: Translation, node: fx.Node) -> str:
    """Scale and shift each channel: BatchNormalization with mean 0 and variance 1 is one pass."""
    g = t.graph
    x, scale, shift = (t.name(each) for each in node.args)
    channels = int(dims_of(node)[1])
    if len(dims_of(node)) == 2:
        return g.op("Add", g.op("Mul", x, scale), shift)
    zeros = g.constant(np.zeros(channels, dtype_of(node)))
    ones = g.constant(np.ones(channels, dtype_of(node)))
    return g.op("BatchNormalization", x, scale, shift, zeros, ones, epsilon=0.0)


def _cast(t: Translation, node: fx.Node) -> str:
    return t.operand(node.args[0], dtype_of(node))


ARITHMETIC: Mapping[str, Operator] = {
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "mul": _binary("Mul"),
    "div": _binary("Div"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "pow": _pow,
    "sqrt": _unary("Sqrt"),
    "rsqrt": _rsqrt,
    "reciprocal": _unary("Reciprocal"),
    "exp": _unary("Exp"),
    "expm1": _expm1,
    "log": _unary("Log"),
    "log1p": _log1p,
    "neg": _unary("Neg"),
    "abs": _unary("Abs"),
    "sign": _unary("Sign"),
    "sin": _unary("Sin"),
    "cos": _unary("Cos"),
    "erf": _unary("Erf"),
    "tanh": _unary("Tanh"),
    "sigmoid": _unary("Sigmoid"),
    "relu": _unary("Relu"),
    "floor": _unary("Floor"),
    "clamp": _clamp,
    "hardtanh": _hardtanh,
    "silu": _silu,
    "gelu": _gelu,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "where": _where,
    "eq": _compared("Equal"),
    "ne": _compared("Equal", negate=True),
    "lt": _compared("Less"),
    "le": _compared("LessOrEqual"),
    "gt": _compared("Greater"),
    "ge": _compared("GreaterOrEqual"),
    "logical_not": _unary("Not"),
    "bitwise_not": _unary("Not"),
    "logical_and": _binary("And"),
    "bitwise_and": _binary("And"),
    "logical_or": _binary("Or"),
    "bitwise_or": _binary("Or"),
    "any.dim": _any,
    "sum": _reduced("ReduceSum"),
    "mean": _reduced("ReduceMean"),
    "amax": _reduced("ReduceMax"),
    "amin": _reduced("ReduceMin"),
    "var_mean": _var_mean,
    "var": _var,
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "_softmax": _softmax("Softmax"),
    "_log_softmax": _softmax("LogSoftmax"),
    "native_layer_norm": _layer_norm,
    "affine": _affine,
    "_to_copy": _cast,
}
