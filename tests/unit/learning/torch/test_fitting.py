"""Training: balanced softmax, distillation, frozen statistics, optimiser state, snapshots."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.torch import TorchLearner
from dreamshare.learning.torch.fitting import distillation
from tests.unit.learning.torch.tiny import CLASSES, images, tiny_learner, tiny_net

PLAIN = FitObjective(optimizer="sgd", learning_rate=0.1, weight_decay=0.0)


class Logits(nn.Module):
    """Ignores its input; the logits are the parameters, so a step can be done on paper."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.tensor(values))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.z.expand(len(x), -1)


def local(count: int = 4, seed: int = 0) -> Batch:
    return Batch(images(count, seed), np.arange(count) % CLASSES)


def dreams(count: int = 4, seed: int = 1) -> Batch:
    targets = np.random.default_rng(seed).dirichlet(np.ones(CLASSES), count)
    return Batch(images(count, seed), targets_NK=targets.astype(np.float32))


def test_balanced_softmax_by_hand():
    """Logits 0, 0; prior 3/4, 1/4. With the prior's log the softmax is the prior itself, so for a
    label 1 the loss is ln 4 and the step is -rate * (3/4, 1/4 - 1)."""
    learner = TorchLearner(Logits([0.0, 0.0]), classes=2)
    objective = FitObjective(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.0, class_prior=(0.75, 0.25)
    )
    batch = Batch(images(2), np.array([1, 1]))
    assert learner.fit([(batch,)], objective) == pytest.approx(math.log(4.0), rel=1e-6)
    np.testing.assert_allclose(learner.logits(images(1))[0], [-0.075, 0.075], rtol=1e-5)


def test_balanced_softmax_is_fair_at_its_optimum():
    """Labels in the prior's proportion and inputs that say nothing: the best unbalanced logits
    favour the frequent class, the best balanced ones favour none."""
    batch = Batch(images(4), np.array([0, 0, 0, 1]))
    balanced = FitObjective(
        optimizer="sgd", learning_rate=0.5, weight_decay=0.0, class_prior=(0.75, 0.25)
    )
    for objective, gap in ((balanced, 0.0), (PLAIN, math.log(3.0))):
        learner = TorchLearner(Logits([0.3, -0.3]), classes=2)
        learner.fit([(batch,)] * 400, objective)
        z = learner.logits(images(1))[0]
        assert z[0] - z[1] == pytest.approx(gap, abs=1e-3)


def test_the_prior_touches_local_batches_only():
    """Distilling a model into its own posteriors changes nothing, with or without a prior."""
    learner = TorchLearner(Logits([0.2, -0.2]), classes=2)
    own = torch.tensor([[0.2, -0.2]]).softmax(dim=1).numpy()
    step = (Batch(images(1), np.array([1])), Batch(images(1), targets_NK=own))
    base = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
    prior = (0.75, 0.25)
    learner.fit([step], FitObjective(**base, class_prior=prior, distillation_weight=5.0))
    with_dreams = learner.logits(images(1))
    learner = TorchLearner(Logits([0.2, -0.2]), classes=2)
    learner.fit([step[:1]], FitObjective(**base, class_prior=prior))
    np.testing.assert_allclose(with_dreams, learner.logits(images(1)), rtol=1e-5)


def test_distillation_by_hand():
    """Student (1/2, 1/2), target (1, 0): KL = ln 2; T = 1."""
    student, target = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    assert float(distillation(student, target, 1.0)) == pytest.approx(math.log(2.0))
    assert float(distillation(student, torch.tensor([[0.5, 0.5]]), 3.0)) == pytest.approx(0.0)


def test_temperature_squared_keeps_gradients_comparable():
    """For T -> infinity, d(T^2 KL)/dz -> (z - v) / K with centred logits z, v (Hinton et al. 2015,
    eq. 4). So the gradients at T = 20 and T = 40 agree, where without T^2 they differ fourfold."""
    teacher, start = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.5, -1.0, 0.5]])
    gradients = []
    for temperature in (20.0, 40.0):
        student = start.clone().requires_grad_(True)
        targets = (teacher / temperature).softmax(dim=1)
        distillation(student, targets, temperature).backward()
        gradients.append(student.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0.05, atol=1e-3)
    torch.testing.assert_close(gradients[1], (start - teacher) / 3, rtol=0.05, atol=5e-3)


def test_local_batches_use_batch_statistics_again_after_dreams():
    learner = tiny_learner()
    net = learner._net
    learner.fit([(local(), dreams())], FitObjective())
    assert [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)] == [0.1, 0.1]
    assert [int(m.num_batches_tracked) for m in net.modules() if isinstance(m, nn.BatchNorm2d)] == [
        1,
        1,
    ]
    assert not net.training


def test_dreams_pull_the_student_towards_their_labels():
    learner, batch = tiny_learner(), dreams(8)

    def distance() -> float:
        p = torch.tensor(learner.logits(batch.x_NCHW)).log_softmax(dim=1)
        return float(nn.functional.kl_div(p, torch.tensor(batch.targets_NK), reduction="batchmean"))

    before = distance()
    objective = FitObjective(distillation_weight=5.0, distillation_norm="running")
    learner.fit([(local(), batch)] * 60, objective)
    assert distance() < before / 2


def test_wrong_learners():
    with pytest.raises(ConfigError, match="classes"):
        TorchLearner(tiny_net(0), classes=1)
    with pytest.raises(ConfigError, match="device"):
        TorchLearner(tiny_net(0), classes=3, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            TorchLearner(tiny_net(0), classes=3, device="cuda")


def test_channels_last_changes_no_result():
    plain = TorchLearner(tiny_net(0), classes=3, channels_last=False)
    last = TorchLearner(tiny_net(0), classes=3, channels_last=True)
    x = images(4)
    np.testing.assert_allclose(plain.logits(x), last.logits(x), rtol=1e-4, atol=1e-5)
