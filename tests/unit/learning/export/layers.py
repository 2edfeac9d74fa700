"""Layers of torch.nn, one small net each: what `test_layers` exports and docs/exporting.md lists.

Rules:
- a layer stands behind trainable factors, so that a training step needs its gradient, too;
- a refused layer has the words of its refusal that say what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 3
IMAGE = (4, 6, 6)
SERIES = (4, 8)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer and what becomes of it.

    Attributes:
        family: its row in the table.
        name: as the table shows it.
        make: builds it.
        shape: of one input.
        instead: words of the refusal; empty: it is exported.
    """

    family: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = IMAGE
    instead: str = ""

    def net(self) -> nn.Module:
        """Return a classifier around the layer, with weights of a fixed seed."""
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(0)
            before, layer = Factors(self.shape), self.make().eval()
            with torch.no_grad():
                width = layer(before(torch.zeros(2, *self.shape))).flatten(1).shape[1]
            return nn.Sequential(before, layer, nn.Flatten(), nn.Linear(width, CLASSES))


class Factors(nn.Module):
    """A trainable factor for each value."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.factors = nn.Parameter(1.0 + 0.1 * torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x, x, need_weights=False)[0]


class Crossing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x.tanh())


class Placing(nn.Module):
    """Adds an embedding of places; their numbers are a buffer."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Embedding(4, 8)
        self.register_buffer("places", torch.arange(4))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(self.places)


class Looping(nn.Module):
    """A cell in a loop over the steps."""

    def __init__(self, kind: type[nn.RNNCell | nn.GRUCell | nn.LSTMCell]) -> None:
        super().__init__()
        self.cell = kind(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(x.shape[0], 5)
        memory = (state, state) if isinstance(self.cell, nn.LSTMCell) else state
        for step in x.unbind(2):
            memory = self.cell(step, memory)
        return memory[0] if isinstance(memory, tuple) else memory


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.layer = kind(8, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def _activations() -> tuple[Layer, ...]:
    plain = (
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU),
        *(nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.LogSigmoid, nn.Tanh),
        *(nn.Softplus, nn.Softsign, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.GLU),
    )
    along = (nn.Softmax, nn.LogSoftmax, nn.Softmin)
    return (
        *(Layer("activation", kind.__name__, kind, (8,)) for kind in plain),
        *(Layer("activation", kind.__name__, lambda k=kind: k(1), (8,)) for kind in along),
        Layer("activation", "Threshold", lambda: nn.Threshold(0.1, 0.2), (8,)),
        Layer("activation", "RReLU", nn.RReLU, (8,), "TorchLearner"),
    )


_CELL = "torch.nn.GRUCell"
_SIZES = "choose an output size that divides it"
_INDEX = "more than one index"

LAYERS = (
    Layer("linear", "Linear", lambda: nn.Linear(8, 5), (8,)),
    Layer("linear", "Bilinear", Crossing, (8,), "TorchLearner"),
    Layer("linear", "Embedding (of numbers in a buffer)", Placing, (4, 8)),
    Layer("convolution", "Conv1d", lambda: nn.Conv1d(4, 6, 3, 2, 1), SERIES),
    Layer("convolution", "Conv2d", lambda: nn.Conv2d(4, 6, 3, 2, 1), IMAGE),
    Layer("convolution", "Conv2d (dilation, groups)", lambda: nn.Conv2d(4, 6, 3, 1, 2, 2, 2)),
    Layer("convolution", "Conv2d (depthwise)", lambda: nn.Conv2d(4, 8, 3, 1, 1, groups=4)),
    Layer("convolution", "Conv2d (padding='same')", lambda: nn.Conv2d(4, 6, 3, padding="same")),
    Layer("convolution", "ConvTranspose1d", lambda: nn.ConvTranspose1d(4, 3, 3, 2), SERIES),
    Layer("convolution", "ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)),
    Layer(
        "convolution",
        "Conv3d",
        lambda: nn.Conv3d(2, 3, 3),
        (2, 4, 4, 4),
        "weight gradient of a 3-d",
    ),
    Layer(
        "convolution",
        "Conv2d (padding_mode other than 'zeros')",
        lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
        instead=_INDEX,
    ),
    Layer("pooling", "MaxPool1d", lambda: nn.MaxPool1d(2), SERIES),
    Layer("pooling", "MaxPool2d", lambda: nn.MaxPool2d(3, 2, 1)),
    Layer("pooling", "AvgPool1d", lambda: nn.AvgPool1d(2), SERIES),
    Layer("pooling", "AvgPool2d", lambda: nn.AvgPool2d(2)),
    Layer("pooling", "AvgPool2d (overlapping, padded)", lambda: nn.AvgPool2d(3, 2, 1)),
    Layer("pooling", "AdaptiveAvgPool1d", lambda: nn.AdaptiveAvgPool1d(2), SERIES),
    Layer("pooling", "AdaptiveAvgPool2d", lambda: nn.AdaptiveAvgPool2d(2)),
    Layer("pooling", "AdaptiveMaxPool2d", lambda: nn.AdaptiveMaxPool2d(1)),
    Layer("pooling", "LPPool2d", lambda: nn.LPPool2d(2, 2)),
    Layer(
        "pooling", "pools with ceil_mode", lambda: nn.MaxPool2d(4, ceil_mode=True), instead="ceil"
    ),
    Layer(
        "pooling",
        "adaptive pools to a size that does not divide",
        lambda: nn.AdaptiveAvgPool2d(4),
        instead=_SIZES,
    ),
    Layer("pooling", "MaxPool3d", lambda: nn.MaxPool3d(2), (2, 4, 4, 4), "compose the layer"),
    Layer("pooling", "AvgPool3d", lambda: nn.AvgPool3d(2), (2, 4, 4, 4), "compose the layer"),
    Layer("normalisation", "BatchNorm1d", lambda: nn.BatchNorm1d(4), SERIES),
    Layer("normalisation", "BatchNorm2d", lambda: nn.BatchNorm2d(4)),
    Layer("normalisation", "BatchNorm3d", lambda: nn.BatchNorm3d(2), (2, 3, 3, 3)),
    Layer("normalisation", "GroupNorm", lambda: nn.GroupNorm(2, 4)),
    Layer("normalisation", "LayerNorm", lambda: nn.LayerNorm((4, 6, 6))),
    Layer("normalisation", "RMSNorm", lambda: nn.RMSNorm(8), (3, 8)),
    Layer(
        "normalisation",
        "weight_norm",
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 3, 3)),
        SERIES,
    ),
    Layer("normalisation", "InstanceNorm2d", lambda: nn.InstanceNorm2d(4), instead="GroupNorm"),
    Layer("normalisation", "SyncBatchNorm", lambda: nn.SyncBatchNorm(4), instead="BatchNorm2d"),
    Layer(
        "normalisation", "LocalResponseNorm", lambda: nn.LocalResponseNorm(2), instead="avg_pool3d"
    ),
    Layer(
        "normalisation",
        "spectral_norm",
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5)),
        (8,),
        "spectral_norm",
    ),
    *_activations(),
    Layer("dropout (off)", "Dropout", nn.Dropout),
    Layer("dropout (off)", "Dropout2d", nn.Dropout2d),
    Layer("dropout (off)", "AlphaDropout", nn.AlphaDropout),
    Layer("attention", "MultiheadAttention", Attending, (3, 8)),
    Layer(
        "attention",
        "TransformerEncoderLayer",
        lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
        (3, 8),
    ),
    Layer("recurrent", "RNNCell in a loop", lambda: Looping(nn.RNNCell), (4, 3)),
    Layer("recurrent", "GRUCell in a loop", lambda: Looping(nn.GRUCell), (4, 3)),
    Layer("recurrent", "LSTMCell in a loop", lambda: Looping(nn.LSTMCell), (4, 3)),
    Layer("recurrent", "RNN", lambda: Recurrent(nn.RNN), (3, 8), _CELL),
    Layer("recurrent", "GRU", lambda: Recurrent(nn.GRU), (3, 8), _CELL),
    Layer("recurrent", "LSTM", lambda: Recurrent(nn.LSTM), (3, 8), _CELL),
    Layer("shape", "Flatten", nn.Flatten),
    Layer("shape", "Unflatten", lambda: nn.Unflatten(1, (2, 2))),
    Layer("shape", "Identity", nn.Identity),
    Layer("shape", "PixelShuffle", lambda: nn.PixelShuffle(2)),
    Layer("shape", "PixelUnshuffle", lambda: nn.PixelUnshuffle(2)),
    Layer("shape", "ChannelShuffle", lambda: nn.ChannelShuffle(2)),
    Layer("shape", "ZeroPad2d", lambda: nn.ZeroPad2d(1)),
    Layer("shape", "ConstantPad2d", lambda: nn.ConstantPad2d(1, 2.0)),
    Layer("shape", "ReflectionPad2d", lambda: nn.ReflectionPad2d(1), instead=_INDEX),
    Layer("shape", "ReplicationPad2d", lambda: nn.ReplicationPad2d(1), instead=_INDEX),
    Layer("shape", "Upsample", lambda: nn.Upsample(scale_factor=2), instead=_INDEX),
)
