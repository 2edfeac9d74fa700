"""Statistics of features: how far those of a batch lie from what a layer knows of its own data.

Shape legend: N batch, C channels.

Rules:
- a BatchNorm layer knows its running statistics; the batch's are those of its input, biased;
- in a net without BatchNorm the inputs of LayerNorm and GroupNorm layers take their place, and what
  they compare with comes from the device's own data (`feature_statistics`): per channel, over
  examples and positions, whatever the layer itself normalises over;
- hooks live for one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dreamshare.errors import ConfigError

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
PlainNorm = nn.LayerNorm | nn.GroupNorm
Statistics = Mapping[str, NDArray[np.float32]]
Hook = Callable[[nn.Module, tuple[Tensor, ...]], None]


def batch_norms(net: nn.Module) -> tuple[BatchNorm, ...]:
    """Return the BatchNorm layers that keep running statistics, in the order of registration."""
    return tuple(
        m for m in net.modules() if isinstance(m, BatchNorm) and m.running_mean is not None
    )


def plain_norms(net: nn.Module) -> tuple[PlainNorm, ...]:
    """Return the LayerNorm and GroupNorm layers of a net without BatchNorm, in the same order."""
    if batch_norms(net):
        return ()
    return tuple(m for m in net.modules() if isinstance(m, PlainNorm))


def feature_statistics(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return what `GivesFeatureStatistics` promises; the net is in evaluation mode."""
    found: dict[str, Tensor] = {}

    def recording(number: int) -> Hook:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            var_C, mean_C = _moments(layer, inputs[0])
            found[f"{number}.mean"], found[f"{number}.var"] = mean_C, var_C

        return hook

    with ExitStack() as hooks:
        for number, layer in enumerate(plain_norms(net)):
            hooks.callback(layer.register_forward_pre_hook(recording(number)).remove)
        if plain_norms(net):
            net(x)
    return found


@contextmanager
def measured(net: nn.Module, statistics: Statistics | None) -> Iterator[list[Tensor]]:
    """Let a forward pass fill a list: RMS of mean and variance against the known, one a layer.

    Raises:
        ConfigError: no layer can be measured, or the statistics are of another net.
    """
    distances: list[Tensor] = []
    layers = batch_norms(net)
    with ExitStack() as hooks:
        for layer in layers:
            known = (layer.get_buffer("running_mean"), layer.get_buffer("running_var"))
            hooks.callback(layer.register_forward_pre_hook(_measure(distances, *known)).remove)
        if not layers:
            for plain, known in _own(net, statistics):
                hooks.callback(plain.register_forward_pre_hook(_measure(distances, *known)).remove)
        yield distances


def _own(
    net: nn.Module, statistics: Statistics | None
) -> tuple[tuple[PlainNorm, tuple[Tensor, Tensor]], ...]:
    """Return the layers of a net without BatchNorm with mean and variance of its own data."""
    layers = plain_norms(net)
    why = "feature_weight > 0, but the net has no BatchNorm layer with running statistics"
    if not layers:
        raise ConfigError(
            f"{why}, LayerNorm or GroupNorm; set feature_weight to 0 or use a net that has them"
        )
    if statistics is None:
        raise ConfigError(
            f"{why}, and none of its own data were given for its other norm layers; "
            "take them by feature_statistics, or set feature_weight to 0"
        )
    if set(statistics) != {f"{i}.{kind}" for i in range(len(layers)) for kind in ("mean", "var")}:
        raise ConfigError(f"statistics of {sorted(statistics)[:4]} are of another net")
    device = next(net.parameters()).device

    def tensor(name: str) -> Tensor:
        return torch.tensor(statistics[name], device=device)

    return tuple(
        (layer, (tensor(f"{i}.mean"), tensor(f"{i}.var"))) for i, layer in enumerate(layers)
    )


def _measure(distances: list[Tensor], known_mean_C: Tensor, known_var_C: Tensor) -> Hook:
    """Return a hook that appends RMS(mean - known mean) + RMS(var - known var)."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        var_C, mean_C = _moments(layer, inputs[0])
        if mean_C.shape != known_mean_C.shape:
            raise ConfigError(
                f"statistics of {tuple(known_mean_C.shape)} channels at a layer of "
                f"{tuple(mean_C.shape)}; they are of another net"
            )
        distances.append(_rms(mean_C - known_mean_C) + _rms(var_C - known_var_C))

    return hook


def _moments(layer: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return biased variance and mean of each channel: the last axis of a LayerNorm's input."""
    channel = features.dim() - 1 if isinstance(layer, nn.LayerNorm) else 1
    axes = [axis for axis in range(features.dim()) if axis != channel]
    var_C, mean_C = torch.var_mean(features, dim=axes, unbiased=False)
    return var_C, mean_C


def _rms(difference: Tensor) -> Tensor:
    """Return the root mean square; 0 with gradient 0 where the difference is exactly 0."""
    norm: Tensor = torch.linalg.vector_norm(difference)
    rms: Tensor = norm / difference.numel() ** 0.5
    return rms
