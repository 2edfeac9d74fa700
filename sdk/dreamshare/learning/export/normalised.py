"""The arithmetic of BatchNorm with backward passes of its own.

Shape legend: N batch, C channels; x is (N, C) or (N, C, ...); `_C` marks one value a channel.

Rules:
- autograd would derive a backward pass of single operations, each a pass over the features; these
  are two sums and one affine map;
- sums of squares are of centred values: mean(x^2) - mean(x)^2 loses all digits of a small variance;
- `affine` is an operator of its own in a trace, so that it becomes one of ONNX.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction as Context

Running = tuple[Tensor, Tensor, Tensor]
"""Running mean, running variance, and the switch: 1 the batch's statistics, 0 the running ones."""


@torch.library.custom_op("dreamshare::affine", mutates_args=())
def affine(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    """Return x * scale + shift for each channel: one operator of ONNX, one pass."""
    return x * wide(scale_C, x) + wide(shift_C, x)


@affine.register_fake
def _(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    return torch.empty_like(x)


def axes_of(x: Tensor) -> list[int]:
    """Return every axis but that of the channels."""
    return [0, *range(2, x.dim())]


def wide(value_C: Tensor, x: Tensor) -> Tensor:
    """Return one value a channel in a shape that broadcasts against x."""
    return value_C.reshape([1, -1] + [1] * (x.dim() - 2))


def per_channel(x: Tensor) -> Tensor:
    """Return the number of values of one channel as a 0-d tensor, whatever the batch."""
    return torch.full((), 1.0, dtype=x.dtype) * (x.numel() // x.shape[1])


def affine_norm(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    """Return `affine`; differentiable with respect to x alone."""
    y: Tensor = _Affine.apply(x, scale_C, shift_C)  # type: ignore[no-untyped-call]
    return y


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel."""
    mean_C, var_C = _Moments.apply(x)  # type: ignore[no-untyped-call]
    return mean_C, var_C


def batch_norm(
    x: Tensor, gamma_C: Tensor, beta_C: Tensor, running: Running | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, the batch's mean and its biased variance; `running` None: always the batch's."""
    always = (torch.zeros_like(beta_C), torch.ones_like(beta_C), torch.ones((), dtype=x.dtype))
    y, mean_C, var_C = _Normalised.apply(x, gamma_C, beta_C, *(running or always), eps)  # type: ignore[no-untyped-call]
    return y, mean_C, var_C


class _Affine(torch.autograd.Function):
    """`affine` with a gradient for x alone."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
        ctx.save_for_backward(scale_C)
        y: Tensor = affine(x, scale_C, shift_C)
        return y

    @staticmethod
    def backward(ctx: Context, dy: Tensor) -> tuple[Tensor, None, None]:
        (scale_C,) = ctx.saved_tensors
        return dy * wide(scale_C, dy), None, None


class _Moments(torch.autograd.Function):
    """Mean and biased variance of each channel; the gradient is one affine map."""

    @staticmethod
    def forward(ctx: Context, x: Tensor) -> tuple[Tensor, Tensor]:
        mean_C = x.mean(axes_of(x))
        centred = x - wide(mean_C, x)
        ctx.save_for_backward(centred)
        return mean_C, (centred * centred).mean(axes_of(x))

    @staticmethod
    def backward(ctx: Context, dmean_C: Tensor, dvar_C: Tensor) -> Tensor:
        (centred,) = ctx.saved_tensors
        count = per_channel(centred)
        dx: Tensor = affine(centred, dvar_C * 2.0 / count, dmean_C / count)
        return dx


class _Normalised(torch.autograd.Function):
    """Training-mode BatchNorm; returns y, the batch's mean, its biased variance.

    `batch` None means always the batch's statistics.
    """

    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        batch: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        axes = axes_of(x)
        batch_mean = x.mean(axes)
        mean = batch * batch_mean + (1.0 - batch) * running_mean
        centred = x - wide(mean, x)
        batch_var = (centred * centred).mean(axes)
        var = batch * batch_var + (1.0 - batch) * running_var
        inverse = torch.rsqrt(var + eps)
        ctx.save_for_backward(centred, inverse, gamma, batch)
        return affine(centred, gamma * inverse, beta), batch_mean, batch_var

    @staticmethod
    def backward(
        ctx: Context, dy: Tensor, _dmean: Tensor, _dvar: Tensor
    ) -> tuple[Tensor | None, ...]:
        centred, inverse, gamma, batch = iter(ctx.saved_tensors)
        axes = axes_of(dy)
        dbeta = dy.sum(axes)
        projected = (dy * centred).sum(axes)
        slope = gamma * inverse
        damped = batch * slope / per_channel(dy)
        through = affine(centred, -damped * inverse * inverse * projected, -damped * dbeta)
        return dy * wide(slope, dy) + through, projected * inverse, dbeta, None, None, None, None
