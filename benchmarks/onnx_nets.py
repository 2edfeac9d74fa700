"""The nets whose exported graphs are measured and tested: one of each covered family.

Rules:
- weights come from a seed; the global generator is left as it was;
- sizes are small enough to be traced within a minute, shapes are those of the papers;
- the accuracy of deep nets of ReLUs is measured on smaller images: with more units, every second
  batch has one whose input rounds to the other side of a kink, in torch as in a graph, and medians
  say who was lucky.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Covered:
    """A net to export.

    Attributes:
        make: builds it.
        shape: of one input.
        classes: K.
        quick: small enough for the suite.
        batches: fresh ones that its medians are taken over: more where a third of them turns a unit
            over, in torch as well, so that a median of twenty would say who was lucky.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int = 10
    quick: bool = True
    batches: int = 20


class Residual(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = unit(inputs, outputs, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


class Inverted(nn.Module):
    """Expand, depthwise, project."""

    def __init__(self, inputs: int, outputs: int, stride: int, act: type[nn.Module]) -> None:
        super().__init__()
        inner = 4 * inputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            act(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            act(),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.same = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y: Tensor = self.body(x)
        return x + y if self.same else y


class Attention(nn.Module):
    """A block of a vision transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.after = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return tokens for tokens."""
        y = self.before(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        z: Tensor = x + self.mlp(self.after(x))
        return z


class Transformer(nn.Module):
    """A vision transformer with a class token."""

    def __init__(self, size: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Attention(width, 4) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], dim=1) + self.places
        logits: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits


class Recurrent(nn.Module):
    """The last state of a recurrent layer, classified."""

    def __init__(self, layer: type[nn.GRU | nn.LSTM]) -> None:
        super().__init__()
        self.layer = layer(6, 16, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of (N, channels, steps)."""
        states, _ = self.layer(x.transpose(1, 2))
        logits: Tensor = self.head(states[:, -1])
        return logits


def unit(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def mlp() -> nn.Module:
    """Linear layers with BatchNorm, GELU and ELU."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 48),
        nn.BatchNorm1d(48),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(48, 32),
        nn.ELU(),
        nn.Linear(32, 10),
    )


def sensor() -> nn.Module:
    """One-dimensional convolutions over a window of sensor readings."""
    return nn.Sequential(
        nn.Conv1d(6, 16, 5, padding=2),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm1d(32),
        nn.SiLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 5),
    )


def lenet(pool: type[nn.MaxPool2d | nn.AvgPool2d]) -> nn.Module:
    """LeNet-5 with BatchNorm on 28x28."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        nn.Tanh(),
        pool(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def small_cnn() -> nn.Module:
    """Three convolutions with BatchNorm, two max-pools, on 28x28."""
    return nn.Sequential(
        unit(1, 16),
        nn.MaxPool2d(2),
        unit(16, 32),
        nn.MaxPool2d(2),
        unit(32, 32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def vgg() -> nn.Module:
    """Stacked convolutions on 32x32 with overlapping pooling in between."""
    return nn.Sequential(
        unit(3, 16),
        unit(16, 16),
        nn.MaxPool2d(2),
        unit(16, 32),
        unit(32, 32),
        nn.MaxPool2d(3, 2, 1),
        unit(32, 64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1024, 10),
    )


def resnet(blocks: int = 3) -> nn.Module:
    """ResNet-(6 * blocks + 2) for 32x32 (He et al. 2016, section 4.2)."""
    stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    layers: list[nn.Module] = [unit(3, 16)]
    for inputs, outputs, stride in stages:
        layers += [Residual(inputs, outputs, stride)]
        layers += [Residual(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mobilenet() -> nn.Module:
    """Inverted residuals with depthwise convolutions, ReLU6 and hardswish, on 32x32."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.Hardswish(),
        Inverted(16, 24, 1, nn.ReLU6),
        Inverted(24, 24, 1, nn.ReLU6),
        Inverted(24, 32, 2, nn.Hardswish),
        Inverted(32, 32, 1, nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def grouped() -> nn.Module:
    """GroupNorm and a grouped convolution: a net that normalises without statistics."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.LeakyReLU(0.1),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=4),
        nn.GroupNorm(8, 32),
        nn.Sigmoid(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


class Layered(nn.Module):
    """Convolutions with LayerNorm: over an image's channels and pixels, and channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 2, 2)
        self.whole = nn.LayerNorm((16, 8, 8))
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.last = nn.LayerNorm(16, eps=1e-6)
        self.mix = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.whole(self.patches(x))
        x = x + self.mix(self.last(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Unrolled(nn.Module):
    """A GRU cell in a loop over the steps: how a recurrent net is written for export."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(6, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of (N, channels, steps)."""
        state = x.new_zeros(x.shape[0], 16)
        for step in x.unbind(2):
            state = self.cell(step, state)
        logits: Tensor = self.head(state)
        return logits


COVERED = MappingProxyType(
    {
        "MLP": Covered(mlp, (1, 8, 8)),
        "Conv1d": Covered(sensor, (6, 64), 5),
        "LeNet-avg": Covered(lambda: lenet(nn.AvgPool2d), (1, 28, 28)),
        "LeNet-max": Covered(lambda: lenet(nn.MaxPool2d), (1, 28, 28)),
        "SmallCNN": Covered(small_cnn, (1, 28, 28)),
        "GroupNorm": Covered(grouped, (3, 16, 16)),
        "LayerNorm": Covered(Layered, (3, 16, 16)),
        "GRU-cell": Covered(Unrolled, (6, 16), 5, quick=False),
        "VGG-like": Covered(vgg, (3, 32, 32), quick=False),
        "ResNet-20": Covered(resnet, (3, 32, 32), quick=False, batches=60),
        "ResNet-20 (16x16)": Covered(resnet, (3, 16, 16), quick=False),
        "MobileNet-like": Covered(mobilenet, (3, 32, 32), quick=False, batches=60),
        "MobileNet-like (16x16)": Covered(mobilenet, (3, 16, 16), quick=False),
        "ViT": Covered(lambda: Transformer(32, 8, 64, 3), (3, 32, 32), quick=False),
        "GRU": Covered(lambda: Recurrent(nn.GRU), (6, 16), 5, quick=False),
        "LSTM": Covered(lambda: Recurrent(nn.LSTM), (6, 16), 5, quick=False),
    }
)
"""Covered nets by name."""


def build(name: str, seed: int = 0) -> nn.Module:
    """Return a covered net with weights of a seed, statistics that local data would have left."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        net = COVERED[name].make()
        net.train()
        with torch.no_grad():
            for _ in range(3):
                net(torch.randn(16, *COVERED[name].shape) * 1.3 + 0.2)
    return net.eval()
