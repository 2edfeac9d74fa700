"""BatchNorm as pure functions: statistics are read, recorded and returned, never written.

Shape legend: N batch, C channels; features are (N, C) or (N, C, ...).

Rules:
- the layers of a copy of the net are replaced; names of parameters and buffers stay;
- while dreaming, a layer normalises with its running statistics and records how far the batch's
  own lie from them, as `dreamshare.learning.torch.dreaming` measures it;
- while training, two inputs choose: `batch` 1 normalises with the batch's statistics, 0 with the
  running ones; `track` 1 moves the running ones (with `batch` 1 only), 0 leaves them;
- the backward pass of a layer is one reduction of two sums and one affine map: what autograd would
  derive from the single operations costs several more passes over the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dreamshare.learning.export.normalised import (
    affine_norm,
    axes_of,
    batch_norm,
    moments,
    per_channel,
    wide,
)

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


@dataclass(slots=True)
class Statistics:
    """What the layers of one forward pass share.

    Attributes:
        batch: 0-d, 1 or 0, or None while dreaming or classifying.
        track: 0-d, 1 or 0, or None likewise.
        measuring: record distances.
        plain: normalise by single operations, which autograd differentiates any number of times
            and by the layer's own parameters too.
        distances: RMS of mean and variance against the running ones, one a layer.
        moved: new running statistics by name.
    """

    batch: Tensor | None = None
    track: Tensor | None = None
    measuring: bool = False
    plain: bool = False
    distances: list[Tensor] = field(default_factory=list)
    moved: dict[str, Tensor] = field(default_factory=dict)


class PureBatchNorm(nn.Module):
    """One layer; takes over another's parameters and buffers.

    Attributes:
        shared: what this pass reads and records.
    """

    weight: Tensor | None  # a parameter, or what functional_call puts in its place
    bias: Tensor | None

    def __init__(self, layer: BatchNorm, path: str, shared: Statistics) -> None:
        super().__init__()
        self.register_parameter("weight", layer.weight)
        self.register_parameter("bias", layer.bias)
        self.register_buffer("running_mean", layer.running_mean)
        self.register_buffer("running_var", layer.running_var)
        self.register_buffer("num_batches_tracked", layer.num_batches_tracked)
        self._eps, self._momentum = layer.eps, layer.momentum
        self._tracks = layer.track_running_stats
        self._prefix = f"{path}." if path else ""
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; see the module's rules."""
        count = x.shape[1]
        gamma = x.new_ones(count) if self.weight is None else self.weight
        beta = x.new_zeros(count) if self.bias is None else self.bias
        shared = self.shared
        if shared.plain:
            return self._plain(x, gamma, beta)
        if not self._tracks:
            return batch_norm(x, gamma, beta, None, self._eps)[0]
        mean_C, var_C = self.get_buffer("running_mean"), self.get_buffer("running_var")
        if shared.batch is None or shared.track is None:
            if shared.measuring:
                batch_mean_C, batch_var_C = moments(x)
                shared.distances.append(rms(batch_mean_C - mean_C) + rms(batch_var_C - var_C))
            scale_C = gamma * torch.rsqrt(var_C + self._eps)
            return affine_norm(x, scale_C, beta - mean_C * scale_C)
        y, batch_mean_C, batch_var_C = batch_norm(
            x, gamma, beta, (mean_C, var_C, shared.batch), self._eps
        )
        self._move(per_channel(x), shared.track, batch_mean_C.detach(), batch_var_C.detach())
        return y

    def _plain(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalise as in evaluation mode; see `Statistics.plain`."""
        if self._tracks:
            mean_C, var_C = self.get_buffer("running_mean"), self.get_buffer("running_var")
        else:
            mean_C = x.mean(axes_of(x))
            var_C = (x - wide(mean_C, x)).square().mean(axes_of(x))
        scale_C = gamma * torch.rsqrt(var_C + self._eps)
        return (x - wide(mean_C, x)) * wide(scale_C, x) + wide(beta, x)

    def _move(
        self, count: Tensor, track: Tensor, batch_mean_C: Tensor, batch_var_C: Tensor
    ) -> None:
        """Record the running statistics that this batch leaves, as torch computes them."""
        moved, prefix = self.shared.moved, self._prefix
        mean_C, var_C = self.get_buffer("running_mean"), self.get_buffer("running_var")
        number = self.get_buffer("num_batches_tracked")
        moved[f"{prefix}num_batches_tracked"] = number + track.to(number.dtype)
        share = track / (number.to(count.dtype) + 1.0)
        if self._momentum is not None:
            share = track * self._momentum
        unbiased_C = batch_var_C * (count / torch.clamp(count - 1.0, min=1.0))
        moved[f"{prefix}running_mean"] = mean_C + share * (batch_mean_C - mean_C)
        moved[f"{prefix}running_var"] = var_C + share * (unbiased_C - var_C)


def replace_norms(net: nn.Module) -> Statistics:
    """Replace the BatchNorm layers of `net`, in place; return what they share."""
    shared = Statistics()
    layers = [
        (path, module) for path, module in net.named_modules() if isinstance(module, BatchNorm)
    ]
    for path, layer in layers:
        owner, _, name = path.rpartition(".")
        setattr(net.get_submodule(owner), name, PureBatchNorm(layer, path, shared))
    return shared


@contextmanager
def passing(
    shared: Statistics,
    *,
    batch: Tensor | None = None,
    track: Tensor | None = None,
    measuring: bool = False,
    plain: bool = False,
) -> Iterator[Statistics]:
    """Let one forward pass go with these settings; what was recorded is in the value."""
    shared.batch, shared.track, shared.measuring = batch, track, measuring
    shared.plain, shared.distances, shared.moved = plain, [], {}
    try:
        yield shared
    finally:
        shared.batch, shared.track, shared.measuring, shared.plain = None, None, False, False


def rms(difference: Tensor) -> Tensor:
    """Return the root mean square; 0 with gradient 0 where the difference is exactly 0."""
    square = (difference * difference).mean()
    apart = square > 0
    rms: Tensor = torch.where(apart, square, torch.ones_like(square)).sqrt() * apart
    return rms
