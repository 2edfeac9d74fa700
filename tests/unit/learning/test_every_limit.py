"""Limits and identities of objectives, for every learner: zeros, descent, temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import DreamObjective
from tests.unit.learning.learners import KINDS, around, learner
from tests.unit.learning.test_every_learner import PLAIN, local, state_of
from tests.unit.learning.torch.tiny import CLASSES, SHAPE, images, tiny_net

pytestmark = pytest.mark.parametrize("kind", KINDS)


def test_descent_lowers_entropy_and_features(kind: str) -> None:
    """The paper's objective: a dream becomes something that the net is confident about."""
    one = learner(kind)
    objective = DreamObjective(feature_weight=0.1)
    x = 2 * images(4)
    first = one.input_gradient(x, objective)
    for _ in range(80):
        x = x - 0.3 * one.input_gradient(x, objective).gradient_NCHW
    last = one.input_gradient(x, objective)
    assert last.terms["task"] < 0.9 * first.terms["task"]
    assert last.terms["features"] < 0.9 * first.terms["features"]


def test_the_statistics_term_is_zero_where_statistics_agree(kind: str) -> None:
    """Running statistics set to the batch's own at both layers' inputs: R_bn = 0, its gradient
    finite. Where it is 0 but for rounding, d RMS is a unit vector: the weight bounds what is left.
    """
    net, x = tiny_net(2), torch.tensor(images(5))
    h = x
    for layer in net.eval():
        if isinstance(layer, nn.BatchNorm2d):
            with torch.no_grad():
                layer.running_mean.copy_(h.mean(dim=(0, 2, 3)))
                layer.running_var.copy_(h.var(dim=(0, 2, 3), unbiased=False))
        h = layer(h)
    one = around(kind, net, SHAPE, CLASSES)
    found = one.input_gradient(images(5), DreamObjective(feature_weight=1.0))
    assert found.terms["features"] < 1e-5
    assert np.isfinite(found.gradient_NCHW).all()
    moved = one.input_gradient(images(5) + 1, DreamObjective(feature_weight=1.0))
    assert moved.terms["features"] > 0.05


def test_the_square_of_the_temperature_keeps_gradients_comparable(kind: str) -> None:
    """A step on T^2 KL at T = 20 and at T = 40 is nearly the same one, (z - v) / K by the logits
    (Hinton et al. 2015, eq. 4); without T^2 it would be four times smaller."""
    steps = {}
    for hot in (20.0, 40.0):
        one = learner(kind)
        z = np.array([[1.0, 0.0, -1.0]] * 4) / hot
        soft = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).astype(np.float32)
        objective = replace(
            PLAIN,
            temperature=hot,
            distillation_weight=1e3,
            distillation_norm="running",
            learning_rate=1e-4,
        )
        before = state_of(one)["8.weight"]
        one.fit([(local(), Batch(images(4, 1), targets_NK=soft))], objective)
        steps[hot] = state_of(one)["8.weight"] - before
    largest = np.abs(steps[40.0]).max()
    assert largest > 1e-3
    np.testing.assert_allclose(steps[20.0], steps[40.0], atol=0.1 * largest)
