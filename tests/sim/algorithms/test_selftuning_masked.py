"""`selftuning/1` under masks: its slopes are those of autograd in one process.

The oracle takes the same local differences, writes the next model as a function of the three
numbers, and lets torch differentiate the devices' held-out loss through it.

The tolerance is derived. With n devices, q bits and a bound C, a mean is off by less than
2 C / (2^q - 1) (docs/protocol.md 12.2). A slope is <g, v>: g's mean product is off by what the
slope's own field rounds, times |v|, and v by what the fields of differences round.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.selftuning import SelfTuningConfig
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.data import ArrayData
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, SimulationOptions, simulate
from tests.algorithms.oracle import Device
from tests.algorithms.oracle import run as run_exact
from tests.algorithms.toy import toy_data
from tests.unit.learning.learners import layered

PATIENT = SimulationOptions(deadlines=Deadlines(600, 600, 600))
COUNTS = ((10, 6, 4), (2, 20, 9), (8, 0, 28), (3, 3, 3))


def config_of(**changes: object) -> SelfTuningConfig:
    base = SelfTuningConfig.of_model(layered("torch", 5).parameters(), classes=3)
    small = {"rounds": 2, "fit_steps": 3, "batch": 9, "learning_rate": 0.3, "server_rate": 0.7}
    return replace(base, **{**small, "delta_bound": 2.0, "bits": 20, **changes})  # type: ignore[arg-type]


def devices_of(kind: str) -> list[SimulatedDevice]:
    return [SimulatedDevice(layered(kind, 5), toy_data(i, c)) for i, c in enumerate(COUNTS)]


def run(config: SelfTuningConfig, devices: list[SimulatedDevice]):
    everybody = Cohort(least=len(devices), most=len(devices))
    return simulate(config, devices, cohort=everybody, options=PATIENT)


class Watched:
    """Keeps what a learner's training changed, and its loss."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.differences: list[dict[str, np.ndarray]] = []
        self.losses: list[float] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._learner, name)

    def parameter_gradient(self, batch: Batch):
        return self._learner.parameter_gradient(batch)  # type: ignore[attr-defined]

    def fit(self, steps, objective) -> float:
        before = self._learner.parameters()
        loss = self._learner.fit(steps, objective)
        after = self._learner.parameters()
        self.differences.append({name: after[name] - before[name] for name in before})
        self.losses.append(loss)
        return loss


def held_out_loss(parameters: dict[str, torch.Tensor], data: ArrayData) -> torch.Tensor:
    batch = data.held_out()
    x = torch.tensor(batch.x_NCHW, dtype=torch.float64).flatten(1)
    hidden = torch.tanh(x @ parameters["1.weight"].T + parameters["1.bias"])
    logits = hidden @ parameters["3.weight"].T + parameters["3.bias"]
    return functional.cross_entropy(logits, torch.tensor(batch.y_N))


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_slopes_under_masks_are_those_of_autograd(kind: str) -> None:
    """The first round's step, weights and loss; slopes are summed by the second round."""
    config = config_of()
    devices = devices_of(kind)
    watched = [Watched(device.learner) for device in devices]
    devices = [replace(d, learner=w) for d, w in zip(devices, watched, strict=True)]
    found = run(config, devices).metrics
    start = layered(kind, 5).parameters()
    sizes = torch.tensor([float(sum(counts)) for counts in COUNTS], dtype=torch.float64)
    losses = torch.tensor([w.losses[0] for w in watched], dtype=torch.float64)
    step, power, doubt = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, 1.0, 0.0)
    )
    weights = (sizes / sizes.mean()) ** power * torch.exp(-doubt * losses)
    moved = {}
    for name, array in start.items():
        stacked = torch.tensor(np.stack([w.differences[0][name] for w in watched])).double()
        mean = torch.tensordot(weights, stacked, 1) / weights.sum()
        moved[name] = torch.tensor(array, dtype=torch.float64) + step * mean
    judged = torch.stack([held_out_loss(moved, device.data) for device in devices])
    loss = (sizes * judged).sum() / sizes.sum()
    expected = torch.autograd.grad(loss, (step, power, doubt))
    for name, slope in zip(("step", "power", "doubt"), expected, strict=True):
        assert abs(float(slope)) > 1e-4
        assert found[f"slope_{name}"] == pytest.approx(float(slope), rel=2e-2, abs=1e-4), name


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_masked_run_is_the_unmasked_one(kind: str) -> None:
    """So that figures without masks (benchmarks/selftuning.py) stand for both.

    Both clip and round as the encoding does, and all examples are in every batch: what is left of
    chance is which way numbers are rounded, 4e-6 an entry of a round's mean with bounds of 2. Three
    rounds of training on such a model multiply it; 1e-3 leaves room for a factor of 100.
    """
    config = config_of(rounds=4, batch=64, step_pace=0.2, learning_rate=0.1)
    hidden, exact = devices_of(kind), devices_of(kind)
    found = run(config, hidden).metrics
    crew = [Device(d.learner, d.data, np.random.default_rng(i)) for i, d in enumerate(exact)]
    rounding = np.random.default_rng(9)
    expected = run_exact(algorithm_of(config), crew, quantise=rounding).done.metrics
    assert found.keys() == expected.keys()
    assert abs(expected["step"] - config.server_rate) > 0.1  # it was tuned
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-3), name
    for one, other in zip(hidden, exact, strict=True):
        mine, theirs = one.learner.parameters(), other.learner.parameters()
        for name, array in theirs.items():
            np.testing.assert_allclose(mine[name], array, rtol=0, atol=1e-3, err_msg=name)
