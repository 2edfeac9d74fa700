"""Four small image classifiers with BatchNorm, one for each family of architectures.

    VGG-like         stacked 3x3 convolutions, pooling between
    ResNet-like      two residual blocks
    WideResNet-like  wide pre-activation residual blocks
    MobileNet-like   inverted residuals with depthwise convolutions

All take (N, 1, 8, 8), return (N, 10) logits, and differ in depth, width and layer types: devices
that could not average their weights.

Rules:
- initial weights come from a seed (`first_weights`); torch's global generator is untouched;
- this is the demo's only module that needs torch: a device without it opens the nets' bundles
  (`bundles`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.first_weights import first_weights
from dreamshare_cli.demo.setting import ARCHITECTURES


def build(architecture: str, seed: int) -> nn.Module:
    """Return a freshly initialised net, a function of its arguments.

    Raises:
        ConfigError: an unknown architecture.
    """
    with torch.random.fork_rng(devices=[]):  # torch's constructors draw from the global generator
        net = _built(architecture)
    state = {name: t for name, t in net.state_dict().items() if t.is_floating_point()}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name, array in first_weights(shapes, seed).items():
        state[name].copy_(torch.from_numpy(array))
    return net


def _built(architecture: str) -> nn.Module:
    match architecture:
        case "VGG-like":
            return _vgg()
        case "ResNet-like":
            return _resnet()
        case "WideResNet-like":
            return _wide_resnet()
        case "MobileNet-like":
            return _mobilenet()
    raise ConfigError(f"architecture {architecture!r}: one of {', '.join(ARCHITECTURES)}")


def _conv(
    inputs: int, outputs: int, *, size: int = 3, stride: int = 1, groups: int = 1
) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


def _unit(
    inputs: int, outputs: int, *, size: int = 3, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        _conv(inputs, outputs, size=size, stride=stride, groups=groups),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions with BatchNorm around a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _unit(inputs, outputs, stride=stride), _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _conv(inputs, outputs, size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = functional.relu(self.body(x) + self.shortcut(x))
        return y


class _PreActivation(nn.Module):
    """BatchNorm and ReLU before each convolution (Zagoruyko and Komodakis 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(_unit(inputs, outputs, stride=stride), _conv(outputs, outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _conv(inputs, outputs, size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.first(x)
        y: Tensor = self.body(activated) + self.shortcut(activated)
        return y


class _Inverted(nn.Module):
    """Expand, depthwise convolution, project (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.body = nn.Sequential(
            _unit(inputs, inner, size=1),
            _unit(inner, inner, stride=stride, groups=inner),
            _conv(inner, outputs, size=1),
            nn.BatchNorm2d(outputs),
        )
        self.same = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.same else y


def _head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 10))


def _vgg() -> nn.Module:
    return nn.Sequential(
        _unit(1, 16), _unit(16, 16), nn.MaxPool2d(2), _unit(16, 32), _unit(32, 32), _head(32)
    )


def _resnet() -> nn.Module:
    return nn.Sequential(_unit(1, 16), _Residual(16, 16, 1), _Residual(16, 32, 2), _head(32))


def _wide_resnet() -> nn.Module:
    return nn.Sequential(
        _conv(1, 16),
        _PreActivation(16, 32, 1),
        _PreActivation(32, 48, 2),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        _head(48),
    )


def _mobilenet() -> nn.Module:
    return nn.Sequential(
        _unit(1, 16),
        _Inverted(16, 16, 2, 1),
        _Inverted(16, 32, 2, 2),
        _unit(32, 48, size=1),
        _head(48),
    )
