"""Four small nets that label every pixel, with BatchNorm, each of another kind.

    UNet-like      full and half resolution, joined again
    FCN-like       strided convolutions, logits of two resolutions added
    SegNet-like    down and up again, nothing kept of the full resolution
    DeepLab-like   full resolution throughout, dilated convolutions

All take (N, C, H, W) with even H and W and return logits (N, K, H, W); they differ in depth, width
and kinds of layers.

Rules: pixels are doubled by copying, which bundles can express; first weights are drawn elsewhere.

Sources: Ronneberger et al. 2015, Long et al. 2015, Badrinarayanan et al. 2017, Chen et al. 2017;
every net is far smaller than theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dreamshare.errors import ConfigError

SCENE_NETS = ("UNet-like", "FCN-like", "SegNet-like", "DeepLab-like")


def scene_net(architecture: str, channels: int, classes: int) -> nn.Module:
    """Return a net with torch's own first weights; ConfigError for an unknown architecture."""
    match architecture:
        case "UNet-like":
            return _UNet(channels, classes, 12)
        case "FCN-like":
            return _FCN(channels, classes, 16)
        case "SegNet-like":
            return _segnet(channels, classes, 16)
        case "DeepLab-like":
            return _deeplab(channels, classes, 12)
    raise ConfigError(f"architecture {architecture!r}: one of {', '.join(SCENE_NETS)}")


def _unit(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Module:
    """A 3x3 convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class _Doubled(nn.Module):
    """Every pixel becomes 2x2."""

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        wide = x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
        return wide.reshape(-1, channels, 2 * height, 2 * width)


class _UNet(nn.Module):
    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.fine = _unit(channels, width)
        self.coarse = nn.Sequential(
            _unit(width, 2 * width, stride=2),
            _unit(2 * width, 2 * width, dilation=2),
            _Doubled(),
        )
        self.joined = nn.Sequential(_unit(3 * width, width), nn.Conv2d(width, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        logits: Tensor = self.joined(torch.cat([fine, self.coarse(fine)], dim=1))
        return logits


class _FCN(nn.Module):
    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(_unit(channels, width), _unit(width, width))
        self.coarse = nn.Sequential(_unit(width, 2 * width, stride=2), _unit(2 * width, 2 * width))
        self.fine_logits = nn.Conv2d(width, classes, 1)
        self.coarse_logits = nn.Sequential(nn.Conv2d(2 * width, classes, 1), _Doubled())

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        logits: Tensor = self.fine_logits(fine) + self.coarse_logits(self.coarse(fine))
        return logits


def _segnet(channels: int, classes: int, width: int) -> nn.Module:
    return nn.Sequential(
        _unit(channels, width),
        nn.MaxPool2d(2),
        _unit(width, 2 * width),
        _unit(2 * width, 2 * width),
        _Doubled(),
        _unit(2 * width, width),
        nn.Conv2d(width, classes, 1),
    )


def _deeplab(channels: int, classes: int, width: int) -> nn.Module:
    return nn.Sequential(
        _unit(channels, width),
        _unit(width, width, dilation=2),
        _unit(width, 2 * width, dilation=4),
        _unit(2 * width, 2 * width),
        nn.Conv2d(2 * width, classes, 1),
    )
