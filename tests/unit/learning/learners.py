"""Every kind of learner around one net, so that one test speaks for all of them.

Kinds: "torch" on the CPU, "cuda" where torch sees a device, "onnx" by a bundle of the same net.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.learning.base import Learner
from dreamshare.learning.export import ExportSettings, compile
from dreamshare.learning.onnx import Bundle, OnnxLearner, Runtime
from dreamshare.learning.torch import TorchLearner
from tests.unit.learning.torch.tiny import CLASSES, SHAPE, tiny_net

KINDS = ("torch", "cuda", "onnx")


def learner(kind: str, seed: int = 0, runtime: Runtime | None = None) -> Learner:
    """Return a learner of a kind around `tiny_net(seed)`."""
    return around(kind, tiny_net(seed), SHAPE, CLASSES, runtime)


def layered(kind: str, seed: int = 0) -> Learner:
    """Return a learner of a kind around two layers that take a toy's inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    return around(kind, net, (1, 2, 2), 3)


def pixelled(kind: str, seed: int = 0) -> Learner:
    """Return a learner of a kind that labels pixels: two convolutions, inputs (1, 4, 4), K = 3."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))
    return around(kind, net, (1, 4, 4), 3)


def around(
    kind: str,
    net: nn.Module,
    shape: tuple[int, ...],
    classes: int,
    runtime: Runtime | None = None,
) -> Learner:
    """Return a learner of a kind around a net; skips where there is no CUDA device."""
    match kind:
        case "torch":
            return TorchLearner(net, classes=classes)
        case "cuda":
            if not torch.cuda.is_available():
                pytest.skip("torch sees no CUDA device on this machine")
            torch.backends.cudnn.allow_tf32 = False  # 10 bits of mantissa are no test of a formula
            torch.backends.cudnn.deterministic = True
            return TorchLearner(net, classes=classes, device="cuda")
    weights = {name: t.numpy() for name, t in net.state_dict().items() if t.is_floating_point()}
    made = OnnxLearner(_bundle(Like(net), shape, classes), runtime=runtime)
    made.load_parameters({name: np.asarray(array) for name, array in weights.items()})
    return made


class Like:
    """A net that equals every other of the same structure: a bundle serves all their weights."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        shapes = [(name, tuple(t.shape)) for name, t in net.state_dict().items()]
        self._key = (repr(net), *shapes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Like) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@cache
def _bundle(like: Like, shape: tuple[int, ...], classes: int) -> Bundle:
    return compile(like.net, shape, classes=classes, settings=ExportSettings(batches=1))
