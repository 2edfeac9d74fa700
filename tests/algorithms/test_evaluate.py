"""`evaluate/1`: sums of correct answers, losses and examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dreamshare.algorithms.base import Tell
from dreamshare.algorithms.evaluate import Evaluate, EvaluateConfig, evaluated
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData
from tests.algorithms.oracle import Device, run
from tests.algorithms.toy import SHAPE, ToyLearner, toy_data


class Constant(ToyLearner):
    """Gives every class the same logit except class 0, which gets ln 2: p = 1/2, 1/4, 1/4."""

    def logits(self, x_NCHW):
        return np.tile(np.array([math.log(2.0), 0.0, 0.0], np.float32), (len(x_NCHW), 1))


def device(labels: list[int]) -> Device:
    y = np.array(labels, np.int64)
    x = np.zeros((len(y), *SHAPE), np.float32)
    return Device(Constant(), ArrayData(x[:1], y[:1], Batch(x, y)), np.random.default_rng(0))


def test_sums_over_devices_of_different_sizes():
    """Held out: (0, 0, 1) and (2): 2 of 4 right; loss (2 ln 2 + ln 4 + ln 4) / 4 = 1.5 ln 2."""
    seen = run(Evaluate(EvaluateConfig()), [device([0, 0, 1]), device([2])])
    assert seen.steps == ["evaluate"]
    assert seen.done.metrics["accuracy"] == pytest.approx(0.5)
    assert seen.done.metrics["loss"] == pytest.approx(1.5 * math.log(2.0), rel=1e-5)


def test_rounding_leaves_counts_nearly_exact():
    crew = [device([0, 0, 1] * 40), device([2] * 60), device([1] * 20)]
    seen = run(Evaluate(EvaluateConfig(1_000)), crew, quantise=np.random.default_rng(0))
    assert seen.done.metrics["accuracy"] == pytest.approx(80 / 200, abs=1e-4)


def test_devices_without_held_out_data():
    data = toy_data(0, held_out=0)
    seen = run(Evaluate(EvaluateConfig()), [Device(Constant(), data, np.random.default_rng(0))] * 2)
    assert seen.done.metrics == {"accuracy": 0.0, "loss": 0.0}
    assert evaluated(
        {"count": np.array(1e-4), "correct": np.array(0.3), "loss": np.array(1.0)}
    ) == (
        0.0,
        0.0,
    )


def test_only_the_first_examples_count():
    seen = run(Evaluate(EvaluateConfig(max_examples=2)), [device([0, 0, 1, 1, 1])] * 3)
    assert seen.done.metrics["accuracy"] == pytest.approx(1.0)


def test_refusals():
    algorithm = Evaluate(EvaluateConfig())
    with pytest.raises(ConfigError, match="no step 'train'"):
        algorithm.local(Tell("train", {}), Constant(), toy_data(0), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="max_examples"):
        EvaluateConfig(0)
