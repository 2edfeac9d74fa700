"""Nets at the edges of what can be exported: each works, or is refused with what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dreamshare.learning.base import Batch
from dreamshare.learning.export import ExportError, ExportSettings, compile
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.training import Training, TrainState

ONCE = ExportSettings(batches=1)
Forward = Callable[[nn.Module, Tensor], object]


class Net(nn.Module):
    """4 numbers to 3 logits, by the function given."""

    def __init__(self, function: Forward, buffer: Tensor | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.function = function
        self.register_buffer("kept", buffer)

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.layer(x) + y


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).tanh()))


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def headed(layer: nn.Module, width: int = 4) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(width, 3))


def of_input(x: Tensor) -> Tensor:
    x -= 1
    return x


def of_part(y: Tensor) -> Tensor:
    y[:, 0] = 0
    return y


def counting(net: nn.Module, x: Tensor) -> Tensor:
    net.kept += 1
    return net.layer(x)


def without_gradient(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.layer(x)


def missing(net: nn.Module, x: Tensor) -> Tensor:
    return net.absent(x)


def broken() -> nn.Module:
    net = nn.Linear(4, 3)
    nn.init.constant_(net.weight, float("nan"))
    return net


def scripted() -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # torch.jit is going away; files of it are not
        return torch.jit.script(plain())


REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[str, ...]]] = {
    "another shape": (plain, (5,), ("a batch of shape (2, 5)", "--shape")),
    "another number of classes": (lambda: nn.Linear(4, 5), (4,), ("5 logits", "say 5")),
    "logits for each place": (lambda: nn.Linear(4, 3), (2, 4), ("(2, 2, 3)", "flatten or pool")),
    "one number": (
        lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)),
        (4,),
        ("(2,)", "(N, classes)"),
    ),
    "half": (lambda: plain().half(), (4,), ("float16", "net.float()")),
    "double": (lambda: plain().double(), (4,), ("float64", "net.float()")),
    "a buffer of int32": (
        lambda: Net(lambda net, x: net.layer(x) + net.kept, torch.arange(3, dtype=torch.int32)),
        (4,),
        ("kept holds torch.int32", "int64"),
    ),
    "two outputs": (
        lambda: Net(lambda net, x: (net.layer(x), x)),
        (4,),
        ("returns tuple", "picks them"),
    ),
    "a mapping": (lambda: Net(lambda net, x: {"y": net.layer(x)}), (4,), ("returns dict",)),
    "two inputs": (TwoInputs, (4,), ("with one tensor", "wrap it")),
    "a bug": (lambda: Net(missing), (4,), ("AttributeError", "absent")),
    "its input in place": (
        lambda: Net(lambda net, x: net.layer(of_input(x))),
        (4,),
        ("x = x - 1",),
    ),
    "a part in place": (
        lambda: Net(lambda net, x: of_part(net.layer(x))),
        (4,),
        ("without the in-place",),
    ),
    "a branch on values": (
        lambda: Net(lambda net, x: net.layer(x) if x.mean() > 0 else -net.layer(x)),
        (4,),
        ("branches on values", "torch.where"),
    ),
    "a number taken out": (
        lambda: Net(lambda net, x: net.layer(x) * float(x.detach().amax())),
        (4,),
        ("item(), float()",),
    ),
    "numpy": (
        lambda: Net(lambda net, x: net.layer(x) * torch.tensor(x.detach().numpy())[:, :3]),
        (4,),
        ("cannot be traced", "numpy"),
    ),
    "a branch on the batch": (
        lambda: Net(lambda net, x: net.layer(x) if len(x) > 4 else -net.layer(x)),
        (4,),
        ("fixes the batch", "no Python branch"),
    ),
    "no gradient": (
        lambda: Net(without_gradient),
        (4,),
        ("no gradient with respect to its input",),
    ),
    "words as input": (
        lambda: nn.Sequential(Net(lambda _, x: x.long()), nn.Embedding(5, 3), nn.Flatten()),
        (1,),
        ("indices made from the input",),
    ),
    "random numbers": (
        lambda: Net(lambda net, x: net.layer(x + torch.randn_like(x))),
        (4,),
        ("aten.randn_like", "no random numbers"),
    ),
    "dropout that is never off": (
        lambda: Net(lambda net, x: nn.functional.dropout(net.layer(x))),
        (4,),
        ("torch.nn.Dropout",),
    ),
    "a counter": (
        lambda: Net(counting, torch.zeros(())),
        (4,),
        ("its buffer kept", "BatchNorm travel"),
    ),
    "spectral norm": (
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),
        (4,),
        ("spectral_norm",),
    ),
    "a lazy layer": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        (4,),
        ("lazy layers", "run one batch"),
    ),
    "no values": (lambda: plain().to("meta"), (4,), ("'meta'", "load the weights")),
    "weights that are not finite": (broken, (4,), ("not finite",)),
    "TorchScript": (scripted, (4,), ("TorchScript",)),
    "frozen altogether": (lambda: plain().requires_grad_(False), (4,), ("no trainable parameter",)),
    "instance norm": (
        lambda: headed(nn.InstanceNorm1d(2), 8),
        (2, 4),
        ("InstanceNorm1d", "GroupNorm"),
    ),
    "synchronised norm": (
        lambda: headed(nn.SyncBatchNorm(4)),
        (4,),
        ("SyncBatchNorm", "BatchNorm1d"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_the_way_out(case: str) -> None:
    make, shape, said = REFUSED[case]
    net = make()
    with pytest.raises(ExportError) as refused:
        compile(net, shape, classes=3, settings=ONCE)
    for words in said:
        assert words in str(refused.value)


def frozen() -> nn.Module:
    net = plain()
    net[0].weight.requires_grad_(False)
    return net


WORKS: dict[str, Callable[[], nn.Module]] = {
    "tied weights": Tied,
    "frozen weights": frozen,
    "buffers of whole numbers": lambda: Net(
        lambda net, x: net.layer(x) + net.kept, torch.arange(3)
    ),
    "buffers of truth values": lambda: Net(
        lambda net, x: torch.where(net.kept, net.layer(x), 0.5 * net.layer(x)),
        torch.tensor([True, False, True]),
    ),
    "in training mode": lambda: nn.Sequential(plain(), nn.Dropout(0.9)).train(),
    "a result in place": lambda: Net(lambda net, x: net.layer(x).add_(1.0).mul_(2.0)),
    "a parameter that is not used": lambda: nn.ModuleDict({"a": plain()})["a"],
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
    "no running statistics": lambda: nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)
    ),
    "cumulative statistics": lambda: nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=None, affine=False)
    ),
}


@pytest.mark.parametrize("case", WORKS)
def test_works(case: str) -> None:
    """`compile` itself compares every graph with torch in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        net = WORKS[case]()
    mode = net.training
    compile(net, (4,), classes=3, settings=ONCE)
    assert net.training == mode


def test_frozen_weights_stay_and_tied_ones_move_together() -> None:
    bundle = compile(net := frozen(), (4,), classes=3, settings=ONCE)
    assert "0.weight" in bundle.manifest.buffers
    trained = after_a_step(bundle)
    np.testing.assert_array_equal(trained["0.weight"], net[0].weight.numpy())
    assert (trained["2.weight"] != net[2].weight.detach().numpy()).any()

    bundle = compile(Tied(), (4,), classes=3, settings=ONCE)
    names = [n for n in bundle.manifest.parameters if n.endswith("weight")]
    assert names == ["first.weight", "last.weight"]


def after_a_step(bundle: Bundle) -> dict[str, np.ndarray]:
    state = TrainState(bundle.weights())
    batch = Batch(np.ones((2, 4), np.float32), np.array([0, 1]))
    Training(bundle).step(state, (batch,), FitObjective(optimizer="sgd", learning_rate=0.1))
    return dict(state.weights)
