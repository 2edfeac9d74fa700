"""The sample learner: it learns, its gradient is that of its loss, its snapshot is all of it."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare_edge.equipment import load_equipment
from dreamshare_edge.sample import FACTORY, SampleLearner


def trained(steps: int = 60) -> tuple[SampleLearner, float, float]:
    """Return a learner after some steps, with its accuracy before and after."""
    equipment = load_equipment(FACTORY, {"seed": 3})
    learner = equipment.learner
    assert isinstance(learner, SampleLearner)
    before = equipment.accuracy()
    batches = equipment.data.batches(np.random.default_rng(1), 20)
    learner.fit(((next(batches),) for _ in range(steps)), FitObjective(learning_rate=0.1))
    after = equipment.accuracy()
    assert before is not None
    assert after is not None
    return learner, before, after


def test_it_learns() -> None:
    _, before, after = trained()
    assert before <= 0.3 < 0.5 < after


@pytest.mark.parametrize(
    "objective", [FitObjective(proximal=0.1), FitObjective(projection="symmetric")]
)
def test_what_it_does_not_know_it_refuses(objective: FitObjective) -> None:
    with pytest.raises(ConfigError, match="neither a proximal term nor a projection"):
        SampleLearner().fit([], objective)


def test_soft_labels_move_it_too() -> None:
    learner = SampleLearner()
    x = np.ones((4, 1, 8, 8), np.float32)
    local, dreams = (
        Batch(x, np.zeros(4, np.int64)),
        Batch(x, None, np.eye(10, dtype=np.float32)[:4]),
    )
    loss = learner.fit([(local, dreams)], FitObjective(learning_rate=0.1))
    assert loss == pytest.approx(2 * np.log(10), rel=1e-4)  # all logits are equal at first
    with pytest.raises(ConfigError, match="without labels"):
        learner.fit([(Batch(x),)], FitObjective())


def test_its_gradient_is_that_of_its_loss() -> None:
    """Against central differences of the weighted sum of losses, step 1e-2."""
    learner, *_ = trained()
    x = np.random.default_rng(2).normal(0, 1, (2, 1, 8, 8)).astype(np.float32)
    labels, weights = np.array([3, 7]), np.array([1.0, 0.5], np.float32)
    objective = DreamObjective(labels, weights, feature_weight=0.0)

    def loss(moved: np.ndarray) -> float:
        logits = learner.logits(moved.astype(np.float32)).astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return float(-(weights * logs[[0, 1], labels]).sum())

    gradient = learner.input_gradient(x, objective).gradient_NCHW
    for place in ((0, 0, 0, 0), (1, 0, 4, 5), (0, 0, 7, 2)):
        step = np.zeros_like(x)
        step[place] = 1e-2
        numeric = (loss(x + step) - loss(x - step)) / 2e-2
        assert gradient[place] == pytest.approx(numeric, abs=2e-3)


def test_a_snapshot_is_all_of_it() -> None:
    learner, *_ = trained()
    learner.remember({"dreams": np.ones((2, 3), np.float32)})
    again = SampleLearner()
    again.restore(learner.snapshot())
    for name, array in learner.parameters().items():
        assert np.array_equal(again.parameters()[name], array)
    assert np.array_equal(again.memory()["dreams"], np.ones((2, 3), np.float32))


def test_what_it_does_not_do_is_said() -> None:
    learner = SampleLearner()
    x = np.zeros((1, 1, 8, 8), np.float32)
    with pytest.raises(ConfigError, match="feature_weight 0"):
        learner.input_gradient(x, DreamObjective(np.array([1]), feature_weight=1.0))
    with pytest.raises(ConfigError, match="shape"):
        learner.logits(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(ConfigError, match="do not fit"):
        learner.load_parameters({"weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(ConfigError, match="0 or more"):
        load_equipment(FACTORY, {"seed": -1})
