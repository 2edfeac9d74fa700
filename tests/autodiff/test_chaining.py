"""What a device gave in one round, used on that device in the next: derivatives go through both."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dreamshare.autodiff import (
    Argument,
    AutodiffConfig,
    Federation,
    OracleRounds,
    Program,
    Result,
    SimulatedRounds,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Learner
from dreamshare.learning.export import ExportSettings, compile
from dreamshare.learning.onnx import OnnxLearner
from dreamshare.learning.onnx import signatures as onnx
from dreamshare.learning.torch import TorchLearner
from dreamshare.learning.torch.chaining import chained
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, SimulatedSession, SimulationOptions
from tests.autodiff.programs import BEND, FEATURES, data_of
from tests.autodiff.test_federation import B, W
from tests.unit.learning.export.programs import CURVE, QUADRATIC, curve

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

DEVICES = 3
CENTER = onnx.Argument("center", (FEATURES,), "float64")


def distance(arguments: Tensors, data: Tensors, _net: Net) -> Tensors:
    """How far a point is from a centre, times a number of the device's own."""
    apart = arguments["point"] - arguments["center"]
    return {"distance": (apart * apart).sum() * data["x"].abs().mean()}


DISTANCE = ProgramSource(
    "distance/1",
    distance,
    (onnx.Argument("point", (FEATURES,), "float64"), CENTER),
    (onnx.DataArray("x", ("N", FEATURES), "float64"),),
    onnx.TRANSFORMS,
)
SPREAD = chained("spread_of_curve/1", CURVE, DISTANCE, {"mean": "point"})
SOURCES = (CURVE, SPREAD)
TERMS = Program(
    "spread_of_curve/1",
    (*BEND.arguments, Argument("center", (FEATURES,), bound=10.0, gradient=8.0, product=8.0)),
    (Result("distance", (), bound=8.0, pushed=8.0),),
)
CONFIG = AutodiffConfig((BEND, TERMS), rounds=20)
COHORT = Cohort(least=DEVICES, most=DEVICES)


def spread(fed: Federation, w: Tensor, b: Tensor) -> Tensor:
    """Mean distance of devices' own results to the mean of all of them: two rounds."""
    total, _ = fed.sum(BEND, w, b)
    found = fed.mean(TERMS, w, b, total / DEVICES)
    assert isinstance(found, Tensor)
    return found


def plain(w: Tensor, b: Tensor) -> Tensor:
    """The same in one process."""
    xs = [torch.tensor(data_of(i)._x, dtype=torch.float64) for i in range(DEVICES)]
    points = [curve({"w": w, "b": b}, {"x": x}, lambda x: x)["mean"] for x in xs]
    center = torch.stack(points).mean(0)
    parts = [
        ((point - center) ** 2).sum() * x.abs().mean() for point, x in zip(points, xs, strict=True)
    ]
    return torch.stack(parts).mean()


def learners() -> list[Learner]:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    bundle = compile(net, (1, 2, 2), classes=2, settings=ExportSettings(1, programs=SOURCES))
    two = [TorchLearner(net, classes=2, programs=SOURCES) for _ in range(2)]
    return [*two, OnnxLearner(bundle)]


@pytest.mark.parametrize("masks", [False, True])
def test_derivatives_go_through_what_stays_on_devices(masks: bool) -> None:
    leaves = W.clone().requires_grad_(), B.clone().requires_grad_()
    value = plain(*leaves)
    expected = (value.detach(), torch.autograd.grad(value, leaves))
    datas = [data_of(i) for i in range(DEVICES)]
    if not masks:
        exact = Federation(OracleRounds(CONFIG, SOURCES, datas), CONFIG, COHORT)
        for mode in ("reverse", "forward"):
            found = exact.value_and_grad(lambda w, b: spread(exact, w, b), mode)(W, B)
            torch.testing.assert_close(found, expected)
        return
    devices = [SimulatedDevice(one, data) for one, data in zip(learners(), datas, strict=True)]
    patient = SimulationOptions(deadlines=Deadlines(60, 60, 60))
    with SimulatedSession(CONFIG, devices, cohort=COHORT, options=patient) as session:
        fed = Federation(SimulatedRounds(session), CONFIG, COHORT)
        found = fed.value_and_grad(lambda w, b: spread(fed, w, b))(W, B)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)
    assert [each.step for each in fed.ledger] == [
        "curve/2:value",
        "spread_of_curve/1:value+gradient:3",
        "curve/2:gradient:2",
    ]


WRONG = {
    "no link": ({}, DISTANCE),
    "no such argument": ({"mean": "nowhere"}, DISTANCE),
    "one argument twice": ({"mean": "point", "size": "point"}, DISTANCE),
    "another x": ({"mean": "point"}, replace(DISTANCE, data=(onnx.DataArray("x", ("N", 4)),))),
    "other parameters": ({"f": "point"}, replace(DISTANCE, parameters="float64")),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_chained_is_refused(case: str) -> None:
    links, second = WRONG[case]
    with pytest.raises(ConfigError, match="chain/1"):
        chained("chain/1", CURVE, second, links)


def test_a_result_that_is_not_there_is_named() -> None:
    made = chained("chain/1", QUADRATIC, DISTANCE, {"g": "point"})
    with pytest.raises(ConfigError, match="quadratic/1 gives no 'g'"):
        made.function(
            {"theta": torch.ones(3), "center": torch.ones(FEATURES)},
            {"A": torch.eye(3), "x": torch.ones(1, FEATURES)},
            lambda x: x,
        )
