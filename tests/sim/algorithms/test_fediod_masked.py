"""`fediod/1` under masks: what the real machines sum is what one process computes by autograd."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from dreamshare.algorithms.fediod import FedIOD
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, SimulationResult, simulate
from tests.algorithms.iod import crew, exact, fediod, gradients_by_autograd, until
from tests.algorithms.oracle import Device, run
from tests.algorithms.pixels import PIXELS, pixel_crew
from tests.unit.learning.learners import layered, pixelled

COUNTS = ((10, 6, 4), (2, 9, 1), (8, 0, 12), (0, 5, 9), (7, 7, 7))


def masked(config, devices: list[Device]) -> SimulationResult:
    everybody = [SimulatedDevice(d.learner, d.data) for d in devices]
    return simulate(config, everybody, cohort=Cohort(len(devices), len(devices)))


def assert_step(divergence: str, make: Callable[[], list[Device]], **changes) -> None:
    """One step of plain descent: the generator that comes out, by the discriminators that did."""
    config = exact(
        divergence=divergence,
        divergence_weight=2.0,
        warm_up_epochs=0,
        cycles=1,
        generator_steps=1,
        labels=0,
        **changes,
    )
    devices = make()
    result = masked(config, devices)
    start = until("answer", FedIOD(config), make())
    wanted = gradients_by_autograd(config, start, devices)  # with the discriminators of the run
    for name, gradient in wanted.items():
        moved = start.generator.values[name] - result.arrays[f"generator.{name}"]
        np.testing.assert_allclose(moved, gradient, rtol=5e-3, atol=5e-3, err_msg=name)
    assert max(np.abs(g).max() for g in wanted.values()) > 0.1


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("divergence", ["none", "code", "uniqueness"])
def test_masked_legs_give_the_gradient_of_one_process(divergence, kind):
    assert_step(divergence, lambda: crew(partial(layered, kind), COUNTS))


@pytest.mark.parametrize("kind", ["torch"])
@pytest.mark.parametrize("divergence", ["none", "uniqueness"])
def test_masked_legs_of_models_that_label_pixels(divergence, kind):
    """The same of every pixel: 16 rows of logits an image, weighted by shares of pixels."""
    counts = ((12, 10), (20, 4), (6, 20), (0, 8), (6, 6))
    assert_step(divergence, lambda: pixel_crew(partial(pixelled, kind), counts), **PIXELS)


def test_a_masked_run_is_the_exact_one():
    """Two cycles with both legs, labels and the student's steps; no discriminators' chance."""
    config = fediod(
        real_weight=0.0,
        warm_up_epochs=0,
        generator_optimizer="sgd",
        generator_rate=0.01,
        divergence="code",
        first_gradient_bound=64.0,
        evaluate="end",
    )
    shown = run(FedIOD(config), crew(counts=COUNTS)).done
    hidden = masked(config, crew(counts=COUNTS))
    for name in ("images", "targets"):
        assert np.abs(hidden.arrays[name] - shown.result[name]).max() < 5e-3
    np.testing.assert_array_equal(hidden.arrays["totals"], shown.result["totals"])
    assert hidden.metrics["accuracy"] == pytest.approx(shown.metrics["accuracy"], abs=0.05)
