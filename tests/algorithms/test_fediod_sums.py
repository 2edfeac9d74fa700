"""The two legs of `fediod/1` against the autograd of the whole loss in one process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from dreamshare.algorithms.base import Crowd
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.fediod import FedIOD, forming, judging
from tests.algorithms.iod import (
    crew,
    exact,
    fediod,
    gradients_by_autograd,
    summed,
    until,
)
from tests.algorithms.oracle import mean_of
from tests.algorithms.toy import ToyLearner, toy_data
from tests.unit.learning.test_plain import in_torch

KINDS = {
    "none": {},
    "code": {"divergence": "code", "divergence_weight": 5.0},
    "uniqueness": {"divergence": "uniqueness", "divergence_weight": 5.0},
    "kl": {"distillation": "kl", "temperature": 2.0},
    "clipped": {"logit_bound": 0.3},
    "no discriminator": {"real_weight": 0.0},
}


def assert_steps(config, before, after, wanted):
    for name, gradient in wanted.items():
        moved = before.generator.values[name] - after.generator.values[name]
        np.testing.assert_allclose(moved, gradient, rtol=2e-3, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_legs_give_the_gradient_of_one_process(kind, learner):
    """Logits and predictions went up, cotangents down, image gradients up: and it is exact."""
    config = exact(**KINDS[kind])
    algorithm, devices = FedIOD(config), crew(learner)
    state = until("answer", algorithm, devices)
    for _ in range(2):
        wanted = gradients_by_autograd(config, state, devices)
        assert max(np.abs(g).max() for g in wanted.values()) > 1e-3
        after = summed(algorithm, summed(algorithm, state, devices), devices)
        assert_steps(config, state, after, wanted)
        state = summed(algorithm, after, devices) if after.stage == "judge" else after
        if state.stage != "answer":
            return


def test_who_is_absent_from_a_whole_step_is_not_in_its_gradient(learner):
    """Devices 0 and 1 alone: their shares of each class and of all examples sum to one again."""
    config = exact(divergence="uniqueness", divergence_weight=2.0)
    algorithm, devices = FedIOD(config), crew(learner)
    state = until("answer", algorithm, devices)
    there = devices[:2]
    wanted = gradients_by_autograd(config, state, there)
    after = summed(algorithm, summed(algorithm, state, there), there)
    assert_steps(config, state, after, wanted)


def test_who_is_lost_between_two_legs_scales_what_comes(learner):
    """Without the ensemble's and the divergence's part it is the others' own loss exactly."""
    config = exact(adversarial_weight=0.0)
    algorithm, devices = FedIOD(config), crew(learner)
    state = until("answer", algorithm, devices)
    wanted = gradients_by_autograd(config, state, devices[:2])
    after = summed(algorithm, summed(algorithm, state, devices), devices[:2])
    assert_steps(config, state, after, wanted)


def test_class_weights_sum_to_one_and_a_class_that_nobody_has_is_no_ones_opinion():
    config = exact()
    algorithm = FedIOD(config)
    devices = crew(counts=((10, 0, 4), (2, 0, 9), (8, 0, 12)))
    state = until("answer", algorithm, devices)
    ask = algorithm.plan(state)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in devices]
    masses_kK = np.array([u.arrays["mass"] for u in updates])
    np.testing.assert_allclose(masses_kK.sum(axis=0), [1, 0, 1])
    after = algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))
    assert not after.leg.told["pull"][:, 1].any() and not after.leg.student_BK[:, 1].any()
    assert after.leg.student_BK[:, [0, 2]].any()
    targets_NK = forming.targets_of(after)
    assert not targets_NK[:, 1].any()
    np.testing.assert_allclose(targets_NK.sum(axis=1), 1, rtol=1e-6)


def test_the_ensemble_is_the_class_weighted_mean_of_logits(learner):
    config = exact()
    algorithm, devices = FedIOD(config), crew(learner)
    state = until("answer", algorithm, devices)
    after = summed(algorithm, state, devices)
    counts_kK = np.array([d.data.class_counts(3) for d in devices], float)
    weights_kK = counts_kK / counts_kK.sum(axis=0)
    wanted = sum(
        d.learner.logits(state.x_BCHW) * w for d, w in zip(devices, weights_kK, strict=True)
    )
    np.testing.assert_allclose(after.lessons.logits_NK[-config.batch :], wanted, atol=1e-5)


def test_a_class_whose_holders_are_gone_counts_as_the_least_likely():
    config = exact()
    algorithm, devices = FedIOD(config), crew()
    state = until("answer", algorithm, devices)
    after = summed(algorithm, state, devices[2:])
    logits_BK = after.lessons.logits_NK[-config.batch :]
    np.testing.assert_array_equal(logits_BK[:, 1], logits_BK[:, [0, 2]].min(axis=1))
    assert not after.leg.told["pull"][:, 1].any()


def test_the_state_has_the_sum_of_histograms_and_no_histogram():
    """Other devices with the same total: the aggregator's state cannot tell them apart."""
    algorithm = FedIOD(exact())
    states = []
    for counts in (((10, 6, 4), (2, 9, 1), (8, 0, 12)), ((8, 0, 12), (11, 1, 2), (1, 14, 3))):
        state = algorithm.init(np.random.default_rng(0))
        states.append(summed(algorithm, state, crew(counts=counts)))
    one, other = states
    assert encode_state(one) == encode_state(other)
    told = algorithm.plan(one)
    assert not told.tensors
    step = algorithm.plan(summed(algorithm, one, crew()))
    assert set(step.tensors) == {"images"}


def test_who_has_few_examples_takes_part_in_every_step():
    """There, a round had as many iterations as the smallest client had batches."""
    config = exact()
    algorithm = FedIOD(config)
    devices = crew()
    devices[1].data = toy_data(1, (1, 1, 0))
    state = until("label", algorithm, devices)
    assert state.steps == config.generator_steps
    taken = [int(d.learner.memory()["fediod.judge.taken"][0]) for d in devices]
    assert taken == [config.generator_steps * config.judge_steps] * 3


@pytest.mark.parametrize(
    "change", [{}, {"distillation": "kl", "temperature": 2.0}], ids=["limit", "kl"]
)
def test_the_students_steps_are_torchs(change):
    """Adam on the mean distance between ensemble and student; a class that nobody has in neither.

    limit: sum over known classes of the squared difference of centred logits, over 2 C of these;
    kl: T^2 KL(softmax(ens / T) || softmax(student / T)).
    """
    config = fediod(real_weight=0.0, student_batch=64, student_steps=5, **change)
    algorithm = FedIOD(config)
    devices = crew(counts=((10, 0, 4), (2, 0, 9), (8, 0, 12)))
    state = until("label", algorithm, devices)
    after = summed(algorithm, state, devices)
    there = torch.tensor([True, False, True])
    ensemble = torch.tensor(after.lessons.logits_NK).double()[:, there]
    x = torch.tensor(after.lessons.x_NCHW).double()
    leaves = {
        n: torch.tensor(a).double().requires_grad_(True) for n, a in state.student.values.items()
    }
    optimizer = torch.optim.Adam(leaves.values(), lr=config.student_rate)
    for _ in range(config.student_steps):
        optimizer.zero_grad()
        own = in_torch(forming.student_of(config), leaves, x)[:, there]
        if config.distillation == "kl":
            hot = config.temperature
            p, log_q = (ensemble / hot).softmax(1), (own / hot).log_softmax(1)
            apart = hot**2 * (p * (p.log() - log_q)).sum(1)
        else:
            t, s = (a - a.mean(dim=1, keepdim=True) for a in (ensemble, own))
            apart = (s - t).square().sum(1) / (2 * int(there.sum()))
        apart.mean().backward()
        optimizer.step()
    moved = 0.0
    for name, leaf in leaves.items():
        wanted = leaf.detach().numpy()
        np.testing.assert_allclose(after.student.values[name], wanted, atol=2e-4, err_msg=name)
        moved = max(moved, np.abs(wanted - state.student.values[name]).max())
    assert moved > 3 * config.student_rate


def test_a_discriminator_learns_as_one_in_torch_does(learner):
    """Two steps of Adam on half the mean losses of real and of generated patches."""
    config = exact(judge_steps=2, judge_batch=20, shape=(1, 2, 2))
    device = crew(learner)[0]
    made = np.random.default_rng(4).standard_normal((6, 1, 2, 2)).astype(np.float32)
    first = judging.remembered(config, device.learner).values
    judging.judge(config, made, device.learner, device.data, np.random.default_rng(5))
    leaves = {n: torch.tensor(a, requires_grad=True) for n, a in first.items()}
    optimizer = torch.optim.Adam(leaves.values(), lr=config.judge_rate, betas=judging.BETAS)
    batches = device.data.batches(np.random.default_rng(5), 20)
    net = judging.judge_of(config)
    for _ in range(2):
        optimizer.zero_grad()
        real = in_torch(net, leaves, torch.tensor(next(batches).x_NCHW))
        fake = in_torch(net, leaves, torch.tensor(made))
        as_is = functional.binary_cross_entropy_with_logits
        loss = as_is(real, torch.ones_like(real)) + as_is(fake, torch.zeros_like(fake))
        (loss / 2).backward()
        optimizer.step()
    found = judging.remembered(config, device.learner)
    assert found.taken == 2
    for name, leaf in leaves.items():
        wanted = leaf.detach().numpy()
        np.testing.assert_allclose(found.values[name], wanted, atol=5e-5, err_msg=name)


def test_a_discriminator_tells_real_from_made_after_a_while(learner):
    config = exact(judge_steps=200, judge_width=4, judge_rate=0.01)
    device = crew(learner)[0]
    made = np.random.default_rng(4).normal(0, 1.5, (20, 1, 2, 2)).astype(np.float32)
    judging.judge(config, made, device.learner, device.data, np.random.default_rng(5))
    values = judging.remembered(config, device.learner).values
    real = next(device.data.batches(np.random.default_rng(6), 20)).x_NCHW
    of_real, of_made = (judging.judge_of(config).forward(values, x)[0] for x in (real, made))
    assert (of_real > 0).mean() > 0.8 and (of_made < 0).mean() > 0.8


def test_eight_bit_images_are_the_same_for_everybody():
    config = exact(image_bits=8)
    algorithm, devices = FedIOD(config), crew(ToyLearner)
    state = until("answer", algorithm, devices)
    wanted = gradients_by_autograd(replace(config, image_bits=32), state, devices)
    after = summed(algorithm, summed(algorithm, state, devices), devices)
    for name, gradient in wanted.items():
        moved = state.generator.values[name] - after.generator.values[name]
        size = np.abs(gradient).max()
        np.testing.assert_allclose(moved, gradient, atol=0.05 * size + 1e-4, err_msg=name)
    assert algorithm.plan(state).tensors["images"].dtype == np.uint8
