"""`moments/1` says whether the set helped: where classes differ in mean, and where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.moments import MomentSharing, verdict
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData
from tests.algorithms.moments import moments, owned, owners
from tests.algorithms.oracle import Device, run
from tests.algorithms.toy import toy_data
from tests.unit.learning.learners import layered

TRY = {"evaluate": True, "compare": True}


def marks(count: int, seed: int) -> Batch:
    """Three marks, each light or dark at random: the class says whether evenly many are dark.

    No mean and no covariance tells the classes apart: any two marks look alike in both.
    """
    rng = np.random.default_rng(seed)
    signs_N3 = rng.choice([-1.0, 1.0], (count, 3))
    x_N4 = np.concatenate([signs_N3, np.zeros((count, 1))], axis=1)
    x_N4 = x_N4 + rng.normal(0, 0.1, x_N4.shape)
    y_N = (signs_N3.prod(axis=1) > 0).astype(np.int64)
    return Batch(x_N4.reshape(-1, 1, 2, 2).astype(np.float32), y_N)


def marked(seed: int) -> ArrayData:
    own = marks(90, seed)
    assert own.y_N is not None
    return ArrayData(own.x_NCHW, own.y_N, marks(150, seed + 50))


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_where_moments_tell_nothing_apart_the_run_says_what_to_use(kind: str) -> None:
    config = moments(
        **TRY,
        fit_steps=80,
        optimizer="adam",
        learning_rate=0.05,
        warm_up_epochs=0,
        batch=60,
        local_batch=30,
    )
    devices = [Device(layered(kind, i), marked(i), np.random.default_rng(i)) for i in range(3)]
    seen = run(MomentSharing(config), devices)
    assert seen.steps == ["alone", "count", "describe", "learn", "evaluate"]
    metrics = seen.done.metrics
    assert metrics["gain"] == metrics["accuracy"] - metrics["alone"] < config.least_gain
    for word in ("did not help", f"{metrics['alone']:.1%}", "fedavg/1", "consensus/1", "codream/1"):
        assert word in seen.done.advice
    assert metrics["alone"] > metrics["accuracy"] + 0.1 > 0.5


def test_where_they_help_it_says_nothing() -> None:
    seen = run(MomentSharing(moments(**TRY, fit_steps=40)), owners())
    assert seen.done.metrics["gain"] > 0.05
    assert seen.done.advice == ""


def test_a_device_that_tried_has_its_weights_again(learner) -> None:
    device = Device(learner(3), toy_data(1, (20, 10, 0)), np.random.default_rng(0))
    probe = toy_data(2).held_out()
    before, snapshot = device.learner.logits(probe.x_NCHW), device.learner.snapshot()
    answer = verdict.alone(moments(**TRY), device.learner, device.data, device.rng)
    assert float(answer.arrays["count"]) == 30
    np.testing.assert_array_equal(device.learner.logits(probe.x_NCHW), before)
    assert device.learner.snapshot() == snapshot


def test_without_held_out_examples_there_is_no_verdict() -> None:
    data = [
        ArrayData(each.x_NCHW, each.y_N, each.first(0))
        for each in (marks(60, seed) for seed in range(3))
        if each.y_N is not None
    ]
    done = run(MomentSharing(moments(**TRY)), owned(data)).done
    assert done.metrics["gain"] == 0.0
    assert done.advice == ""


def test_a_comparison_is_planned_and_needs_an_evaluation() -> None:
    algorithm = MomentSharing(replace(moments(**TRY), warm_up_epochs=0))
    state = algorithm.init(np.random.default_rng(0))
    assert (algorithm.plan(state).step, algorithm.plan(state).sums) == ("alone", 4)
    assert "alone" in algorithm.steps()
    with pytest.raises(ConfigError, match="compare needs evaluate"):
        moments(compare=True)
    with pytest.raises(ConfigError, match="least_gain"):
        moments(least_gain=1.0)
