"""Algorithms with masks on, by the real machines, against exact sums and an oracle of autograd.

One process, simulated time. What may differ is the encoding's rounding (docs/protocol.md 12.2), so
the learners that come out are compared with a tolerance that follows from bits and rates.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.algorithms.fedh2l import FedH2LConfig
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import softmax
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import Kill, SimulatedDevice, SimulationOptions, SimulationResult, simulate
from tests.algorithms.oracle import Device, run
from tests.algorithms.sharing import consensus, crew, fedh2l, seeds
from tests.algorithms.toy import SHAPE, ToyLearner
from tests.unit.learning.learners import around, layered

DEVICES = 5


def masked(
    config: object, devices: Sequence[Device], kills: tuple[Kill, ...] = ()
) -> SimulationResult:
    """Run the whole protocol on these learners."""
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    options = SimulationOptions(deadlines=Deadlines(20.0, 40.0, 10.0), kills=kills)
    cohort = Cohort(len(devices) - len(kills), len(devices))
    result = simulate(config, virtual, cohort=cohort, options=options)
    assert result.aggregations > 0
    return result


def whole_batches(config: FedH2LConfig) -> FedH2LConfig:
    """Return a config without chance: all local examples and all seeds in every step."""
    return replace(
        config, local_batch=20, seed_batch=12, warm_up_epochs=0, weight_decay=0.0, bits=16
    )


def parameters(one: Learner) -> np.ndarray:
    return np.concatenate([a.ravel() for a in one.parameters().values()])


CONFIGS = {
    "fedh2l": whole_batches(fedh2l(rounds=2)),
    "fedh2l none": whole_batches(fedh2l(rounds=2, projection="none")),
    "consensus": consensus(rounds=2, local_batch=20, public_batch=12, warm_up_epochs=1, bits=16),
    "logits": consensus(
        rounds=2, local_batch=20, public_batch=12, opinion="logits", temperature=2.0, bits=16
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_masked_sums_teach_what_exact_ones_do(name: str, kind: str) -> None:
    config = CONFIGS[name]
    exact, hidden = (crew(lambda seed: layered(kind, seed), devices=DEVICES) for _ in range(2))
    run(algorithm_of(config), exact)
    masked(config, hidden)
    for one, other in zip(exact, hidden, strict=True):
        moved = np.abs(parameters(one.learner)).max()
        np.testing.assert_allclose(
            parameters(one.learner), parameters(other.learner), atol=2e-3 * moved
        )


def test_who_died_before_answering_is_in_nobodys_sum() -> None:
    """Device 4 dies when it is asked; the others' lessons are the mean of the other three."""
    config = replace(whole_batches(fedh2l(rounds=1)), fit_steps=1)
    exact, hidden = (crew(ToyLearner, devices=DEVICES) for _ in range(2))
    run(algorithm_of(config), exact, absent=lambda r: (4,))
    masked(config, hidden, kills=(Kill(4, 0),))
    for one, other in zip(exact[:4], hidden[:4], strict=True):
        np.testing.assert_allclose(parameters(one.learner), parameters(other.learner), atol=1e-4)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("projection", ["none", "protect_global", "protect_local", "symmetric"])
def test_fedh2l_is_the_oracles_step(kind: str, projection: str) -> None:
    """A round of every device at once, by autograd in float64 on every pair's divergence."""
    config = replace(
        whole_batches(fedh2l(rounds=1, projection=projection, mutual_weight=3.0, balanced=False)),
        fit_steps=1,
        learning_rate=0.1,
        bits=20,
    )
    devices = crew(lambda seed: layered(kind, seed), devices=DEVICES)
    public = seeds()
    own = [softmax(d.learner.logits(public.x_NCHW)) for d in devices]
    wanted = [_oracle_step(config, devices, own, i) for i in range(DEVICES)]
    masked(config, devices)
    for device, after in zip(devices, wanted, strict=True):
        np.testing.assert_allclose(parameters(device.learner), after, rtol=1e-3, atol=2e-5)


def _oracle_step(
    config: FedH2LConfig, devices: Sequence[Device], own: Sequence[np.ndarray], i: int
) -> np.ndarray:
    public = seeds()
    leaves = [
        torch.tensor(a, dtype=torch.float64, requires_grad=True)
        for a in devices[i].learner.parameters().values()
    ]

    def log_p(x: np.ndarray) -> torch.Tensor:
        return _two_layers(leaves, x).log_softmax(1)

    nll = torch.nn.functional.nll_loss
    batch = next(devices[i].data.batches(np.random.default_rng(0), 20))
    local = nll(log_p(batch.x_NCHW), torch.tensor(batch.y_N))
    mutual = nll(log_p(public.x_NCHW), torch.tensor(public.y_N))
    for j, p_MK in enumerate(own):
        if j != i:
            divergence = torch.nn.functional.kl_div(
                log_p(public.x_NCHW), torch.tensor(p_MK), reduction="batchmean"
            )
            mutual = mutual + config.mutual_weight / (len(own) - 1) * divergence
    a, b = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, leaves)])
        for loss in (local, mutual)
    )
    inner = a @ b
    a_new, b_new = a, b
    if inner < 0 and config.projection in ("protect_global", "symmetric"):
        a_new = a - inner / (b @ b) * b
    if inner < 0 and config.projection in ("protect_local", "symmetric"):
        b_new = b - inner / (a @ a) * a
    before = torch.cat([leaf.detach().flatten() for leaf in leaves])
    return (before - config.learning_rate * (a_new + b_new)).numpy()


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_identical_peers_teach_each_other_nothing_under_masks(kind: str) -> None:
    """KL(P || P) has gradient 0: a weight of 1,000 on it moves nobody, to the encoding's rounding.

    The others' mean is wrong by at most 2^-20 a probability; a thousand times that is the slack.
    """
    learners = []
    for weight in (1e-9, 1000.0):
        config = replace(
            whole_batches(fedh2l(rounds=1, mutual_weight=weight, label_weight=1.0)),
            fit_steps=1,
            learning_rate=0.1,
            projection="none",
            bits=20,
        )
        devices = crew(lambda seed: layered(kind, 5), devices=DEVICES)
        before = parameters(devices[0].learner)
        masked(config, devices)
        learners.append([parameters(d.learner) for d in devices])
    for alone, together in zip(*learners, strict=True):
        np.testing.assert_allclose(alone, together, atol=5e-4)
        assert np.abs(alone - before).max() > 5e-3


def test_the_order_of_masked_peers_changes_nothing() -> None:
    """Nor does the shape of anybody's net: two kinds of learner, four kinds of net."""
    nets = (
        nn.Sequential(nn.Flatten(), nn.Linear(4, 3)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)),
        nn.Sequential(nn.Conv2d(1, 5, 2), nn.Tanh(), nn.Flatten(), nn.Linear(5, 3)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Linear(2, 7), nn.Linear(7, 3)),
    )
    config = replace(whole_batches(fedh2l(rounds=2)), bits=20, learning_rate=0.05)
    found = []
    for order in ((0, 1, 2, 3), (2, 0, 3, 1)):
        devices = crew(ToyLearner, devices=4)
        for device, net, kind in zip(devices, nets, ("torch", "onnx") * 2, strict=True):
            device.learner = around(kind, copy.deepcopy(net), SHAPE, 3)
        masked(config, [devices[i] for i in order])
        found.append([parameters(d.learner) for d in devices])
    assert len({each.shape for each in found[0]}) == 4
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("opinion", ["posteriors", "logits"])
@pytest.mark.parametrize("balanced", [True, False])
def test_consensus_is_the_oracles_round(kind: str, opinion: str, balanced: bool) -> None:
    """Targets are the mean posteriors at T, or the softmax at T of the mean logits; two steps of
    CE(z + log prior, y) + w T^2 KL(targets || softmax(z / T)) by autograd in float64."""
    config = consensus(
        rounds=1,
        warm_up_epochs=0,
        fit_steps=2,
        local_batch=20,
        public_batch=12,
        opinion=opinion,
        temperature=2.0,
        distillation_weight=3.0,
        weight_decay=0.01,
        balanced=balanced,
        bits=20,
    )
    devices = crew(lambda seed: layered(kind, seed), devices=DEVICES)
    x_NCHW = seeds().x_NCHW
    hot = config.temperature
    logits = [d.learner.logits(x_NCHW).astype(float) for d in devices]
    if opinion == "logits":
        targets = torch.tensor(softmax(np.mean(logits, axis=0) / hot))
    else:
        targets = torch.tensor(np.mean([softmax(z / hot) for z in logits], axis=0))
    wanted = []
    for device in devices:
        leaves = [
            torch.tensor(a, dtype=torch.float64, requires_grad=True)
            for a in device.learner.parameters().values()
        ]
        optimizer = torch.optim.SGD(leaves, lr=0.1, momentum=0.9, weight_decay=0.01)
        batch = next(device.data.batches(np.random.default_rng(0), 20))
        counts_K = device.data.class_counts(3) + 0.5
        prior = torch.tensor(np.log(counts_K / counts_K.sum())) if balanced else 0.0
        for _ in range(2):
            optimizer.zero_grad()
            local = torch.nn.functional.cross_entropy(
                _two_layers(leaves, batch.x_NCHW) + prior, torch.tensor(batch.y_N)
            )
            soft = (_two_layers(leaves, x_NCHW) / hot).log_softmax(1)
            apart = (targets * (targets.log() - soft)).sum(1).mean()
            (local + 3.0 * hot**2 * apart).backward()
            optimizer.step()
        wanted.append(torch.cat([p.detach().flatten() for p in leaves]).numpy())
    result = masked(config, devices)
    np.testing.assert_allclose(result.arrays["targets"], targets.numpy(), atol=1e-4)
    for device, after in zip(devices, wanted, strict=True):
        np.testing.assert_allclose(parameters(device.learner), after, rtol=1e-3, atol=5e-5)


def _two_layers(leaves: Sequence[torch.Tensor], x_NCHW: np.ndarray) -> torch.Tensor:
    w1, b1, w2, b2 = leaves
    x = torch.tensor(x_NCHW.reshape(len(x_NCHW), 4)).double()
    return torch.tanh(x @ w1.T + b1) @ w2.T + b2


@pytest.mark.parametrize("proximal", [0.0, 0.7])
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_fedavg_and_fedprox_are_the_oracles_round(kind: str, proximal: float) -> None:
    """One round of three whole-batch steps with momentum, weighted by examples."""
    devices = [
        Device(layered(kind, 5), _data(seed, size), np.random.default_rng(0))
        for seed, size in enumerate((8, 12, 20, 16, 4))
    ]
    base = FedAvgConfig.of_model(devices[0].learner.parameters(), classes=3)
    config = replace(
        base,
        rounds=1,
        fit_steps=3,
        batch=20,
        learning_rate=0.1,
        weight_decay=0.0,
        proximal=proximal,
        weight_cap=20.0,
        start_bound=4.0,
        delta_bound=1.0,
        bits=20,
    )
    wanted = _oracle_round(devices, proximal)
    result = masked(config, devices)
    found = np.concatenate([result.arrays[f"p{i}"].ravel() for i in range(4)])
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=5e-5)


def _data(seed: int, size: int) -> ArrayData:
    rng = np.random.default_rng(seed)
    y_N = rng.integers(0, 3, size)
    x_N4 = np.eye(4)[y_N] + rng.normal(0, 0.3, (size, 4))
    x_NCHW = x_N4.reshape(-1, 1, 2, 2).astype(np.float32)
    return ArrayData(x_NCHW, y_N, Batch(x_NCHW[:2], y_N[:2]))


def _oracle_round(devices: Sequence[Device], proximal: float) -> np.ndarray:
    total, weights = 0.0, 0.0
    for device in devices:
        first = [torch.tensor(a).double() for a in device.learner.parameters().values()]
        leaves = [a.clone().requires_grad_(True) for a in first]
        optimizer = torch.optim.SGD(leaves, lr=0.1, momentum=0.9)
        (batch,) = (next(device.data.batches(np.random.default_rng(0), 20)),)
        x = torch.tensor(batch.x_NCHW.reshape(-1, 4)).double()
        for _ in range(3):
            optimizer.zero_grad()
            logits = torch.tanh(x @ leaves[0].T + leaves[1]) @ leaves[2].T + leaves[3]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(batch.y_N))
            pull = sum(((p - p0) ** 2).sum() for p, p0 in zip(leaves, first, strict=True))
            (loss + proximal / 2 * pull).backward()
            optimizer.step()
        flat = torch.cat([p.detach().flatten() for p in leaves]).numpy()
        total = total + len(device.data) * flat
        weights += len(device.data)
    return np.asarray(total / weights)
