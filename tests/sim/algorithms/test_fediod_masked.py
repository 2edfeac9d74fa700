"""`fediod/1` under masks: what the real machines sum is what one process computes by autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial

import numpy as np
import pytest

from dreamshare.algorithms.fediod import FedIOD
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, SimulationOptions, SimulationResult, simulate
from tests.algorithms.iod import crew, exact, fediod, gradients_by_autograd, until
from tests.algorithms.oracle import Device, run
from tests.algorithms.pixels import PIXELS, pixel_crew
from tests.unit.learning.learners import layered, pixelled

COUNTS = ((10, 6, 4), (2, 9, 1), (8, 0, 12), (0, 5, 9), (7, 7, 7))


def masked(
    config, devices: list[Device], options: SimulationOptions | None = None
) -> SimulationResult:
    everybody = [SimulatedDevice(d.learner, d.data) for d in devices]
    cohort = Cohort(len(devices), len(devices))
    return simulate(config, everybody, cohort=cohort, options=options)


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


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("divergence", ["none", "uniqueness"])
def test_masked_legs_of_models_that_label_pixels(divergence, kind):
    """The same of every pixel: 16 rows of logits an image, weighted by shares of pixels."""
    counts = ((12, 10), (20, 4), (6, 20), (0, 8), (6, 6))
    assert_step(divergence, lambda: pixel_crew(partial(pixelled, kind), counts), **PIXELS)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_a_class_that_nobody_has_is_in_no_masked_leg(kind):
    """Distillation at temperature 2; class 1 has no opinion, no cotangent and no label."""
    config = exact(
        distillation="kl",
        temperature=2.0,
        warm_up_epochs=0,
        cycles=1,
        generator_steps=1,
        labels=0,
    )
    counts = tuple((a, 0, c + 1) for a, _, c in COUNTS)
    devices = crew(partial(layered, kind), counts)
    result = masked(config, devices)
    assert result.arrays["totals"].tolist() == [27, 0, 38]
    assert not result.arrays["targets"][:, 1].any()
    start = until("answer", FedIOD(config), crew(partial(layered, kind), counts))
    wanted = gradients_by_autograd(config, start, devices)
    for name, gradient in wanted.items():
        moved = start.generator.values[name] - result.arrays[f"generator.{name}"]
        np.testing.assert_allclose(moved, gradient, rtol=5e-3, atol=5e-3, err_msg=name)


def test_no_state_of_a_masked_run_holds_a_histogram():
    """The aggregator's states, one by one as they are stored: sums are in them, no device's own."""
    seen: list[object] = []
    config = fediod(warm_up_epochs=0)
    devices = crew(counts=COUNTS)
    options = SimulationOptions(on_moment=lambda moment: seen.append(moment.state))
    masked(config, devices, options)
    rows = [
        row
        for state in seen
        for array in arrays_of(state)
        if array.shape[-1:] == (3,)
        for row in array.reshape(-1, 3)
    ]
    assert any(np.array_equal(row, np.sum(COUNTS, axis=0)) for row in rows)
    for own in COUNTS:
        shares = np.array(own) / sum(own)
        weights = np.array(own) / np.sum(COUNTS, axis=0)
        for known in (np.array(own, float), shares, weights):
            assert not any(np.allclose(row, known, atol=1e-3) for row in rows)


def arrays_of(value: object) -> list[np.ndarray]:
    """Every array inside a state, however deep."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Mapping):
        inner = list(value.values())
    elif isinstance(value, tuple):
        inner = list(value)
    elif is_dataclass(value):
        inner = [getattr(value, each.name) for each in fields(value)]
    else:
        return []
    return [array for each in inner for array in arrays_of(each)]


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
    for name in ("images", "targets", *(n for n in shown.result if n.startswith("student."))):
        assert np.abs(hidden.arrays[name] - shown.result[name]).max() < 5e-3
    np.testing.assert_array_equal(hidden.arrays["totals"], shown.result["totals"])
    assert hidden.metrics["accuracy"] == pytest.approx(shown.metrics["accuracy"], abs=0.05)
