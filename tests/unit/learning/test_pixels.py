"""What a learner that labels pixels promises, whatever computes: torch, CUDA, onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.export import ExportError, ExportSettings, compile
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare_cli.bench import nets
from tests.unit.learning.learners import KINDS, pixelled

SHAPE, CLASSES = (1, 4, 4), 3
OBJECTIVES = {
    "labels": {"labels_B": np.arange(48) % CLASSES},
    "entropy": {"diversity": 2.0},
    "cotangent": {"weights_B": np.zeros(48, np.float32)},
    "jsd": {"labels_B": np.arange(48) % CLASSES, "adversarial": "jsd"},
    "masked_kl": {"adversarial": "masked_kl"},
}
FITS = {
    "adam": FitObjective(learning_rate=0.01, class_prior=(0.6, 0.3, 0.1)),
    "sgd": FitObjective(optimizer="sgd", learning_rate=0.05, temperature=2.0),
    "projected": FitObjective(optimizer="sgd", learning_rate=0.05, projection="symmetric"),
}


@pytest.fixture(params=KINDS)
def learner(request):
    return pixelled(request.param)


def scenes(count: int = 3, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    x_NCHW = rng.standard_normal((count, *SHAPE)).astype(np.float32)
    return Batch(x_NCHW, rng.integers(0, CLASSES, (count, 4, 4)))


def dreams(count: int = 3) -> Batch:
    rng = np.random.default_rng(5)
    soft = rng.dirichlet(np.ones(CLASSES), (count, 4, 4)).astype(np.float32)
    return Batch(scenes(count, 6).x_NCHW, targets_NK=soft)


def test_a_row_for_every_pixel_images_and_lines_in_order(learner):
    """One pixel changed in the second image: rows change within one pixel of it, nowhere else."""
    x = scenes().x_NCHW
    before = learner.logits(x)
    x[1, 0, 0, 3] += 1.0
    changed = np.flatnonzero((learner.logits(x) != before).any(axis=1))
    assert before.shape == (48, CLASSES)
    assert changed.tolist() == [16 + row * 4 + column for row in (0, 1) for column in (2, 3)]


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_gradients_are_torchs(kind, learner):
    parts = dict(OBJECTIVES[kind])
    if "adversarial" in parts:
        parts["student_BK"] = np.random.default_rng(2).normal(0, 1, (48, 3)).astype(np.float32)
    else:
        parts["cotangent_BK"] = np.random.default_rng(3).normal(0, 1, (48, 3)).astype(np.float32)
    objective = DreamObjective(feature_weight=0.0, **parts)
    found = learner.input_gradient(scenes().x_NCHW, objective)
    wanted = pixelled("torch").input_gradient(scenes().x_NCHW, objective)
    np.testing.assert_allclose(found.gradient_NCHW, wanted.gradient_NCHW, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.logits_NK, wanted.logits_NK, atol=1e-5)
    assert found.terms == pytest.approx(wanted.terms, rel=1e-4)
    if wanted.student_cotangent_BK is not None:
        student = found.student_cotangent_BK
        np.testing.assert_allclose(student, wanted.student_cotangent_BK, atol=1e-6)


@pytest.mark.parametrize("kind", FITS)
def test_steps_are_torchs(kind, learner):
    wanted = pixelled("torch")
    steps = [(scenes(4, seed), dreams()) for seed in range(3)]
    losses = [one.fit(steps, FITS[kind]) for one in (learner, wanted)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, array in wanted.parameters().items():
        np.testing.assert_allclose(learner.parameters()[name], array, rtol=1e-3, atol=1e-4)


def test_the_loss_of_a_batch_is_the_mean_over_its_pixels(learner):
    batch = scenes()
    log_p = torch.tensor(learner.logits(batch.x_NCHW)).log_softmax(1).numpy()
    wanted = -log_p[np.arange(48), batch.y_N.ravel()].mean()
    assert learner.fit([(batch,)], FitObjective(learning_rate=1e-6)) == pytest.approx(wanted, 1e-5)


def test_labels_of_images_are_refused(learner):
    with pytest.raises(ConfigError, match="labels of"):
        learner.fit([(Batch(scenes().x_NCHW, np.zeros(3, np.int64)),)], FitObjective())


def test_a_net_with_two_resolutions_becomes_a_bundle_that_says_so():
    net = nets.build("UNet-like", (1, 8, 8), CLASSES, 0)
    bundle = compile(net, (1, 8, 8), classes=CLASSES, settings=ExportSettings(batches=1))
    again = Manifest.from_json(bundle.manifest.to_json())
    assert again.places == (8, 8) and again.statistics == 4


def test_pixels_of_another_size_are_refused():
    with pytest.raises(ExportError, match="give pixels their image's size"):
        compile(torch.nn.Conv2d(1, 3, 3), SHAPE, classes=3)
