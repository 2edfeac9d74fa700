"""What federated derivatives are good for: curvature and dreams, masks on.

Hypergradients have a file of their own (`test_hypergradients`).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.autodiff import (
    AutodiffConfig,
    Federation,
    Program,
    SimulatedRounds,
)
from dreamshare.learning.data import ArrayData
from dreamshare.learning.torch import TorchLearner
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, SimulatedSession, SimulationOptions
from tests.algorithms.oracle import Device, mean_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def over(
    programs: tuple[Program, ...], devices: Sequence[SimulatedDevice], **options: object
) -> Iterator[Federation]:
    """A federation over these devices, masks on."""
    config, cohort = AutodiffConfig(programs), Cohort(least=len(devices), most=len(devices))
    patient = SimulationOptions(deadlines=Deadlines(600, 600, 600))
    with SimulatedSession(config, devices, cohort=cohort, options=patient) as session:
        yield Federation(SimulatedRounds(session), config, cohort, **options)  # type: ignore[arg-type]


def test_the_top_eigenvalue_is_that_of_one_process() -> None:
    curvature = example("federated_curvature")
    datas = [curvature.device_data(i) for i in range(curvature.DEVICES)]
    devices = [
        SimulatedDevice(TorchLearner(nn.Flatten(), classes=2, programs=[curvature.SOURCE]), data)
        for data in datas
    ]
    theta = torch.linspace(-0.5, 0.5, curvature.FEATURES, dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        def mean(data: ArrayData) -> Tensor:
            given = {"x": torch.tensor(data._x).double(), "y": torch.tensor(data._y)}
            return curvature.logistic({"theta": at}, given, None)["loss"]

        return torch.stack([mean(data) for data in datas]).mean()

    hessian = torch.autograd.functional.hessian(loss, theta)
    values, vectors = torch.linalg.eigh(hessian)
    with over((curvature.LOSS,), devices) as fed:
        found, vector = curvature.top_eigenvalue(fed, theta)
        steps = [cost.step for cost in fed.ledger]
    gap = float(values[-2] / values[-1]) ** 24  # what twelve iterations leave of the others
    assert found == pytest.approx(float(values[-1]), abs=1e-4 + gap)
    assert abs(float(vector @ vectors[:, -1])) > 0.99
    assert len([step for step in steps if "product" in step]) == 13


def test_dreams_by_a_federated_gradient_are_codreams() -> None:
    """The gradient of the sum that CoDream's direct form asks for, on the same dreams."""
    dreaming = example("dreams_by_gradient")
    own = ArrayData(np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, np.int64))
    learners = [
        TorchLearner(dreaming.net_of(i), classes=3, programs=[dreaming.SOURCE])
        for i in range(dreaming.DEVICES)
    ]
    config = CodreamConfig(
        shape=(1, 2, 2),
        classes=3,
        dreams=6,
        objective="entropy",
        weighting="uniform",
        feature_weight=0.0,
        warm_up_epochs=0,
    )
    codream = Codream(config)
    crew = [Device(learner, own, np.random.default_rng(0)) for learner in learners]
    state = codream.init(np.random.default_rng(0))
    while getattr(planned := codream.plan(state), "step", "") != "dream":
        updates = [codream.local(planned, d.learner, d.data, d.rng) for d in crew]
        mean = mean_of(planned, updates) if isinstance(planned, Ask) else {}
        state = codream.merge(state, mean, Crowd(3, 3))
    assert isinstance(planned, Ask)
    updates = [codream.local(planned, d.learner, d.data, d.rng) for d in crew]
    expected = mean_of(planned, updates)["gradient"]
    devices = [SimulatedDevice(learner, own) for learner in learners]
    with over((dreaming.ENTROPY,), devices) as fed:
        dreams = torch.tensor(np.array(state.x_BCHW))
        found = fed.grad(lambda x: fed.mean(dreaming.ENTROPY, x))(dreams)
        before = float(fed.mean(dreaming.ENTROPY, dreams))
        after = float(fed.mean(dreaming.ENTROPY, dreaming.dream(fed, dreams, 5, 0.2)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert after < before
