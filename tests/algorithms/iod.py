"""FedIOD in one process: the whole loss of a generator's step by torch's autograd, in float64.

Shape legend: B images, K classes. Where pixels are labelled, logits have a row for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.fediod import FedIOD, FedIODConfig, FedIODState, forming, judging
from dreamshare.algorithms.fediod.terms import LEAST
from dreamshare.learning.base import Learner
from dreamshare.learning.torch.pixels import rows
from tests.algorithms.oracle import Device, mean_of
from tests.algorithms.toy import CLASSES, SHAPE, ToyLearner, toy_data
from tests.unit.learning.test_plain import in_torch

COUNTS = ((10, 6, 4), (2, 9, 1), (8, 0, 12))
"""Devices weigh 20, 12 and 20 of 52; the last one has no example of class 1."""


def fediod(**changes) -> FedIODConfig:
    base = {
        "shape": SHAPE,
        "classes": CLASSES,
        "cycles": 2,
        "generator_steps": 2,
        "labels": 1,
        "batch": 6,
        "latent": 5,
        "generator_width": 2,
        "image_bits": 32,
        "real_weight": 1.0,
        "adversarial_weight": 1.0,
        "judge_width": 2,
        "judge_batch": 8,
        "warm_up_epochs": 5,
        "warm_up_rate": 0.1,
        "local_batch": 8,
        "student_width": 3,
        "student_steps": 4,
        "student_batch": 8,
        "replay": 30,
        "gradient_bits": 20,
    }
    return FedIODConfig(**(base | changes))


def exact(**changes) -> FedIODConfig:
    """A config whose step of the generator is its gradient, with every term in it."""
    base = {
        "generator_optimizer": "sgd",
        "generator_rate": 1.0,
        "real_weight": 2.0,
        "adversarial_weight": 1.5,
        "confidence_weight": 0.7,
        "balance_weight": 3.0,
        "first_gradient_bound": 256.0,
    }
    return fediod(**(base | changes))


def crew(
    learner: Callable[[int], Learner] = ToyLearner,
    counts: Sequence[tuple[int, ...]] = COUNTS,
) -> list[Device]:
    return [
        Device(learner(seed), toy_data(seed, each), np.random.default_rng(seed))
        for seed, each in enumerate(counts)
    ]


def summed(algorithm: FedIOD, state: FedIODState, devices: Sequence[Device], roster: int = 3):
    """Return the state after one plan that these devices answered with exact sums."""
    plan = algorithm.plan(state)
    updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in devices]
    mean = mean_of(plan, updates) if isinstance(plan, Ask) else {}
    return algorithm.merge(state, mean, Crowd(roster, len(devices)))


def until(stage: str, algorithm: FedIOD, devices: Sequence[Device]) -> FedIODState:
    """Return the first state at which a run wants `stage`."""
    state = algorithm.init(np.random.default_rng(0))
    while state.stage != stage:
        state = summed(algorithm, state, devices)
    return state


def gradients_by_autograd(
    config: FedIODConfig, state: FedIODState, devices: Sequence[Device]
) -> dict[str, np.ndarray]:
    """Return d loss / d generator at the step of `state`, with every net in one process."""
    made = {n: torch.tensor(a).double().requires_grad_() for n, a in state.generator.values.items()}
    z = torch.tensor(forming.latents_of(config, state)).double()
    x = in_torch(forming.generator_of(config), made, z)
    loss = loss_of(config, state, devices, x) / config.batch
    names = list(made)
    found = torch.autograd.grad(loss, [made[n] for n in names])
    return {name: gradient.numpy() for name, gradient in zip(names, found, strict=True)}


def loss_of(
    config: FedIODConfig, state: FedIODState, devices: Sequence[Device], x: Tensor
) -> Tensor:
    """Return the loss of one step, a sum over images."""
    c = config
    counts = np.array([d.data.class_counts(c.classes) for d in devices], float)
    loss, ensemble, predicted = torch.zeros(()).double(), 0.0, []
    for device, own_K in zip(devices, counts, strict=True):
        logits = teacher(device.learner.parameters(), x)
        p = logits.softmax(1)
        share = own_K.sum() / counts.sum()
        mean_K = p.mean(dim=0)
        loss = loss + share * c.confidence_weight * -(p * p.log()).sum() / c.places
        loss = loss + share * c.balance_weight * len(x) * (mean_K * mean_K.log2()).sum()
        judge = doubled(judging.remembered(c, device.learner).values)
        patches = in_torch(judging.judge_of(c), judge, x)
        real = functional.softplus(-patches).mean(dim=(1, 2, 3)).sum()
        loss = loss + share * c.real_weight * real
        clipped = logits.clamp(-c.logit_bound, c.logit_bound)
        ensemble = ensemble + torch.tensor(own_K / np.maximum(counts.sum(axis=0), 1)) * clipped
        predicted.append(p)
    student = in_torch(forming.student_of(c), doubled(state.student.values), x)
    known = torch.tensor(counts.sum(axis=0) > 0)
    apart = apart_of(c, ensemble[:, known], student[:, known])
    loss = loss - c.adversarial_weight * apart / c.places
    return loss + divergence_of(c, torch.stack(predicted)) / c.places


def apart_of(config: FedIODConfig, ensemble: Tensor, student: Tensor) -> Tensor:
    """Return the distance over the classes that the cohort has."""
    if config.distillation == "limit":
        t, s = (a - a.mean(dim=1, keepdim=True) for a in (ensemble, student))
        return (s - t).square().sum() / (2 * ensemble.shape[1])
    hot = config.temperature
    p, log_q = (ensemble / hot).softmax(1), (student / hot).log_softmax(1)
    return hot**2 * (p * (p.log() - log_q)).sum()


def divergence_of(config: FedIODConfig, p_nBK: Tensor) -> Tensor:
    mean = p_nBK.mean(dim=0)
    match config.divergence:
        case "code":
            logs = p_nBK.clamp(min=LEAST).log()
            value = (mean * (mean.log() - logs)).sum() / len(p_nBK)
            return config.divergence_weight * value
        case "uniqueness":
            each = -(p_nBK * p_nBK.log()).sum() / len(p_nBK)
            return -config.divergence_weight * (-(mean * mean.log()).sum() - each)
    return torch.zeros(()).double()


def teacher(parameters: Mapping[str, np.ndarray], x: Tensor) -> Tensor:
    """Return the logits of a toy, of the two layers of `layered`, or of those of `pixelled`."""
    own = [torch.tensor(a).double() for a in parameters.values()]
    if own[0].dim() == 4:
        seen = torch.tanh(functional.conv2d(x, own[0], own[1], padding=1))
        return rows(functional.conv2d(seen, own[2], own[3]))
    flat = x.reshape(len(x), -1)
    if len(own) == 2:
        return flat @ own[0] + own[1]
    return torch.tanh(flat @ own[0].T + own[1]) @ own[2].T + own[3]


def doubled(values: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.tensor(array).double() for name, array in values.items()}
