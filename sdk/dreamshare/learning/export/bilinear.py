"""Convolutions that can be differentiated any number of times without fixing the batch.

A convolution y = C(x, w) is linear in x and in w. With dy a cotangent of y, its gradients
X(dy, w) and W(x, dy) are bilinear too, and the gradients of these three are these three again:

    <u, C(x, w)>  = <X(u, w), x> = <W(x, u), w>
    <u, X(dy, w)> = <C(u, w), dy> = <W(u, dy), w>
    <u, W(x, dy)> = <X(dy, u), x> = <C(x, u), dy>

Rules:
- torch's own second derivative of a convolution fixes the batch size of a trace, hence these;
- what is traced are the operators that `convolutions` translates: aten.convolution and
  aten.convolution_backward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction as Context
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten

_RANKS: Mapping[object, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}


@dataclass(frozen=True, slots=True)
class Setting:
    """Strides, paddings and dilations by axis; groups."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return C(x, w)."""
        none = [0] * len(self.stride)
        y: Tensor = aten.convolution(x, weight, None, *self._axes(), False, none, self.groups)
        return y

    def gradient(self, dy: Tensor, x: Tensor, weight: Tensor, place: int) -> Tensor:
        """Return X (place 0) or W (place 1); of the other argument only the shape counts."""
        none = [0] * len(self.stride)
        wanted = [place == 0, place == 1, False]
        found: Tensor = aten.convolution_backward(
            dy, x, weight, None, *self._axes(), False, none, self.groups, wanted
        )[place]
        return found

    def _axes(self) -> tuple[list[int], list[int], list[int]]:
        return list(self.stride), list(self.padding), list(self.dilation)


class _Forward(torch.autograd.Function):
    """C(x, w)."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, setting: Setting) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.setting = setting  # type: ignore[attr-defined]
        return setting.forward(x, weight)

    @staticmethod
    def backward(ctx: Context, u: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = iter(ctx.saved_tensors)
        setting = ctx.setting  # type: ignore[attr-defined]
        dx, dw, *_ = iter(ctx.needs_input_grad)
        return (
            _apply(_Input, u, weight, x, setting) if dx else None,
            _apply(_Weight, x, u, weight, setting) if dw else None,
            None,
        )


class _Input(torch.autograd.Function):
    """X(dy, w); `x` gives its shape."""

    @staticmethod
    def forward(ctx: Context, dy: Tensor, weight: Tensor, x: Tensor, setting: Setting) -> Tensor:
        ctx.save_for_backward(dy, weight)
        ctx.setting = setting  # type: ignore[attr-defined]
        return setting.gradient(dy, x, weight, 0)

    @staticmethod
    def backward(ctx: Context, u: Tensor) -> tuple[Tensor | None, ...]:
        dy, weight = iter(ctx.saved_tensors)
        setting = ctx.setting  # type: ignore[attr-defined]
        ddy, dw, *_ = iter(ctx.needs_input_grad)
        return (
            _apply(_Forward, u, weight, setting) if ddy else None,
            _apply(_Weight, u, dy, weight, setting) if dw else None,
            None,
            None,
        )


class _Weight(torch.autograd.Function):
    """W(x, dy); `weight` gives its shape."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, dy: Tensor, weight: Tensor, setting: Setting) -> Tensor:
        ctx.save_for_backward(x, dy)
        ctx.setting = setting  # type: ignore[attr-defined]
        return setting.gradient(dy, x, weight, 1)

    @staticmethod
    def backward(ctx: Context, u: Tensor) -> tuple[Tensor | None, ...]:
        x, dy = iter(ctx.saved_tensors)
        setting = ctx.setting  # type: ignore[attr-defined]
        dx, ddy, *_ = iter(ctx.needs_input_grad)
        return (
            _apply(_Input, dy, u, x, setting) if dx else None,
            _apply(_Forward, x, u, setting) if ddy else None,
            None,
            None,
        )


class Bilinear(TorchFunctionMode):
    """While it is entered, plain convolutions are the ones of this module."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Return what `func` returns, by `_Forward` where it is a convolution."""
        given = dict(kwargs or {})
        rank = _RANKS.get(func)
        values = (*args, *given.values())
        if rank is None or any(isinstance(each, str) and each == "same" for each in values):
            return func(*args, **given)
        return _convolved(rank, *args, **given)  # type: ignore[arg-type]


def _convolved(
    rank: int,
    input: Tensor,  # noqa: A002 - torch's own name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    padded = 0 if isinstance(padding, str) else padding  # "valid"
    setting = Setting(_wide(stride, rank), _wide(padded, rank), _wide(dilation, rank), groups)
    y = _apply(_Forward, input, weight, setting)
    return y if bias is None else y + bias.reshape([-1] + [1] * rank)


def _wide(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Return one number an axis."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers


def _apply(function: type[torch.autograd.Function], *arguments: object) -> Tensor:
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result
