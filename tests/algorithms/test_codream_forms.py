"""The generator form, the student's term and bytes of `codream/1` against autograd in one process.

Shape legend: B dreams, K classes.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.codream import Codream, CodreamState, forming, student_logits
from dreamshare.algorithms.codream.student import net_of
from dreamshare.learning.torch import TorchLearner
from dreamshare.payloads.dreams import prior_gradient
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.test_codream import CONFIG, COUNTS, devices
from tests.algorithms.toy import toy_data
from tests.unit.learning.test_plain import in_torch
from tests.unit.learning.torch.tiny import CLASSES, SHAPE, tiny_net

EXACT = replace(
    CONFIG,
    shape=SHAPE,
    server_optimizer="sgd",
    dream_rate=1.0,
    low=-100.0,
    high=100.0,
    feature_weight=2.0,
    weighting="uniform",
    student="small",
    student_width=3,
    adversarial_weight=3.0,
    gradient_bound=1e4,
    first_gradient_bound=1e4,
)


def crew() -> list[Device]:
    """Three torch devices with different weights; data are not asked for gradients."""
    return [
        Device(
            TorchLearner(tiny_net(seed), classes=CLASSES),
            toy_data(seed, COUNTS[seed]),
            np.random.default_rng(seed),
        )
        for seed in range(3)
    ]


def cycle_two(config) -> CodreamState:
    """The state before the first sum of a cycle with an adversarial term."""
    algorithm = Codream(config)
    state = algorithm.init(np.random.default_rng(0))
    return forming.begun(config, replace(state, totals_K=np.array([20.0, 15.0, 25.0])), cycle=1)


def one_sum(config, state, members=None):
    """The state after one sum of whatever the state asks for."""
    algorithm, members = Codream(config), members or crew()
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in members]
    return algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))


def teachers_loss(x: torch.Tensor, labels_B: np.ndarray, students=None, kind="none", weight=0.0):
    """(1/n) sum_k l_k as one function of x: task, R_bn and minus disagreement, by torch alone."""
    losses = []
    for seed in range(3):
        net, h, features = tiny_net(seed).eval(), x, []
        for layer in net:
            if isinstance(layer, torch.nn.BatchNorm2d):
                var, mean = torch.var_mean(h, dim=(0, 2, 3), unbiased=False)
                features.append(
                    (mean - layer.running_mean).square().mean().sqrt()
                    + (var - layer.running_var).square().mean().sqrt()
                )
            h = layer(h)
        loss = functional.cross_entropy(h, torch.tensor(labels_B), reduction="sum")
        loss = loss + len(x) * 2.0 * sum(features) / len(features)
        if students is not None:
            p, q = h.softmax(1), students.softmax(1)
            if kind == "jsd":
                middle = ((p + q) / 2).log()
                apart = (p * (p.log() - middle) + q * (q.log() - middle)).sum() / 2
            elif kind == "masked_kl":
                agreed = (h.argmax(1) == students.argmax(1))[:, None]
                apart = (p * (p.log() - q.log()) * agreed).sum()
            else:
                apart = -(q * q.log()).sum()
            loss = loss - weight * apart
        losses.append(loss)
    return sum(losses) / 3


@pytest.mark.parametrize("kind", ["jsd", "masked_kl", "server_entropy"])
def test_the_sums_give_the_gradient_of_the_mean_loss_through_teachers_and_student(kind):
    """No student's weight travelled: logits went down, cotangents came up, and it is exact."""
    config = replace(EXACT, adversarial=kind)
    state = cycle_two(config)
    ask = Codream(config).plan(state)
    assert ask.step == ("dream" if kind == "server_entropy" else "contest")
    assert not any(name.startswith("student.") for name in ask.tensors)
    after = one_sum(config, state)
    x = torch.tensor(state.x_BCHW, requires_grad=True)
    weights = {n: torch.tensor(a) for n, a in state.student.values.items()}
    students = in_torch(net_of(config), weights, x)
    loss = teachers_loss(x, state.labels_B, students, kind, 3.0)
    (wanted,) = torch.autograd.grad(loss, x)
    found = state.x_BCHW - after.x_BCHW
    found -= prior_gradient(state.x_BCHW, config.smoothness, config.norm)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-3, atol=2e-4)


def test_before_its_first_cycle_there_is_no_contest():
    config = replace(EXACT, adversarial="jsd", adversarial_from=2)
    assert Codream(config).plan(cycle_two(config)).step == "dream"
    config = replace(config, adversarial_from=1)
    assert {f.name for f in Codream(config).plan(cycle_two(config)).fields} == {
        "gradient",
        "mass",
        "clipped",
        "cotangent",
    }


def test_generator_and_latents_follow_the_gradient_of_the_summed_objective():
    """One step with plain descent: Adam's moments hold rate times d loss / d (generator, z)."""
    config = replace(
        EXACT,
        student="none",
        adversarial="none",
        form="generator",
        latent=4,
        generator_width=2,
        generator_steps=1,
        smoothness=0.0,
        norm=0.0,
        low=-2.0,
        high=2.0,
    )
    state = cycle_two(config)
    after = one_sum(config, state)
    leaves = {n: torch.tensor(a, requires_grad=True) for n, a in state.made_by.values.items()}
    z = torch.tensor(state.latents.values["z"], requires_grad=True)
    onehot = functional.one_hot(torch.tensor(state.labels_B), CLASSES).float()
    made = in_torch(forming.generator_of(config), leaves, torch.cat([z, onehot], dim=1))
    np.testing.assert_allclose(state.x_BCHW, made.detach().numpy(), atol=1e-5)
    teachers_loss(made, state.labels_B).backward()
    scale = 0.5  # 1 - beta_1: what the first of Adam's steps keeps
    found = after.made_by.first
    for name, leaf in leaves.items():
        wanted = leaf.grad.numpy() * scale
        np.testing.assert_allclose(found[name], wanted, rtol=2e-3, atol=2e-4, err_msg=name)
    np.testing.assert_allclose(
        after.latents.first["z"], z.grad.numpy() * scale, rtol=2e-3, atol=2e-4
    )


def test_reptile_moves_the_kept_generator_towards_the_cycles_and_the_next_starts_there():
    config = replace(CONFIG, form="generator", latent=4, generator_width=2, dream_steps=1)
    state = Codream(config).init(np.random.default_rng(0))
    state = forming.begun(config, replace(state, totals_K=np.ones(3)), cycle=0)
    after = one_sum(config, state, devices())
    for name, kept in after.meta.values.items():
        step = kept - state.meta.values[name]
        wanted = after.made_by.values[name] - state.meta.values[name]
        moving = np.abs(wanted) > 1e-6
        assert (np.sign(step[moving]) == np.sign(wanted[moving])).all()  # Adam's first step
        assert np.abs(step).max() <= config.meta_rate * 1.001
    again = forming.begun(config, after, cycle=1)
    for name, kept in after.meta.values.items():
        np.testing.assert_array_equal(again.made_by.values[name], kept)
    assert again.made_by.taken == 0
    assert not np.array_equal(again.latents.values["z"], state.latents.values["z"])


REPTILE = replace(
    EXACT,
    student="none",
    form="generator",
    latent=4,
    generator_width=2,
    generator_steps=3,
    meta_rate=0.02,
    dream_steps=2,
    warm_up_epochs=0,
    fit_steps=0,
    evaluate="never",
    low=-2.0,
    high=2.0,
)
"""Nets stay as they are, so that an oracle has the same ones in both cycles."""


def generated_by_autograd(config) -> np.ndarray:
    """Both cycles' dreams, by torch alone: its Adam for generator, latents and the kept generator.

    Per sum: y = G(z) - rate * d (mean loss + priors) / d x, and `generator_steps` of Adam on
    |G(z) - y|^2 / 2. Per cycle: the kept generator's Adam gets (kept - cycle's), Reptile's gradient
    (Nichol et al. 2018), and the next cycle starts from the kept one.
    """
    betas = (0.5, 0.9)
    net = forming.generator_of(config)
    first = forming.first_generator(config).values
    kept = {n: torch.tensor(a, requires_grad=True) for n, a in first.items()}
    outer = torch.optim.Adam(kept.values(), lr=config.meta_rate, betas=betas)
    labels_B = np.arange(config.dreams) % CLASSES
    onehot = functional.one_hot(torch.tensor(labels_B), CLASSES).float()
    dreams = []
    for cycle in range(config.cycles):
        rng = np.random.default_rng([config.seed, cycle])
        z = torch.tensor(
            rng.standard_normal((config.dreams, config.latent)).astype(np.float32),
            requires_grad=True,
        )
        made = {n: leaf.detach().clone().requires_grad_(True) for n, leaf in kept.items()}
        rates = [(list(made.values()), config.generator_rate), ([z], config.latent_rate)]
        inner = torch.optim.Adam([{"params": p, "lr": r} for p, r in rates], betas=betas)

        def image(made=made, z=z):
            return in_torch(net, made, torch.cat([z, onehot], dim=1))

        for _ in range(config.dream_steps):
            x = image().detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(teachers_loss(x, labels_B), x)
            priors = prior_gradient(x.detach().numpy(), config.smoothness, config.norm)
            wanted = x.detach() - config.dream_rate * (gradient + torch.tensor(priors))
            for _ in range(config.generator_steps):
                inner.zero_grad()
                ((image() - wanted).square().sum() / 2).backward()
                inner.step()
        dreams.append(image().detach().numpy())
        for name, leaf in kept.items():
            leaf.grad = leaf.detach() - made[name].detach()
        outer.step()
    return np.concatenate(dreams)


def test_two_cycles_of_a_generator_are_the_oracles():
    """The second cycle's dreams hold what Reptile's first step did to the kept generator."""
    wanted = generated_by_autograd(REPTILE)
    found = run(Codream(REPTILE), crew()).done.result["dreams"]
    np.testing.assert_allclose(found, wanted, atol=5e-3)
    still = run(Codream(replace(REPTILE, meta_rate=1e-9)), crew()).done.result["dreams"]
    half = len(wanted) // 2
    assert np.abs(still[half:] - wanted[half:]).max() > 0.05, "the step must be seen"


def test_a_generator_and_a_student_survive_a_kill_after_every_step():
    config = replace(
        CONFIG, form="generator", latent=4, student="small", adversarial="jsd", dream_bits=8
    )

    class Forgetful(Codream):
        def merge(self, state, mean, crowd):
            after = super().merge(state, mean, crowd)
            return decode_state(encode_state(after), CodreamState)

    straight, resumed = (run(kind(config), devices()).done for kind in (Codream, Forgetful))
    for name, array in straight.result.items():
        np.testing.assert_array_equal(array, resumed.result[name])


def test_the_student_of_a_result_classifies_its_dreams():
    config = replace(CONFIG, student="small", student_steps=80, student_rate=0.02)
    result = run(Codream(config), devices()).done.result
    logits = student_logits(config, result, result["dreams"])
    agreed = logits.argmax(axis=1) == result["targets"].argmax(axis=1)
    assert agreed.mean() > 0.8
    assert copy.deepcopy(result)["student.0.weight"].shape == (3, 3, 1, config.student_width)


def test_bytes_are_what_devices_see_label_and_remember():
    """8-bit dreams: a quarter of the bytes down, and one and the same dream for everybody."""
    config = replace(CONFIG, dream_bits=8)
    told, crewed = {}, devices()

    class Watching(Codream):
        def local(self, ask, learner, data, rng):
            told[ask.step] = ask.tensors
            return super().local(ask, learner, data, rng)

    narrow = run(Watching(config), crewed)
    assert told["dream"]["dreams"].dtype == told["dream"]["labels"].dtype == np.uint8
    np.testing.assert_array_equal(told["label"]["dreams"], told["acquire"]["dreams"])
    for device in crewed:
        np.testing.assert_array_equal(
            device.learner.memory()["codream.dreams"], narrow.done.result["dreams"]
        )
    wide = run(Codream(CONFIG), devices())
    assert narrow.bytes_down < 0.6 * wide.bytes_down  # tiny dreams: totals and labels count, too
    assert np.abs(narrow.done.result["dreams"] - wide.done.result["dreams"]).mean() < 0.05


def test_dreaming_stops_once_the_public_gradient_is_calm():
    config = replace(CONFIG, stop_share=0.9, dream_steps=40, smoothness=0.0, norm=0.0)
    seen = run(Codream(config), devices())
    sums = seen.steps.count("dream")
    assert 4 <= sums < 80
    assert seen.done.metrics["dreamt"] == sums
    assert seen.steps.count("label") == config.cycles
