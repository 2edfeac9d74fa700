"""Laws of projection: what is protected is not opposed, nothing grows, agreement is left alone."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import FitObjective, Projection
from dreamshare.learning.projection import factors
from tests.unit.learning.learners import layered

VECTORS = arrays(np.float64, 5, elements=st.floats(-10, 10).filter(lambda v: abs(v) > 1e-3))


def projected(kind: Projection, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a' and b'; their sum is the step's gradient."""
    one, other = factors(kind, a @ b, a @ a, b @ b)
    # `factors` gives the sum; what a' is follows from which of them is protected.
    opposed = a @ b < 0
    a_new = a - (a @ b / (b @ b)) * b if opposed and kind in ("protect_global", "symmetric") else a
    b_new = b - (a @ b / (a @ a)) * a if opposed and kind in ("protect_local", "symmetric") else b
    np.testing.assert_allclose(a_new + b_new, one * a + other * b, rtol=1e-9, atol=1e-9)
    return a_new, b_new


@given(VECTORS, VECTORS, st.sampled_from(get_args(Projection)))
def test_the_laws(a: np.ndarray, b: np.ndarray, kind: Projection) -> None:
    a_new, b_new = projected(kind, a, b)
    slack = 1e-9 * (1 + np.linalg.norm(a) * np.linalg.norm(b))
    assert np.linalg.norm(a_new) <= np.linalg.norm(a) + slack
    assert np.linalg.norm(b_new) <= np.linalg.norm(b) + slack
    total = a_new + b_new
    if a @ b >= 0 or kind == "none":
        np.testing.assert_array_equal(total, a + b)
    if kind in ("protect_global", "symmetric"):
        assert a_new @ b >= -slack
        assert total @ b >= -slack
    if kind in ("protect_local", "symmetric"):
        assert b_new @ a >= -slack
        assert total @ a >= -slack


@pytest.mark.parametrize("kind", get_args(Projection))
def test_gradients_that_vanish_are_no_division_by_zero(kind: Projection) -> None:
    for both, local, public in ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (-1e-320, 0.0, 0.0)):
        assert factors(kind, both, local, public) == (1.0, 1.0)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("projection", get_args(Projection))
def test_a_step_takes_the_projected_gradient_of_an_oracle(
    kind: str, projection: Projection
) -> None:
    """Opposed on purpose: one input, class 0 by local data and class 1 by the public targets."""
    x = np.random.default_rng(0).normal(size=(4, 1, 2, 2)).astype(np.float32)
    local = Batch(x, np.zeros(4, np.int64))
    targets = np.tile(np.array([0.1, 0.8, 0.1], np.float32), (4, 1))
    objective = FitObjective(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.0, projection=projection
    )
    learner = layered(kind, 3)
    before = dict(learner.parameters())
    learner.fit([(local, Batch(x, targets_NK=targets))], objective)
    step = {n: (before[n] - after) / 0.1 for n, after in learner.parameters().items()}

    leaves = {
        n: torch.tensor(a, dtype=torch.float64, requires_grad=True) for n, a in before.items()
    }
    w1, b1, w2, b2 = leaves.values()
    logits = torch.tanh(torch.tensor(x.reshape(4, 4)).double() @ w1.T + b1) @ w2.T + b2
    log_p = logits.log_softmax(1)
    mine = torch.autograd.grad(-log_p[:, 0].mean(), list(leaves.values()), retain_graph=True)
    theirs = torch.autograd.grad(
        -(torch.tensor(targets) * log_p).sum(1).mean(), list(leaves.values())
    )
    a, b = (torch.cat([g.flatten() for g in grads]).numpy() for grads in (mine, theirs))
    assert a @ b < 0
    wanted = sum(projected(projection, a, b))
    found = np.concatenate([array.ravel() for array in step.values()])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_an_unknown_projection_is_refused() -> None:
    with pytest.raises(ConfigError, match="protect_global"):
        FitObjective(projection="both")  # type: ignore[arg-type]
