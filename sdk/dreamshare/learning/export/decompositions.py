"""Operators that we take apart ourselves, into operators that have a translation.

Rules:
- each is the definition in torch's documentation, written with operators of `operators`, `shapes`
  and `pools`; what an adaptive pool asks for must divide the input's size;
- parts of a tensor that torch promises to be independent (`unsafe_split`) are copies: cells of GRU
  and LSTM write into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from dreamshare.learning.export.refusals import unsupported

aten = torch.ops.aten
Decompositions: TypeAlias = Mapping[torch._ops.OpOverload, object]


def _split(x: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    whole = x.shape[dim]
    return [
        aten.slice.Tensor(x, dim, start, min(start + size, whole))
        for start in range(0, whole, size)
    ]


def _split_with_sizes(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    parts, start = [], 0
    for size in sizes:
        parts.append(aten.slice.Tensor(x, dim, start, start + size))
        start += size
    return parts


def _unsafe_split(x: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    return [part.clone() for part in _split(x, size, dim)]


def _unsafe_split_with_sizes(x: Tensor, sizes: Sequence[int], dim: int = 0) -> list[Tensor]:
    return [part.clone() for part in _split_with_sizes(x, sizes, dim)]


def _even(x: Tensor, size: Sequence[int]) -> list[int]:
    """Return the kernel of an adaptive pool, which is its stride."""
    pairs = [divmod(int(whole), int(part)) for whole, part in zip(x.shape[-2:], size, strict=True)]
    if any(rest for _, rest in pairs):
        raise unsupported(
            "adaptive_max_pool2d to a size that does not divide the input's",
            "the net",
            "choose an output size that divides it",
        )
    return [kernel for kernel, _ in pairs]


def _adaptive_max_pool(x: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    kernel = _even(x, size)
    values, indices = aten.max_pool2d_with_indices(x, kernel, kernel)
    return values, indices


def _adaptive_max_pool_backward(dy: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    kernel = _even(x, dy.shape[-2:])
    dx: Tensor = aten.max_pool2d_with_indices_backward(
        dy, x, kernel, kernel, [0, 0], [1, 1], False, indices
    )
    return dx


def _embedding_backward(
    dy: Tensor, indices: Tensor, count: int, padding: int, scaled: bool
) -> Tensor:
    """A product with one row of zeros and a one for each index."""
    if scaled:
        raise unsupported("Embedding(scale_grad_by_freq=True)", "the net", "leave that out")
    rows = torch.arange(count)
    hot = (indices.reshape(-1, 1) == rows).to(dy.dtype)
    if padding >= 0:
        hot = hot * (rows != padding).to(dy.dtype)
    return hot.t() @ dy.reshape(-1, dy.shape[-1])


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
    norms = (v * v).sum(_others(v, dim), keepdim=True).sqrt()
    return v * (g / norms), norms


def _weight_norm_backward(
    dw: Tensor, v: Tensor, g: Tensor, norms: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    along = (dw * v).sum(_others(v, dim), keepdim=True) / norms
    return (g / norms) * (dw - v * (along / norms)), along


def _others(v: Tensor, dim: int) -> list[int]:
    return [axis for axis in range(v.dim()) if axis != dim]


OWN: Decompositions = {
    aten.split.Tensor: _split,
    aten.split_with_sizes.default: _split_with_sizes,
    aten.unsafe_split.Tensor: _unsafe_split,
    aten.unsafe_split_with_sizes.default: _unsafe_split_with_sizes,
    aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    aten.adaptive_max_pool2d_backward.default: _adaptive_max_pool_backward,
    aten.embedding_dense_backward.default: _embedding_backward,
    aten._weight_norm_interface.default: _weight_norm,
    aten._weight_norm_interface_backward.default: _weight_norm_backward,
}
"""Operator -> function of its arguments."""
