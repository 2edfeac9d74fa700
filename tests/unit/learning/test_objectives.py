"""Objectives are data that refuse what makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import DreamObjective, FitObjective


def test_a_balanced_objective_holds_the_smoothed_shares():
    """Counts (3, 1, 0) and 0.5 each: 3.5, 1.5, 0.5 of 5.5."""
    objective = FitObjective().balanced(np.array([3, 1, 0]))
    assert objective.class_prior == pytest.approx((3.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5))
    assert FitObjective().class_prior is None


def test_balancing_needs_every_class_positive():
    with pytest.raises(ConfigError, match="every class"):
        FitObjective().balanced(np.array([3, 0]), smoothing=0.0)


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "lion"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
        {"distillation_weight": float("inf")},
        {"temperature": 0.0},
        {"class_prior": (0.5, 0.4)},
        {"class_prior": (1.0, 0.0)},
        {"distillation_norm": "group"},
    ],
)
def test_wrong_fit_objectives(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        FitObjective(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"labels_B": np.array([0, -1])},
        {"labels_B": np.array([[0, 1]])},
        {"weights_B": np.array([1.0, -0.5], np.float32)},
        {"weights_B": np.array([1.0, np.nan], np.float32)},
        {"weights_B": np.float32(1.0) * np.ones((1, 1), np.float32)},
        {"feature_weight": -1.0},
        {"diversity": float("nan")},
        {"adversarial": "gan"},
        {"student_BK": np.ones((2, 3), np.float32)},
        {"student_BK": None, "adversarial": "jsd"},
        {"cotangent_BK": np.ones(3, np.float32)},
        {"cotangent_BK": np.full((1, 3), np.inf, np.float32)},
        {"adversarial_weight": -1.0},
    ],
)
def test_wrong_dream_objectives(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        DreamObjective(**values)


def test_a_rate_falls_along_half_a_cosine_and_stays_above_nothing() -> None:
    falling = FitObjective(learning_rate=0.2, decay_steps=10)
    rates = [falling.rate_at(step) for step in range(12)]
    assert rates[0] == 0.2
    assert rates[5] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert rates[9] == rates[10] == rates[11] > 0
    assert FitObjective(learning_rate=0.2).rate_at(7) == 0.2
    with pytest.raises(ConfigError, match="decay_steps"):
        FitObjective(decay_steps=-1)
