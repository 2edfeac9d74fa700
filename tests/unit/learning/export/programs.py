"""Programs that several tests export: a quadratic, a logistic loss, losses of a net."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from dreamshare.learning.export import Argument, DataArray, ProgramSource
from dreamshare.learning.export.program_sources import Net, Tensors
from dreamshare.learning.onnx.signatures import TRANSFORMS


def quadratic(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """1/2 theta' A theta: gradient A theta and Hessian A, where A is symmetric."""
    theta = arguments["theta"]
    return {"f": 0.5 * theta @ data["A"] @ theta}


def logistic(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """Sum of log(1 + exp(-y theta x)) and the number of examples."""
    margin_N = data["y"] * (data["x"] @ arguments["theta"])
    count = torch.ones((), dtype=margin_N.dtype) * margin_N.shape[0]
    return {"loss": functional.softplus(-margin_N).sum(), "count": count}


def curve(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """Two results of two arguments, nothing linear."""
    inner_N = torch.tanh(data["x"] @ arguments["w"] + arguments["b"])
    return {
        "mean": (inner_N[:, None] * data["x"]).mean(dim=0),
        "size": (inner_N * inner_N).mean() * torch.exp(arguments["b"]),
    }


def cross_entropy(_arguments: Tensors, data: Tensors, net: Net) -> Tensors:
    """A net's loss, summed over the examples."""
    return {"loss": functional.cross_entropy(net(data["x"]), data["y"], reduction="sum")}


def shifted(arguments: Tensors, data: Tensors, net: Net) -> Tensors:
    """The device's own net on inputs that the request shifts."""
    return {"p": net(data["x"] + arguments["shift"]).softmax(dim=1).mean(dim=0)}


def attending(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """Attention of each example's four tokens to each other."""
    q = data["tokens"] @ arguments["w"]
    found = functional.scaled_dot_product_attention(q, data["tokens"], q)
    return {"mean": found.mean(dim=(0, 1))}


X64 = DataArray("x", ("N", 5), "float64")
QUADRATIC = ProgramSource(
    "quadratic/1",
    quadratic,
    (Argument("theta", (3,), "float64"),),
    (DataArray("A", (3, 3), "float64"),),
    TRANSFORMS,
)
LOGISTIC = ProgramSource(
    "logistic/1",
    logistic,
    (Argument("theta", (5,), "float64"),),
    (X64, DataArray("y", ("N",), "float64")),
    TRANSFORMS,
)
CURVE = ProgramSource(
    "curve/2",
    curve,
    (Argument("w", (5,), "float64"), Argument("b", (), "float64")),
    (X64,),
    TRANSFORMS,
)
IMAGES = DataArray("x", ("N", 1, 4, 4))
CLASSES = DataArray("y", ("N",), "int64", below=3)
NET_LOSS = ProgramSource(
    "net_loss/1", cross_entropy, (), (IMAGES, CLASSES), TRANSFORMS, parameters="float32"
)
ATTENDING = ProgramSource(
    "attending/1",
    attending,
    (Argument("w", (6, 6)),),
    (DataArray("tokens", ("N", 4, 6)),),
    TRANSFORMS,
)
SHIFTED = ProgramSource("shifted/1", shifted, (Argument("shift", (1, 4, 4)),), (IMAGES,))


def smooth_net(seed: int = 0) -> nn.Sequential:
    """Return a net with BatchNorm whose running statistics are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)
        )
        net.train()(torch.randn(20, 1, 4, 4) * 2 + 1)
        with torch.no_grad():
            net[1].weight.copy_(torch.tensor([0.7, 1.6]))
            net[1].bias.copy_(torch.tensor([-0.2, 0.3]))
    return net.eval()


def deep_net() -> nn.Sequential:
    """Return a net of layers whose second derivatives are not trivial to export."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.GELU(), nn.MaxPool2d(3, 2, 1)),
            *(nn.Conv2d(2, 4, 3, groups=2), nn.SiLU(), nn.AvgPool2d(2)),
            *(nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 3)),
        ).eval()


def augmented(arguments: Tensors, data: Tensors, net: Net) -> Tensors:
    """A net's loss by its parameters, and by a shift of its inputs."""
    logits = net(data["x"] + arguments["shift"])
    return {"loss": functional.cross_entropy(logits, data["y"])}


DEEP = ProgramSource(
    "augmented/1",
    augmented,
    (Argument("shift", (1, 8, 8)),),
    (DataArray("x", ("N", 1, 8, 8)), CLASSES),
    TRANSFORMS,
    parameters="float32",
)
