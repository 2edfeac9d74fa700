"""Direct dreams, local steps and personal acquisition of `codream/1` under masks, by autograd.

Every learner that can sit in a cohort: torch, and onnxruntime by a bundle of the same net. The
oracle is one process that holds all nets and all histograms, in float64.

Shape legend: B dreams, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.payloads.dreams import prior_gradient, starting_dreams
from dreamshare.protocol.messages import Cohort
from dreamshare.simulate import SimulatedDevice, SimulationResult, simulate
from tests.algorithms.oracle import Device, run
from tests.algorithms.test_codream import CONFIG
from tests.algorithms.test_codream_acquiring import widened
from tests.algorithms.test_codream_forms import EXACT
from tests.algorithms.toy import CLASSES, toy_data
from tests.unit.learning.learners import around, layered, learner
from tests.unit.learning.test_features import net as unnormed
from tests.unit.learning.torch.tiny import tiny_net

COUNTS = ((10, 6, 4), (2, 9, 9), (8, 0, 12), (5, 5, 0), (0, 7, 3))
"""Class 0 is in 25 examples of the cohort, class 1 in 27, class 2 in 28."""

SCALED = 0.05
"""Rate of a device's local steps."""

DREAMING = replace(
    EXACT,
    student="none",
    cycles=1,
    dream_steps=1,
    warm_up_epochs=0,
    fit_steps=0,
    weighting="class",
    evaluate="never",
    max_examples=64,
    gradient_bits=20,
    first_gradient_bound=16.0,
    local_rate=SCALED,
)
KINDS = pytest.mark.parametrize("kind", ["torch", "onnx"])


def crew(make, counts: Sequence[tuple[int, ...]] = COUNTS) -> list[Device]:
    return [
        Device(make(i), toy_data(i, own), np.random.default_rng(i)) for i, own in enumerate(counts)
    ]


def masked(config: CodreamConfig, devices: Sequence[Device]) -> SimulationResult:
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    return simulate(config, virtual, cohort=Cohort(len(devices), len(devices)))


def loss_of(net: nn.Sequential, x: Tensor, labels_B: np.ndarray, weight: float) -> Tensor:
    """A device's loss, summed over dreams: cross-entropy and B times the weighted R_bn."""
    h, distances = x, []
    for layer in net.eval():
        if isinstance(layer, nn.BatchNorm2d):
            mean = h.mean(dim=(0, 2, 3))
            var = (h - mean[:, None, None]).square().mean(dim=(0, 2, 3))
            distances.append(
                (mean - layer.running_mean).square().mean().sqrt()
                + (var - layer.running_var).square().mean().sqrt()
            )
        h = layer(h)
    task = functional.cross_entropy(h, torch.tensor(labels_B), reduction="sum")
    return task + len(x) * weight * sum(distances) / len(distances)


def summed_move(config: CodreamConfig, x_BCHW: np.ndarray, labels_B: np.ndarray) -> np.ndarray:
    """sum_k n_k(y) (x - x_k) / rate / sum_k n_k(y), with x_k after M steps of descent on l_k.

    One step gives back the gradient: (x - (x - rate g)) / rate = g.
    """
    total, mass_B = 0.0, np.zeros(len(labels_B))
    for seed, counts in enumerate(COUNTS):
        net = tiny_net(seed).double()
        x = torch.tensor(x_BCHW).double()
        for _ in range(config.local_steps):
            x = x.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss_of(net, x, labels_B, config.feature_weight), x)
            x = x - config.local_rate * gradient
        own_B = np.array(counts, float)[labels_B]
        apart = (torch.tensor(x_BCHW).double() - x.detach()).numpy() / config.local_rate
        total = total + own_B[:, None, None, None] * apart
        mass_B += own_B
    return total / mass_B[:, None, None, None]


@KINDS
@pytest.mark.parametrize(("optimizer", "steps"), [("sgd", 1), ("sgd", 3), ("avg", 1), ("avg", 3)])
def test_masked_moves_are_the_class_weighted_means_of_the_devices_own(kind, optimizer, steps):
    """No weight moves while devices dream, and no running statistic."""
    config = replace(DREAMING, server_optimizer=optimizer, local_steps=steps)
    devices = crew(lambda seed: learner(kind, seed))
    before = [dict(d.learner.parameters()) for d in devices]
    found = masked(config, devices).arrays["dreams"]
    start = starting_dreams(config.seed, 0, config.dreams, config.shape, config.spread)
    labels_B = np.arange(config.dreams) % CLASSES
    rate = SCALED if optimizer == "avg" else config.dream_rate
    move = summed_move(config, start, labels_B)
    priors = prior_gradient(start, config.smoothness, config.norm)
    np.testing.assert_allclose(found, start - rate * (move + priors), atol=2e-3 * rate)
    assert np.abs(move).max() > 0.5
    for device, old in zip(devices, before, strict=True):
        for name, array in device.learner.parameters().items():
            np.testing.assert_array_equal(array, old[name], err_msg=name)


@KINDS
def test_masked_gradients_of_nets_without_batchnorm_know_the_devices_own_data(kind):
    """R of GroupNorm and LayerNorm: RMS of mean and of variance of a dream batch's features against
    those of the device's own examples, by torch alone; their class-weighted mean over devices."""
    devices = [
        replace(each, data=widened(each.data))
        for each in crew(lambda seed: around(kind, unnormed(seed), DREAMING.shape, CLASSES))
    ]
    found = masked(DREAMING, devices).arrays["dreams"]
    start = starting_dreams(DREAMING.seed, 0, DREAMING.dreams, DREAMING.shape, DREAMING.spread)
    labels_B = np.arange(DREAMING.dreams) % CLASSES
    total, mass_B = 0.0, np.zeros(len(labels_B))
    for seed, device in enumerate(devices):
        net = unnormed(seed).double()
        own = next(device.data.batches(np.random.default_rng(0), 99)).x_NCHW
        with torch.no_grad():
            known, _ = normed_features(net, torch.tensor(own).double())
        x = torch.tensor(start).double().requires_grad_(True)
        seen, logits = normed_features(net, x)
        apart = [(a - b).square().mean().sqrt() for a, b in zip(seen, known, strict=True)]
        task = functional.cross_entropy(logits, torch.tensor(labels_B), reduction="sum")
        loss = task + len(x) * DREAMING.feature_weight * sum(apart) / 2
        (gradient,) = torch.autograd.grad(loss, x)
        own_B = np.array(COUNTS[seed], float)[labels_B]
        total = total + own_B[:, None, None, None] * gradient.numpy()
        mass_B += own_B
    priors = prior_gradient(start, DREAMING.smoothness, DREAMING.norm)
    wanted = start - total / mass_B[:, None, None, None] - priors
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def normed_features(net: nn.Sequential, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return mean and biased variance of each channel at each norm layer's input, and logits."""
    seen = []
    for layer in net.eval():
        if isinstance(layer, nn.GroupNorm | nn.LayerNorm):
            axes = (0, 2, 3) if isinstance(layer, nn.GroupNorm) else (0, 1)
            seen += [x.mean(dim=axes), x.var(dim=axes, unbiased=False)]
        x = layer(x)
    return seen, x


WHOLE = replace(
    CONFIG,
    server_optimizer="sgd",
    dream_rate=0.5,
    optimizer="sgd",
    learning_rate=0.05,
    weight_decay=0.01,
    local_batch=64,
    distillation_batch=64,
    max_examples=64,
    gradient_bits=20,
    temperature=2.0,
)
"""No chance: every step sees all local examples and all remembered dreams."""


@KINDS
def test_masked_sums_are_the_plain_ones_but_for_the_encoding(kind):
    """Two cycles of everything. A coordinate of gradient is rounded to 16 / 2^20, five times; of a
    soft label to 2^-15 of a share: what differs in the end is of that order."""
    shown, hidden = (crew(lambda seed: layered(kind, seed)) for _ in range(2))
    plain = run(Codream(WHOLE), shown).done
    result = masked(WHOLE, hidden)
    np.testing.assert_array_equal(result.arrays["totals"], plain.result["totals"])
    for name in ("dreams", "targets"):
        np.testing.assert_allclose(result.arrays[name], plain.result[name], atol=1e-3, err_msg=name)
    assert result.metrics["accuracy"] == pytest.approx(plain.metrics["accuracy"], abs=0.02)
    for one, other in zip(shown, hidden, strict=True):
        for name, array in one.learner.parameters().items():
            np.testing.assert_allclose(array, other.learner.parameters()[name], atol=1e-3)


def test_a_class_that_nobody_has_is_not_in_the_masked_total():
    """A 0 lies between two levels of the encoding: five of them sum to noise, rounded to 0."""
    devices = crew(lambda seed: layered("torch", seed), [(a, 0, c) for a, _, c in COUNTS])
    result = masked(replace(WHOLE, max_examples=65_536, warm_up_epochs=0), devices)
    assert result.arrays["totals"].tolist() == [25, 0, 28]
    assert not result.arrays["targets"][:, 1].any()


CHOOSING = replace(
    WHOLE,
    cycles=1,
    dream_steps=1,
    warm_up_epochs=0,
    learning_rate=0.2,
    fit_steps=12,
    acquisition="held_out",
    candidates=(0.0, 1.0, 3.0),
    distillation_norm="running",
)


@KINDS
@pytest.mark.parametrize("balanced", [True, False])
def test_personal_acquisition_is_the_best_of_the_oracles_trainings(kind, balanced):
    """Twelve steps of momentum 0.9 for each candidate weight w, on
    CE(z + log prior, y) + w T^2 KL(targets || softmax(z / T)); kept is the least held-out loss."""
    config = replace(CHOOSING, balanced=balanced)
    devices = crew(lambda seed: layered(kind, seed))
    devices[4].data = at_odds(devices[4].data)
    starts = [list(d.learner.parameters().values()) for d in devices]
    result = masked(config, devices)
    chosen = []
    for device, start in zip(devices, starts, strict=True):
        trained = [
            trained_alone(config, device, start, result.arrays, weight)
            for weight in config.candidates
        ]
        losses = [held_out_loss(device, leaves) for leaves in trained]
        chosen.append(int(np.argmin(losses)))
        found = np.concatenate([a.ravel() for a in device.learner.parameters().values()])
        wanted = torch.cat([leaf.detach().flatten() for leaf in trained[chosen[-1]]]).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-5)
    assert len(set(chosen)) > 1, "devices must differ, or nothing was chosen"


def at_odds(data: ArrayData) -> ArrayData:
    """The same examples; held-out ones are of other classes than the others' nets say."""
    batch = next(data.batches(np.random.default_rng(0), 64))
    held = data.held_out()
    return ArrayData(batch.x_NCHW, batch.y_N, replace(held, y_N=(held.y_N + 1) % CLASSES))


def trained_alone(config, device: Device, start, arrays, weight: float) -> list[Tensor]:
    leaves = [torch.tensor(a).double().requires_grad_(True) for a in start]
    optimizer = torch.optim.SGD(
        leaves, lr=config.learning_rate, momentum=0.9, weight_decay=config.weight_decay
    )
    batch = next(device.data.batches(np.random.default_rng(0), 64))
    counts_K = device.data.class_counts(CLASSES) + 0.5
    log_prior = torch.tensor(np.log(counts_K / counts_K.sum())) if config.balanced else 0.0
    targets = torch.tensor(arrays["targets"]).double()
    for _ in range(config.fit_steps):
        optimizer.zero_grad()
        local = logits_of(leaves, batch.x_NCHW) + log_prior
        soft = (logits_of(leaves, arrays["dreams"]) / config.temperature).log_softmax(1)
        apart = (targets * (targets.log() - soft)).sum(1).mean()
        loss = functional.cross_entropy(local, torch.tensor(batch.y_N))
        (loss + weight * config.temperature**2 * apart).backward()
        optimizer.step()
    return leaves


def held_out_loss(device: Device, leaves: Sequence[Tensor]) -> float:
    held = device.data.held_out()
    with torch.no_grad():
        logits = logits_of(leaves, held.x_NCHW).numpy()
    return float(-np.log(softmax(logits)[np.arange(len(held.y_N)), held.y_N]).mean())


def logits_of(leaves: Sequence[Tensor], x_NCHW: np.ndarray) -> Tensor:
    w1, b1, w2, b2 = leaves
    x = torch.tensor(x_NCHW.reshape(len(x_NCHW), 4)).double()
    return torch.tanh(x @ w1.T + b1) @ w2.T + b2
