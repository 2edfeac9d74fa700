"""Gradients of dream objectives, and that a teacher is the same before and after."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import DreamObjective
from dreamshare.learning.torch import TorchLearner
from dreamshare.learning.torch.dreaming import evaluate_objective
from dreamshare.learning.torch.features import batch_norms
from tests.unit.learning.torch.tiny import CLASSES, images, tiny_net

LABELS = np.array([0, 2, 1, 2])


def test_the_summed_gradient_is_that_of_the_mean_loss_over_teachers():
    """(1/K) sum_k d l_k / d x == d ((1/K) sum_k l_k) / d x, the latter by one autograd call."""
    nets = [tiny_net(seed) for seed in range(3)]
    objective = DreamObjective(labels_B=LABELS, feature_weight=2.0)
    x = images(4)
    parts = [TorchLearner(copy.deepcopy(n), classes=CLASSES) for n in nets]
    mean = np.mean([p.input_gradient(x, objective).gradient_NCHW for p in parts], axis=0)

    z = torch.tensor(x, requires_grad=True)
    losses = []
    for net in nets:
        h, terms = z, []
        for layer in net.eval():
            if isinstance(layer, nn.BatchNorm2d):
                centre = h.mean(dim=(0, 2, 3))
                spread = ((h - centre[:, None, None]) ** 2).mean(dim=(0, 2, 3))
                rms = [
                    (((a - b) ** 2).mean()).sqrt()
                    for a, b in ((centre, layer.running_mean), (spread, layer.running_var))
                ]
                terms.append(rms[0] + rms[1])
            h = layer(h)
        task = functional.cross_entropy(h, torch.tensor(LABELS), reduction="sum")
        losses.append(task + 4 * 2.0 * (terms[0] + terms[1]) / 2)
    (sum(losses) / 3).backward()
    np.testing.assert_allclose(mean, z.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        DreamObjective(labels_B=LABELS, feature_weight=0.0),
        DreamObjective(labels_B=LABELS, feature_weight=3.0),
        DreamObjective(labels_B=LABELS, weights_B=np.array([0.5, 0, 1, 2], np.float32)),
        DreamObjective(feature_weight=0.0),
        DreamObjective(feature_weight=1.0, diversity=2.0),
    ],
    ids=["labels", "features", "weights", "entropy", "diversity"],
)
def test_the_gradient_is_the_difference_quotient(objective):
    net = tiny_net(1).double()
    x = torch.tensor(images(4).astype(np.float64))
    gradient = evaluate_objective(net, x, objective).gradient

    def value(z: torch.Tensor) -> float:
        evaluated = evaluate_objective(net, z, objective)
        logits, count = evaluated.logits, len(z)
        if objective.labels_B is None:
            p = logits.softmax(dim=1)
            task = -(p * p.log()).sum(dim=1)
        else:
            task = functional.cross_entropy(logits, torch.tensor(LABELS), reduction="none")
        weights = objective.weights_B
        total = task if weights is None else task * torch.tensor(weights)
        other = objective.feature_weight * evaluated.terms.get("features", 0.0)
        other -= objective.diversity * evaluated.terms.get("diversity", 0.0)
        return float(total.sum()) + count * other

    for index in ((0, 0, 0, 0), (1, 0, 3, 2), (3, 0, 2, 1)):
        step = torch.zeros_like(x)
        step[index] = 1e-5
        quotient = (value(x + step) - value(x - step)) / 2e-5
        assert float(gradient[index]) == pytest.approx(quotient, rel=1e-4, abs=1e-7)


def test_the_statistics_term_is_zero_where_statistics_agree():
    """Running statistics set to the batch's own: R_bn = 0, and its gradient is 0 and finite."""
    net = tiny_net(2)
    x = torch.tensor(images(5))
    for layer in batch_norms(net):
        seen: list[torch.Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, inputs, s=seen: s.append(inputs[0]))
        with torch.no_grad():
            net.eval()(x)
            hook.remove()
            layer.running_mean.copy_(seen[0].mean(dim=(0, 2, 3)))
            layer.running_var.copy_(seen[0].var(dim=(0, 2, 3), unbiased=False))
    with_term = DreamObjective(labels_B=np.zeros(5, int), feature_weight=10.0)
    without = DreamObjective(labels_B=np.zeros(5, int), feature_weight=0.0)
    evaluated = evaluate_objective(net, x, with_term)
    assert evaluated.terms["features"] < 1e-5
    assert torch.isfinite(evaluated.gradient).all()

    class Exact(nn.Module):
        """A single layer whose input is x itself: batch statistics (2, 0), exactly."""

        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.norm.running_mean.fill_(2.0)
            self.norm.running_var.fill_(0.0)
            self.head = nn.Linear(16, 2)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(z).flatten(1))

    exact, twos = Exact(), torch.full((3, 1, 4, 4), 2.0)
    labels = np.zeros(3, int)
    some = evaluate_objective(exact, twos, DreamObjective(labels_B=labels, feature_weight=5.0))
    none = evaluate_objective(exact, twos, DreamObjective(labels_B=labels, feature_weight=0.0))
    assert some.terms["features"] == 0.0
    torch.testing.assert_close(some.gradient, none.gradient)
    assert evaluate_objective(net, x, without).terms.keys() == {"task"}


def test_a_teacher_is_bit_identical_before_and_after():
    net = tiny_net(3)
    net.train()
    net[1].eval()
    net[3].weight.requires_grad_(False)
    learner = TorchLearner(net, classes=CLASSES)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    modes = [m.training for m in net.modules()]
    for objective in (DreamObjective(labels_B=LABELS), DreamObjective(diversity=1.0)):
        learner.input_gradient(images(4), objective)
    learner.logits(images(4))
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert [m.training for m in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.parameters()].count(False) == 1
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_a_failed_evaluation_leaves_no_trace_either():
    net = tiny_net(3)
    learner = TorchLearner(net, classes=CLASSES)
    net.train()
    with pytest.raises(ConfigError, match="labels_B"):
        learner.input_gradient(images(4), DreamObjective(labels_B=np.array([0, 1])))
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert not any(m._forward_pre_hooks for m in net.modules())
