"""The gradient of a loss by the parameters: that of plain autograd, on every kind of learner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.measures import parameter_gradient
from tests.unit.learning.learners import KINDS, learner
from tests.unit.learning.torch.tiny import CLASSES, SHAPE, tiny_net

COUNT = 7


def batch() -> Batch:
    rng = np.random.default_rng(4)
    x_NCHW = rng.normal(0, 1, (COUNT, *SHAPE)).astype(np.float32)
    return Batch(x_NCHW, rng.integers(0, CLASSES, COUNT))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_autograds_in_evaluation_mode_and_changes_nothing(kind: str) -> None:
    made, examples = learner(kind), batch()
    before = made.snapshot()
    found = parameter_gradient(made, examples)
    assert made.snapshot() == before
    net = tiny_net(0).eval()
    loss = functional.cross_entropy(net(torch.tensor(examples.x_NCHW)), torch.tensor(examples.y_N))
    loss.backward()
    assert found.loss == pytest.approx(loss.item(), rel=1e-5)
    named = dict(net.named_parameters())
    assert set(found.arrays) == set(named)
    for name, array in found.arrays.items():
        assert named[name].grad is not None
        np.testing.assert_allclose(array, named[name].grad.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_examples_it_is_zero_and_without_labels_an_error(kind: str) -> None:
    made = learner(kind)
    found = parameter_gradient(made, batch().first(0))
    assert found.loss == 0 and not any(array.any() for array in found.arrays.values())
    with pytest.raises(ConfigError, match="y_N"):
        parameter_gradient(made, replace(batch(), y_N=None))


def test_a_learner_without_it_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="selftuning/1 needs"):
        parameter_gradient(object(), batch())
