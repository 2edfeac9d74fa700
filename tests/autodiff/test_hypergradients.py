"""Hypergradients: through rounds of FedAvg as through one process; one number up in mixed mode.

Every device takes three steps of gradient descent from what it is sent and answers the change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from dreamshare.algorithms.autodiff.config import Argument, AutodiffConfig, Program, Result
from dreamshare.autodiff import Federation, OracleRounds, SimulatedRounds
from dreamshare.learning.onnx import signatures as onnx
from dreamshare.learning.torch import TorchLearner
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, SimulatedSession, SimulationOptions
from tests.autodiff.programs import FEATURES, LOGISTIC, LOSS, data_of
from tests.autodiff.test_federation import ALONG, DEVICES, THETA, plain_loss

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

STEPS = 3


def local_change(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """Three steps of gradient descent on a device's own loss, its gradient in closed form."""
    start, rate = arguments["w"], arguments["rate"]
    sign_N = 2.0 * data["y"].double() - 1.0
    w = start
    for _ in range(STEPS):
        pull_N = sign_N * torch.sigmoid(-sign_N * (data["x"] @ w))
        w = w + rate * (data["x"] * pull_N[:, None]).mean(0)
    return {"change": w - start}


LOCAL = ProgramSource(
    "local/1",
    local_change,
    (onnx.Argument("w", (FEATURES,), "float64"), onnx.Argument("rate", (), "float64")),
    LOGISTIC.data,
    onnx.TRANSFORMS,
)
CHANGE = Program(
    "local/1",
    (
        Argument("w", (FEATURES,), bound=10.0, gradient=4.0, product=4.0),
        Argument("rate", (), bound=2.0, gradient=8.0, product=8.0),
    ),
    (Result("change", (FEATURES,), bound=4.0, pushed=8.0),),
)
CONFIG = AutodiffConfig((LOSS, CHANGE), rounds=60)
COHORT = Cohort(least=DEVICES, most=DEVICES)
START = 0.5 * THETA
SERVER_STEP = torch.tensor(0.9, dtype=torch.float64)
RATE = torch.tensor(0.4, dtype=torch.float64)


@contextmanager
def federation(masks: bool) -> Iterator[Federation]:
    if not masks:
        data = [data_of(i) for i in range(DEVICES)]
        yield Federation(OracleRounds(CONFIG, (LOGISTIC, LOCAL), data), CONFIG, COHORT)
        return
    net = torch.nn.Linear(FEATURES, 2)
    devices = [
        SimulatedDevice(TorchLearner(net, classes=2, programs=(LOGISTIC, LOCAL)), data_of(i))
        for i in range(DEVICES)
    ]
    options = SimulationOptions(deadlines=Deadlines(60, 60, 60))
    with SimulatedSession(CONFIG, devices, cohort=COHORT, options=options) as session:
        yield Federation(SimulatedRounds(session), CONFIG, COHORT)


def trained(fed: Federation, start: Tensor, step: Tensor, rate: Tensor) -> Tensor:
    """The loss after two rounds of FedAvg."""
    w = start
    for _ in range(2):
        change = fed.mean(CHANGE, w, rate)
        assert isinstance(change, Tensor)
        w = w + step * change
    loss = fed.mean(LOSS, w)
    assert isinstance(loss, Tensor)
    return loss


def plainly_trained(start: Tensor, step: Tensor, rate: Tensor) -> Tensor:
    """The same in one process; local gradients by autograd."""
    w = start
    for _ in range(2):
        changes = []
        for i in range(DEVICES):
            own = w
            for _ in range(STEPS):
                (slope,) = torch.autograd.grad(one_loss(i, own), own, create_graph=True)
                own = own - rate * slope
            changes.append(own - w)
        w = w + step * torch.stack(changes).mean(0)
    return plain_loss(w)


def one_loss(device: int, theta: Tensor) -> Tensor:
    batch = data_of(device)
    sign_N = torch.tensor(2.0 * batch._y - 1.0)
    margin_N = sign_N * (torch.tensor(batch._x, dtype=torch.float64) @ theta)
    return torch.nn.functional.softplus(-margin_N).mean()


@pytest.mark.parametrize(("masks", "room"), [(False, 1e-9), (True, 1e-3)])
def test_through_two_rounds_of_fedavg(masks: bool, room: float) -> None:
    """Three rounds and two backwards: the last one's gradient comes along.

    With masks a sum is off by 2 C / (2^20 - 1) a device, C of 8 at most, and what a gradient passes
    through multiplies that by less than 16.
    """
    leaves = [each.clone().requires_grad_() for each in (START, SERVER_STEP, RATE)]
    expected = torch.autograd.grad(plainly_trained(*leaves), leaves)
    given = START, SERVER_STEP, RATE
    with federation(masks) as fed:
        value, found = fed.value_and_grad(lambda w, s, r: trained(fed, w, s, r))(*given)
        assert [each.step for each in fed.ledger] == [
            "local/1:value",
            "local/1:value",
            "logistic/1:value+gradient:0",
            "local/1:gradient:2",
            "local/1:gradient:2",
        ]
    torch.testing.assert_close(value, plainly_trained(*leaves).detach(), rtol=0, atol=room)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=room)


@pytest.mark.parametrize(("masks", "room"), [(False, 1e-9), (True, 1e-4)])
def test_mixed_mode_takes_one_number_of_each_device(masks: bool, room: float) -> None:
    """The server's step alone: a loss's change along the last change, and nothing of w's size."""
    step = SERVER_STEP.clone().requires_grad_()
    (expected,) = torch.autograd.grad(plain_loss(START + step * ALONG), step)
    with federation(masks) as fed:

        def loss(step: Tensor) -> Tensor:
            found = fed.mean(LOSS, START + step * ALONG)
            assert isinstance(found, Tensor)
            return found

        with torch.no_grad():
            loss(SERVER_STEP)
        found = fed.grad(loss, mode="mixed")(SERVER_STEP)
        value, again = fed.ledger
        assert (value.step, again.step) == ("logistic/1:value", "logistic/1:pushed")
        # a word each: the number, how many had to clip, the weight
        assert again.up == 8 * 3
    torch.testing.assert_close(found, expected, rtol=0, atol=room)
