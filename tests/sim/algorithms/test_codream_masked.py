"""`codream/1` under masks: what the real machines sum is what one process computes by autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dreamshare.algorithms.codream.student import first_student, net_of, taught
from dreamshare.payloads.dreams import Replay, prior_gradient, starting_dreams
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, SimulationResult, simulate
from tests.algorithms.test_codream_forms import (
    CLASSES,
    EXACT,
    REPTILE,
    generated_by_autograd,
    teachers_loss,
)
from tests.algorithms.toy import toy_data
from tests.unit.learning.learners import learner
from tests.unit.learning.test_plain import in_torch

FROZEN = replace(
    EXACT,
    cycles=2,
    dream_steps=1,
    warm_up_epochs=0,
    fit_steps=0,
    evaluate="never",
    gradient_bits=20,
    first_gradient_bound=16.0,
    student_steps=5,
)
"""Nets stay as they are, so that the oracle has the same ones in both cycles."""

LABELS = np.arange(FROZEN.dreams) % CLASSES


def masked(config, kind: str = "torch") -> SimulationResult:
    """Six devices with the weights of three, so that the mean is that of the oracle's three."""
    devices = [
        SimulatedDevice(learner(kind, i), toy_data(i, (4, 4, 4))) for i in (0, 1, 2, 0, 1, 2)
    ]
    return simulate(config, devices, cohort=Cohort(6, 6))


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
@pytest.mark.parametrize("kind", ["none", "jsd", "masked_kl", "server_entropy"])
def test_masked_sums_give_the_gradient_of_the_mean_loss(kind, runtime):
    config = replace(FROZEN, adversarial=kind, student="none" if kind == "none" else "small")
    result = masked(config, runtime)
    dreams, targets = result.arrays["dreams"], result.arrays["targets"]
    half = len(dreams) // 2
    student = first_student(config)
    for cycle, found in enumerate((dreams[:half], dreams[half:])):
        start = starting_dreams(config.seed, cycle, config.dreams, config.shape, config.spread)
        x = torch.tensor(start, requires_grad=True)
        students = None
        if cycle == 1 and kind != "none":
            weights = {n: torch.tensor(a) for n, a in student.values.items()}
            students = in_torch(net_of(config), weights, x)
        loss = teachers_loss(x, LABELS, students, kind, config.adversarial_weight)
        (gradient,) = torch.autograd.grad(loss, x)
        wanted = start - gradient.numpy() - prior_gradient(start, config.smoothness, config.norm)
        np.testing.assert_allclose(found, wanted, atol=5e-3)
        # the student is public: whoever has the dreams computes it
        student = taught(config, student, Replay(dreams[:half], targets[:half]), 0)


def test_a_masked_generator_is_the_oracles():
    """Two cycles with a step of Reptile between them; Adam makes steps of what rounding leaves of a
    gradient near 0, so that a few pixels may differ."""
    config = replace(REPTILE, gradient_bits=20, first_gradient_bound=16.0)
    apart = np.abs(masked(config).arrays["dreams"] - generated_by_autograd(config))
    assert np.median(apart) < 1e-3
    assert apart.max() < 0.05


def test_eight_bits_save_more_than_half_down_and_a_third_up():
    """Traffic of a device as the aggregator counts it, the protocol's own messages included."""
    wide = replace(FROZEN, student="none", dreams=300, replay=600, dream_steps=4, gradient_bits=16)
    narrow = replace(wide, dream_bits=8, gradient_bits=8, low=-2.0, high=2.0)
    before, after = (masked(c).statuses[0] for c in (replace(wide, low=-2.0, high=2.0), narrow))
    assert after.bytes_down < 0.45 * before.bytes_down
    assert after.bytes_up < 0.7 * before.bytes_up
