"""Nets for inputs of any size, by name: the demo's families, some for series and for scenes.

    VGG-like, ResNet-like, WideResNet-like, MobileNet-like   images; 11,000 to 73,000 parameters
    Temporal-like, Dilated-like                              series (C, 1, W)
    Dense-like, Residual-like                                rows of a table (F, 1, 1)
    UNet-like, FCN-like, SegNet-like, DeepLab-like           scenes: pixels (`scene_nets`)

Rules:
- images of 12 pixels or more lose half their width and height in the first convolution: without,
  28x28 would cost twelve times what the demo's 8x8 costs;
- first weights are drawn by numpy from a seed (`first_weights`); torch's global generator is
  untouched;
- this and `scene_nets` are the harness's only modules that import torch.
"""

from __future__ import annotations

import torch
from torch import nn

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.naming import imported
from dreamshare_cli.bench.scene_nets import SCENE_NETS, scene_net
from dreamshare_cli.demo import nets
from dreamshare_cli.demo.first_weights import first_weights
from dreamshare_cli.demo.setting import ARCHITECTURES as IMAGE_NETS

SERIES_NETS = ("Temporal-like", "Dilated-like")
TABLE_NETS = ("Dense-like", "Residual-like")
STRIDED_FROM = 12
"""Pixels; smaller images keep their size in the first convolution."""


def build(architecture: str, shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
    """Return a freshly initialised net, a function of its arguments.

    Raises:
        ConfigError: an unknown architecture, or one that does not take inputs of this shape.
    """
    if ":" in architecture:
        made = imported(architecture, "devices.architectures")(shape, classes, seed)
        if not isinstance(made, nn.Module):
            raise ConfigError(f"{architecture} returned a {type(made).__name__}, no torch module")
        return made
    known = IMAGE_NETS + SERIES_NETS + TABLE_NETS + SCENE_NETS
    if architecture not in known:
        raise ConfigError(
            f"architecture {architecture!r}: one of {', '.join(known)}, "
            "module:function, or a bundle's path with runtime 'onnx'"
        )
    odd = architecture in SCENE_NETS and (shape[1] % 2 or shape[2] % 2)
    kind = TABLE_NETS if shape[1:] == (1, 1) else SERIES_NETS if shape[1] == 1 else ()
    if odd or (architecture in SERIES_NETS + TABLE_NETS) != (architecture in kind):
        raise ConfigError(f"{architecture} does not take inputs of shape {shape}")
    with torch.random.fork_rng(devices=[]):  # torch's constructors draw from the global generator
        if architecture in SERIES_NETS:
            net = _series(shape[0], classes, dilated=architecture == "Dilated-like")
        elif architecture in TABLE_NETS:
            net = _table(shape[0], classes, residual=architecture == "Residual-like")
        elif architecture in SCENE_NETS:
            net = scene_net(architecture, shape[0], classes)
        else:
            net = _fitted(nets.build(architecture, seed), shape, classes)
    return _first(net, seed)


def best_device(wanted: str) -> str:
    """Return torch's device for a recipe's: "auto" is CUDA where there is one."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def own_process(wanted: str, place: int) -> None:
    """Compute with one thread and, of several GPUs, on the one whose turn it is.

    For a process of its own; "cuda:N" stays what it says.

    Args:
        wanted: a recipe's device.
        place: of the process among those beside it, from 0.
    """
    torch.set_num_threads(1)
    if best_device(wanted) == "cuda" and torch.cuda.is_available():
        torch.cuda.set_device(place % torch.cuda.device_count())


def gpu_name(wanted: str) -> str:
    """Return what the GPU that a recipe's device means calls itself; "" for none."""
    device = best_device(wanted)
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return torch.cuda.get_device_name(device) if on_gpu else ""


def _fitted(net: nn.Module, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Change the first and the last layer of one of the demo's nets to fit the data."""
    first = next(layer for layer in net.modules() if isinstance(layer, nn.Conv2d))
    stride = (2, 2) if min(shape[1:]) >= STRIDED_FROM else (1, 1)
    other = nn.Conv2d(shape[0], first.out_channels, 3, stride, 1, bias=False)
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    return _replaced(net, {first: other, last: nn.Linear(last.in_features, classes)})


def _replaced(net: nn.Module, others: dict[nn.Module, nn.Module]) -> nn.Module:
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if child in others:
                setattr(parent, name, others[child])
    return net


def _series(channels: int, classes: int, *, dilated: bool) -> nn.Module:
    """Three convolutions along time, each halving it by pooling or, dilated, by stride."""
    layers: list[nn.Module] = []
    for step, (inputs, outputs) in enumerate(((channels, 16), (16, 32), (32, 32))):
        spread = 2**step if dilated else 1
        layers += [
            nn.Conv2d(
                inputs,
                outputs,
                (1, 5),
                stride=(1, 2 if dilated else 1),
                padding=(0, 2 * spread),
                dilation=(1, spread),
                bias=False,
            ),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
        if not dilated:
            layers.append(nn.AvgPool2d((1, 2)))
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d((1, 4)), nn.Flatten(), nn.Linear(128, classes)
    )


class _Beside(nn.Module):
    """Adds what a block makes of its input to it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = x + self.block(x)
        return added


def _table(columns: int, classes: int, *, residual: bool) -> nn.Module:
    """Two hidden layers behind a BatchNorm, which evens out how far columns spread."""
    wide = 48 if residual else 64
    inner: nn.Module = nn.Sequential(nn.Linear(wide, wide), nn.BatchNorm1d(wide), nn.ReLU())
    return nn.Sequential(
        nn.BatchNorm2d(columns),
        nn.Flatten(),
        nn.Linear(columns, wide),
        nn.ReLU(),
        _Beside(inner) if residual else inner,
        nn.Linear(wide, classes),
    )


def _first(net: nn.Module, seed: int) -> nn.Module:
    state = {name: t for name, t in net.state_dict().items() if t.is_floating_point()}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name, array in first_weights(shapes, seed).items():
        state[name].copy_(torch.from_numpy(array))
    return net
