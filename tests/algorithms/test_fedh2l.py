"""`fedh2l/1`: total minus own, under dropouts; what is learnt; what the messages hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.algorithms.base import Ask, Crowd, TeachesHolders, Tell
from dreamshare.algorithms.fedh2l import FedH2L
from dreamshare.algorithms.fedh2l.tags import MARKS, marked, places, slots_marked
from dreamshare.algorithms.rounds import RoundsState, Stage
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import softmax
from dreamshare.learning.public import PublicSet, SharingData
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.sharing import crew, fedh2l, seeds, two_domains
from tests.algorithms.toy import ToyLearner, toy_data
from tests.unit.learning.learners import around


def told_to(
    algorithm: FedH2L, devices: Sequence[Device], absent: Sequence[int] = ()
) -> tuple[Tell, list[np.ndarray]]:
    """Return what the first round tells, and every device's own posteriors."""
    state = algorithm.init(np.random.default_rng(0))
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in devices]
    came = [u for i, u in enumerate(updates) if i not in absent]
    state = algorithm.merge(state, mean_of(ask, came), Crowd(len(devices), len(came)))
    tell = algorithm.plan(state)
    assert isinstance(tell, Tell)
    return tell, [softmax(d.learner.logits(seeds().x_NCHW)) for d in devices]


@pytest.mark.parametrize("absent", [(), (1,), (0, 3)])
def test_others_are_the_total_without_ones_own_where_it_was_in_it(learner, absent):
    """Five devices; an absent one must not subtract what was not in the sum."""
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0)), crew(learner, devices=5)
    tell, own = told_to(algorithm, devices, absent)
    for i, device in enumerate(devices):
        wanted = np.mean([p for j, p in enumerate(own) if j not in absent and j != i], axis=0)
        found = algorithm.others(tell, device.learner, device.data)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_total_minus_own_from_bytes():
    """Five devices: an error of 1/510 in the mean is 5/4 of that in the others' mean."""
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0, told="uint8")), crew(ToyLearner, devices=5)
    tell, own = told_to(algorithm, devices)
    assert tell.tensors["posteriors"].dtype == np.uint8
    for i, device in enumerate(devices):
        wanted = np.mean([p for j, p in enumerate(own) if j != i], axis=0)
        found = algorithm.others(tell, device.learner, device.data)
        np.testing.assert_allclose(found, wanted, atol=2 * 5 / 4 / 510)


def test_devices_share_no_shape_of_any_parameter():
    """Numbers of layers and units of their own, torch and ONNX; what they share are classes."""
    nets = (
        nn.Sequential(nn.Flatten(), nn.Linear(4, 3)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)),
        nn.Sequential(nn.Conv2d(1, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3)),
    )
    devices = crew(ToyLearner)
    for device, net, kind in zip(devices, nets, ("torch", "onnx", "torch"), strict=True):
        device.learner = around(kind, net, (1, 2, 2), 3)
    config = fedh2l(rounds=6, fit_steps=10, learning_rate=0.05, evaluate="end")
    assert run(FedH2L(config), devices).done.metrics["accuracy"] > 0.6  # chance is 1/3


def test_alone_there_is_nobody_else():
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0)), crew(ToyLearner, devices=2)
    tell, own = told_to(algorithm, devices, absent=(1,))
    assert algorithm.others(tell, devices[0].learner, devices[0].data) is None
    found = algorithm.others(tell, devices[1].learner, devices[1].data)
    np.testing.assert_allclose(found, own[0], rtol=1e-5)
    algorithm.local(tell, devices[0].learner, devices[0].data, devices[0].rng)


def test_after_a_crash_ones_own_answer_is_still_found(learner):
    """Nothing is remembered between answer and lesson but the weights, which are stored."""
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0)), crew(learner, devices=4)
    tell, own = told_to(algorithm, devices)
    again = learner(99)
    again.restore(devices[0].learner.snapshot())
    found = algorithm.others(tell, again, devices[0].data)
    np.testing.assert_allclose(found, np.mean(own[1:], axis=0), rtol=1e-4, atol=1e-6)


def test_a_lesson_of_another_round_is_not_ones_own():
    """Marks name their round: what is stale is taken as the mean of everybody."""
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0)), crew(ToyLearner, devices=4)
    tell, own = told_to(algorithm, devices)
    stale = replace(tell, cycle=tell.cycle + 1)
    found = algorithm.others(stale, devices[0].learner, devices[0].data)
    np.testing.assert_allclose(found, np.mean(own, axis=0), rtol=1e-5)


def test_weights_that_changed_in_between_subtract_nothing():
    """Another task's Tell came between: what was answered is not known any more."""
    algorithm, devices = FedH2L(fedh2l(warm_up_epochs=0)), crew(ToyLearner, devices=4)
    tell, own = told_to(algorithm, devices)
    devices[0].learner.bias_K = devices[0].learner.bias_K + 0.1
    found = algorithm.others(tell, devices[0].learner, devices[0].data)
    np.testing.assert_allclose(found, np.mean(own, axis=0), rtol=1e-5)


def test_the_gradient_is_that_of_every_divergence_by_itself():
    """One step of rate 1 against autograd on CE + lambda/(N-1) * sum of KL, seeds as one batch."""
    config = fedh2l(
        warm_up_epochs=0,
        fit_steps=1,
        rounds=1,
        seed_batch=12,
        learning_rate=1.0,
        weight_decay=0.0,
        mutual_weight=2.5,
        projection="none",
        balanced=False,
        local_batch=20,
    )
    algorithm, devices = FedH2L(config), crew(ToyLearner, devices=4)
    tell, own = told_to(algorithm, devices)
    one = devices[0]
    weight, bias = (
        torch.tensor(a, dtype=torch.float64, requires_grad=True)
        for a in (one.learner.weight_DK, one.learner.bias_K)
    )

    def log_p(x: np.ndarray) -> torch.Tensor:
        return (torch.tensor(x.reshape(len(x), 4)).double() @ weight + bias).log_softmax(1)

    batch = next(one.data.batches(np.random.default_rng(0), 20))
    public = seeds()
    loss = torch.nn.functional.nll_loss(log_p(batch.x_NCHW), torch.tensor(batch.y_N))
    loss = loss + torch.nn.functional.nll_loss(log_p(public.x_NCHW), torch.tensor(public.y_N))
    for p_MK in own[1:]:
        divergence = torch.nn.functional.kl_div(
            log_p(public.x_NCHW), torch.tensor(p_MK), reduction="batchmean"
        )
        loss = loss + 2.5 / 3 * divergence
    wanted = torch.autograd.grad(loss, [weight, bias])
    before = one.learner.weight_DK.copy(), one.learner.bias_K.copy()
    algorithm.local(tell, one.learner, one.data, one.rng)
    for old, new, gradient in zip(
        before, (one.learner.weight_DK, one.learner.bias_K), wanted, strict=True
    ):
        np.testing.assert_allclose(old - new, gradient.numpy(), rtol=1e-4, atol=1e-6)


def test_identical_peers_teach_each_other_nothing():
    """The divergence is 0 there; only the seeds' labels and local data move them."""
    devices = crew(ToyLearner, devices=3)
    for device in devices:
        device.learner = ToyLearner(5)
    algorithm = FedH2L(fedh2l(warm_up_epochs=0))
    tell, own = told_to(algorithm, devices)
    for device in devices:
        found = algorithm.others(tell, device.learner, device.data)
        np.testing.assert_allclose(found, own[0], rtol=1e-5)


def test_a_run_learns(learner):
    seen = run(FedH2L(fedh2l(evaluate="end")), crew(learner))
    assert seen.steps == ["warm_up", *["answer", "learn"] * 3, "evaluate"]
    assert seen.done.metrics["accuracy"] > 0.6  # chance is 1/3


def test_the_order_of_devices_changes_nothing():
    def weights_of(order: Sequence[int]) -> list[np.ndarray]:
        devices = crew(ToyLearner, devices=4)
        run(FedH2L(fedh2l()), [devices[i] for i in order])
        return [d.learner.weight_DK for d in devices]

    for one, other in zip(weights_of([0, 1, 2, 3]), weights_of([2, 0, 3, 1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_rounding_changes_little():
    exact, rounded = crew(ToyLearner), crew(ToyLearner)
    run(FedH2L(fedh2l()), exact)
    run(FedH2L(fedh2l()), rounded, quantise=np.random.default_rng(0))
    for one, other in zip(exact, rounded, strict=True):
        np.testing.assert_allclose(one.learner.weight_DK, other.learner.weight_DK, atol=1e-3)


def test_messages_hold_posteriors_marks_and_a_count_alone():
    algorithm = FedH2L(fedh2l(warm_up_epochs=0))
    tell, _ = told_to(algorithm, crew(ToyLearner))
    assert [f.name for f in algorithm.answer_fields()] == ["posteriors", "tags"]
    assert set(tell.tensors) == {"posteriors", "tags", "survivors"}
    assert tell.tensors["tags"].dtype == np.uint8


@pytest.mark.parametrize(("labels", "mutual"), [(1.0, 1.0), (0.0, 2.0), (3.0, 1.0), (1.0, 0.0)])
def test_who_holds_the_seeds_is_taught_their_classes_and_the_mean(labels, mutual):
    algorithm = FedH2L(fedh2l(warm_up_epochs=0, label_weight=labels, mutual_weight=mutual))
    tell, own = told_to(algorithm, crew(ToyLearner, devices=4))
    state = RoundsState(Stage.LEARN, told=tell.tensors)
    assert isinstance(algorithm, TeachesHolders)
    assert algorithm.lessons_on(state, two_domains()) is None
    lessons = algorithm.lessons_on(state, seeds())
    wanted = labels * np.eye(3)[seeds().y_N] + mutual * np.mean(own, axis=0)
    np.testing.assert_allclose(lessons.targets_NK, wanted / (labels + mutual), atol=1e-5)


def test_projection_reaches_the_learner():
    seen = []

    class Noting(ToyLearner):
        def fit(self, steps, objective):
            seen.append((objective.projection, objective.distillation_weight))
            return super().fit(steps, objective)

    run(FedH2L(fedh2l(projection="symmetric", rounds=1)), crew(Noting))
    assert seen[-1] == ("symmetric", 2.0)


def test_seeds_without_classes_need_a_label_weight_of_0():
    bare = PublicSet(seeds().x_NCHW)
    device = Device(ToyLearner(), SharingData(toy_data(0), [bare]), np.random.default_rng(0))
    config = fedh2l(seed_set=bare.digest, warm_up_epochs=0)
    ask = FedH2L(config).plan(FedH2L(config).init(device.rng))
    with pytest.raises(ConfigError, match="label_weight"):
        FedH2L(config).local(ask, device.learner, device.data, device.rng)
    unlabelled = FedH2L(fedh2l(seed_set=bare.digest, label_weight=0.0))
    run(unlabelled, [device, Device(ToyLearner(1), device.data, np.random.default_rng(1))])


def test_own_other_and_all_domains_are_three_sums():
    """Two domains of opposite pictures, devices of one domain each: own is better than other."""
    tests = two_domains()
    config = fedh2l(
        evaluate="end", test_set=tests.digest, tests=60, mutual_weight=0.1, label_weight=0.0
    )
    devices = crew(ToyLearner, devices=4, domains=True)
    for device in devices:  # the second domain's own examples are upside down, too
        if device.data.domain == 1:
            own = toy_data(9)
            own._x = np.ascontiguousarray(own._x[:, :, ::-1, ::-1])
            device.data = SharingData(own, (seeds(), tests), 1)
    metrics = run(FedH2L(config), devices).done.metrics
    assert metrics["accuracy_own"] > 0.6 > metrics["accuracy_other"]
    middle = (metrics["accuracy_own"] + metrics["accuracy_other"]) / 2
    assert metrics["accuracy_all"] == pytest.approx(middle)


def test_who_does_not_know_its_domain_counts_for_all_alone():
    tests = two_domains()
    config = fedh2l(evaluate="end", test_set=tests.digest, tests=60)
    metrics = run(FedH2L(config), crew(ToyLearner)).done.metrics
    assert metrics["accuracy_own"] == metrics["accuracy_other"] == 0.0
    assert metrics["accuracy_all"] > 0.3


def test_marks_are_found_and_not_found():
    """64 slots per device: of 2,000 who were not in the sum nobody thinks that it was."""
    slots, data = 256, toy_data(0)
    there = [places(ToyLearner(i), data, 3, 0, slots) for i in range(8)]
    total = np.mean([marked(p, slots) for p in there], axis=0)
    told = slots_marked(total, 8)
    assert all(len(set(p)) == MARKS and told[p].all() for p in there)
    others = [places(ToyLearner(i), data, 3, 0, slots) for i in range(100, 2100)]
    assert not any(told[p].all() for p in others)
    assert not np.array_equal(there[0], places(ToyLearner(0), data, 3, 1, slots))


def test_noise_is_refused():
    assert "consensus/1" in FedH2L(fedh2l()).noise_fault()


@pytest.mark.parametrize(
    "change",
    [
        {"seed_set": "ab"},
        {"seeds": 0},
        {"mutual_weight": 0.0, "label_weight": 0.0},
        {"projection": "both"},
        {"tag_slots": 16},
        {"test_set": "0" * 64},
        {"tests": 5},
        {"test_set": "short", "tests": 5},
    ],
)
def test_wrong_configs_are_refused(change):
    with pytest.raises(ConfigError):
        fedh2l(**change)
