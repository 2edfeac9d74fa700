"""The statistics term for nets without BatchNorm: LayerNorm and GroupNorm against own data.

What one learner finds, every learner finds: torch, CUDA, and onnxruntime by a bundle of the net.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, GivesFeatureStatistics, Learner
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx import OnnxLearner, Runtime
from dreamshare.learning.onnx.errors import BundleError
from dreamshare_edge.halting import Halt, HaltingLearner
from tests.unit.learning import learners
from tests.unit.learning.learners import KINDS, around
from tests.unit.learning.torch.tiny import CLASSES, SHAPE, images

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


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def learner_of(kind: str, seed: int = 0, runtime: Runtime | None = None) -> Learner:
    return around(kind, net(seed), SHAPE, CLASSES, runtime)


def test_statistics_are_those_of_each_channel_at_the_layers_inputs(kind):
    own = net(2)
    found = learner_of(kind, 2).feature_statistics(images(6))
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
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-4, atol=1e-5)


def test_statistics_do_not_depend_on_how_many_come_at_once(kind):
    """600 examples take two runs of onnxruntime; with a budget of memory, more."""
    found = learner_of(kind).feature_statistics(images(600))
    wanted = learner_of("torch").feature_statistics(images(600))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
    if kind == "onnx":
        entry = learners._bundle(learners.Like(net()), SHAPE, CLASSES).manifest.graphs["statistics"]
        assert entry.example_bytes > 0
        small = learner_of(kind, 0, Runtime(memory_mb=1))
        few = small.feature_statistics(images(7))
        for name, array in learner_of("torch").feature_statistics(images(7)).items():
            np.testing.assert_allclose(few[name], array, rtol=1e-4, atol=1e-5)


def test_statistics_follow_the_weights(kind):
    one, twin = learner_of(kind), learner_of("torch")
    one.feature_statistics(images(5))
    batch = Batch(images(6), np.arange(6) % CLASSES)
    for each in (one, twin):
        each.fit([(batch,)] * 3, FitObjective(optimizer="sgd", learning_rate=0.1))
    wanted = twin.feature_statistics(images(5))
    fresh = learner_of("torch").feature_statistics(images(5))
    assert np.abs(wanted["1.mean"] - fresh["1.mean"]).max() > 1e-3
    for name, array in one.feature_statistics(images(5)).items():
        np.testing.assert_allclose(array, wanted[name], rtol=1e-3, atol=1e-4)


def test_statistics_are_kept_with_the_snapshot_and_serve_another_kind(kind):
    """What a torch device remembered, an ONNX device dreams with, and the other way round."""
    one = learner_of(kind, 1)
    one.remember({f"codream.features.{n}": a for n, a in one.feature_statistics(images(9)).items()})
    x = images(4, seed=3)
    gradients = []
    for other in KINDS[::2]:
        moved = learner_of(other, 7)
        moved.restore(one.snapshot())
        found = {n.removeprefix("codream.features."): a for n, a in moved.memory().items()}
        objective = DreamObjective(labels_B=LABELS, statistics=found)
        gradients.append(moved.input_gradient(x, objective).gradient_NCHW)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_the_term_is_zero_on_the_own_data_and_its_gradient_is_autograds(kind):
    learner = learner_of(kind)
    found = learner.feature_statistics(images(4))
    same = DreamObjective(labels_B=LABELS, feature_weight=5.0, statistics=found)
    assert learner.input_gradient(images(4), same).terms["features"] < 2e-6

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
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-3, atol=2e-5)
    without = DreamObjective(labels_B=LABELS, feature_weight=0.0)
    plain = learner.input_gradient(images(4, seed=3), without)
    assert np.abs(plain.gradient_NCHW - gradient).max() > 0.1 and plain.terms.keys() == {"task"}


def test_descent_lowers_the_term(kind):
    learner = learner_of(kind)
    found = learner.feature_statistics(images(32))
    objective = DreamObjective(labels_B=LABELS, feature_weight=5.0, statistics=found)
    x = 2 * images(4, seed=3)
    first = learner.input_gradient(x, objective).terms["features"]
    for _ in range(40):
        x = x - 0.02 * learner.input_gradient(x, objective).gradient_NCHW
    assert learner.input_gradient(x, objective).terms["features"] < 0.9 * first


def test_nets_with_batchnorm_need_none_and_taking_them_changes_nothing(kind):
    learner = learners.learner(kind)
    before = learner.snapshot()
    assert learner.feature_statistics(images(4)) == {}
    assert learner.snapshot() == before
    plain = learner_of(kind)
    before = plain.snapshot()
    plain.feature_statistics(images(4))
    assert plain.snapshot() == before


def test_nets_without_any_norm_have_none(kind):
    bare = around(kind, nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)), SHAPE, CLASSES)
    assert bare.feature_statistics(images(4)) == {}
    with pytest.raises(ConfigError, match="feature_weight"):
        bare.input_gradient(images(4), DreamObjective(labels_B=LABELS))


def test_refusals(kind):
    learner = learner_of(kind)
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


def test_a_bundle_from_before_says_what_to_do():
    """Its "dream_grad" takes no statistics; dreams without the term work as they did."""
    new = learners._bundle(learners.Like(net()), SHAPE, CLASSES)
    bare = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))
    old = OnnxLearner(learners._bundle(learners.Like(bare), SHAPE, CLASSES))
    with pytest.raises(ConfigError, match="export an older bundle again"):
        old.input_gradient(images(4), DreamObjective(labels_B=LABELS))
    graphs = {n: g for n, g in new.manifest.graphs.items() if n != "statistics"}
    with pytest.raises(BundleError, match="do not agree on statistics"):
        replace(new.manifest, graphs=graphs)


def test_it_passes_through_a_halting_learner(kind):
    halting = HaltingLearner(learner_of(kind), Halt())
    assert isinstance(halting, GivesFeatureStatistics)
    assert len(halting.feature_statistics(images(4))) == 4
