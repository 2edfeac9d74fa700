"""Our optimisers take the steps of `torch.optim` to the last bit, and load no compiler for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from dreamshare.learning.torch.optimizers import Kind, Optimizer
from tests.architecture.packages import ROOT

STEPS = 12

LEARNS = """
import sys
import numpy as np
from torch import nn
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.torch import TorchLearner

learner = TorchLearner(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), classes=3)
batch = Batch(np.ones((2, 1, 2, 2), np.float32), y_N=np.array([0, 1]))
for kind in ("adam", "sgd"):
    learner.fit([(batch,)], FitObjective(optimizer=kind))
learner.input_gradient(batch.x_NCHW, DreamObjective(labels_B=batch.y_N, feature_weight=0.0))
learner.restore(learner.snapshot())
print("torch._dynamo" in sys.modules)
"""


def weights(kind: Kind, ours: bool, together: bool | None) -> Tensor:
    """Return a net's parameters after some steps; one layer has no gradient in between."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer: Optimizer | torch.optim.Optimizer
    if ours:
        optimizer = Optimizer(kind, net.parameters(), together)
    elif kind == "adam":
        optimizer = torch.optim.Adam(net.parameters(), foreach=together)
    else:
        optimizer = torch.optim.SGD(net.parameters(), momentum=0.9, foreach=together)
    for number in range(STEPS):
        rate, decay = 0.01 * (1 + number % 4), 0.01 * (number % 2)
        net[1].requires_grad_(number % 3 > 0)
        loss = net(torch.randn(8, 5)).square().mean()
        if isinstance(optimizer, Optimizer):
            optimizer.clear()
            torch.autograd.backward(loss)
            optimizer.step(rate, decay)
            continue
        for group in optimizer.param_groups:
            group |= {"lr": rate, "weight_decay": decay}
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("together", [True, None])
def test_every_step_is_that_of_torch(kind: Kind, together: bool | None) -> None:
    ours, theirs = (weights(kind, each, together) for each in (True, False))
    assert torch.equal(ours, theirs)


def test_nothing_happens_without_a_gradient() -> None:
    layer = nn.Linear(2, 2)
    before = layer.weight.clone()
    Optimizer("adam", layer.parameters()).step(0.1, 0.1)
    assert torch.equal(layer.weight, before)


def test_a_device_that_learns_and_dreams_loads_no_compiler() -> None:
    """`torch._dynamo` is 70 MB of memory and seconds of a small processor."""
    done = subprocess.run(
        [sys.executable, "-c", LEARNS], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.strip() == "False", done.stderr
