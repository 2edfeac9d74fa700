"""The statistics term for nets without BatchNorm: LayerNorm and GroupNorm against own data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.errors import ConfigError
from dreamshare.learning.base import GivesFeatureStatistics
from dreamshare.learning.objectives import DreamObjective
from dreamshare.learning.torch import TorchLearner
from dreamshare_edge.halting import Halt, HaltingLearner
from tests.unit.learning.torch.tiny import CLASSES, images, tiny_learner

LABELS = np.array([0, 2, 1, 2])


class Last(nn.Module):
    """(N, C, H, W) to (N, H * W, C): tokens, as transformers have them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).transpose(1, 2)


def net(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.GroupNorm(2, 4),
            nn.Tanh(),
            Last(),
            nn.LayerNorm(4),
            nn.Linear(4, 2),
            nn.Flatten(),
            nn.Linear(32, CLASSES),
        )


def test_statistics_are_those_of_each_channel_at_the_layers_inputs():
    own = net()
    found = TorchLearner(own, classes=CLASSES).feature_statistics(images(6))
    with torch.no_grad():
        first = own[0](torch.tensor(images(6)))
        tokens = own[3](own[2](own[1](first)))
    wanted = {
        "0.mean": first.mean(dim=(0, 2, 3)),
        "0.var": first.var(dim=(0, 2, 3), unbiased=False),
        "1.mean": tokens.mean(dim=(0, 1)),
        "1.var": tokens.var(dim=(0, 1), unbiased=False),
    }
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-5, atol=1e-6)


def test_the_term_is_zero_on_the_own_data_and_its_gradient_is_autograds():
    learner = TorchLearner(net(), classes=CLASSES)
    found = learner.feature_statistics(images(4))
    same = DreamObjective(labels_B=LABELS, feature_weight=5.0, statistics=found)
    assert learner.input_gradient(images(4), same).terms["features"] < 1e-6

    x = torch.tensor(images(4, seed=3), requires_grad=True)
    own, h, distances = net(), x, []
    for layer in own:
        if isinstance(layer, nn.GroupNorm | nn.LayerNorm):
            axes = (0, 2, 3) if isinstance(layer, nn.GroupNorm) else (0, 1)
            var, mean = torch.var_mean(h, dim=axes, unbiased=False)
            known = [torch.tensor(found[f"{len(distances)}.{kind}"]) for kind in ("mean", "var")]
            rms = [(a - b).square().mean().sqrt() for a, b in zip((mean, var), known, strict=True)]
            distances.append(rms[0] + rms[1])
        h = layer(h)
    features = sum(distances) / 2
    task = nn.functional.cross_entropy(h, torch.tensor(LABELS), reduction="sum")
    (task + 4 * 5.0 * features).backward()
    gradient = learner.input_gradient(images(4, seed=3), same).gradient_NCHW
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_descent_lowers_the_term():
    learner = TorchLearner(net(), classes=CLASSES)
    found = learner.feature_statistics(images(32))
    objective = DreamObjective(labels_B=LABELS, feature_weight=5.0, statistics=found)
    x = 2 * images(4, seed=3)
    first = learner.input_gradient(x, objective).terms["features"]
    for _ in range(40):
        x = x - 0.02 * learner.input_gradient(x, objective).gradient_NCHW
    assert learner.input_gradient(x, objective).terms["features"] < 0.9 * first


def test_nets_with_batchnorm_need_none_and_taking_them_changes_nothing():
    learner = tiny_learner()
    before = learner.snapshot()
    assert learner.feature_statistics(images(4)) == {}
    assert learner.snapshot() == before
    plain = TorchLearner(net(), classes=CLASSES)
    before = plain.snapshot()
    plain.feature_statistics(images(4))
    assert plain.snapshot() == before


def test_refusals():
    learner = TorchLearner(net(), classes=CLASSES)
    with pytest.raises(ConfigError, match="feature_statistics"):
        learner.input_gradient(images(4), DreamObjective(labels_B=LABELS))
    found = dict(learner.feature_statistics(images(4)))
    for wrong in (
        {"0.mean": found["0.mean"]},
        found | {"0.mean": np.zeros(3, np.float32)},
        found | {"2.mean": np.zeros(3, np.float32)},
    ):
        with pytest.raises(ConfigError, match="another net"):
            learner.input_gradient(images(4), DreamObjective(labels_B=LABELS, statistics=wrong))


def test_it_passes_through_a_halting_learner():
    halting = HaltingLearner(TorchLearner(net(), classes=CLASSES), Halt())
    assert isinstance(halting, GivesFeatureStatistics)
    assert len(halting.feature_statistics(images(4))) == 4
