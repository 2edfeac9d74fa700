"""What every learner promises, whatever computes: torch on a CPU, on CUDA, onnxruntime."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.objectives import Adversarial, DreamObjective, FitObjective
from tests.unit.learning.learners import KINDS, around, learner
from tests.unit.learning.torch.tiny import CLASSES, images, tiny_net

LABELS = np.array([0, 2, 1, 2])
PLAIN = FitObjective(optimizer="sgd", learning_rate=0.1, weight_decay=0.0)
IDLE = ("0.bias", "3.bias")
"""Biases before BatchNorm: their gradient is 0, and Adam makes steps of its rounding."""
OBJECTIVES = {
    "labels": DreamObjective(labels_B=LABELS, feature_weight=0.0),
    "features": DreamObjective(labels_B=LABELS, feature_weight=3.0),
    "weights": DreamObjective(labels_B=LABELS, weights_B=np.array([0.5, 0, 1, 2], np.float32)),
    "entropy": DreamObjective(feature_weight=0.0),
    "diversity": DreamObjective(feature_weight=1.0, diversity=2.0),
}
LOGITS = np.random.default_rng(8).normal(0, 2, (4, CLASSES)).astype(np.float32)
OTHERS = np.random.default_rng(9).normal(0, 2, (4, CLASSES)).astype(np.float32)
DISAGREE = get_args(Adversarial)[1:]
OBJECTIVES |= {
    "cotangent": DreamObjective(
        weights_B=np.zeros(4, np.float32), feature_weight=0.0, cotangent_BK=OTHERS
    ),
    "everything": DreamObjective(
        labels_B=LABELS, adversarial="jsd", student_BK=LOGITS, cotangent_BK=OTHERS, diversity=1.0
    ),
}
OBJECTIVES |= {
    kind: DreamObjective(
        labels_B=LABELS,
        feature_weight=0.5,
        adversarial=kind,
        adversarial_weight=2.0,
        student_BK=LOGITS,
    )
    for kind in DISAGREE
}
FITS = {
    "adam": FitObjective(learning_rate=0.01),
    "sgd": FitObjective(optimizer="sgd", learning_rate=0.05, weight_decay=0.01),
    "prior": FitObjective(learning_rate=0.01, class_prior=(0.7, 0.2, 0.1)),
    "warm": FitObjective(learning_rate=0.01, temperature=4.0, distillation_weight=3.0),
    "running": FitObjective(learning_rate=0.01, distillation_norm="running"),
    "no dreams": FitObjective(learning_rate=0.01, distillation_weight=0.0),
    "global": FitObjective(optimizer="sgd", learning_rate=0.05, projection="protect_global"),
    "local": FitObjective(learning_rate=0.01, projection="protect_local", proximal=0.5),
    "both": FitObjective(optimizer="sgd", learning_rate=0.05, projection="symmetric"),
    "proximal": FitObjective(optimizer="sgd", learning_rate=0.05, proximal=2.0),
    "falling": FitObjective(learning_rate=0.01, decay_steps=2),
}


def local(count: int = 4, seed: int = 0) -> Batch:
    return Batch(images(count, seed), np.arange(count) % CLASSES)


def dreams(count: int = 4, seed: int = 1) -> Batch:
    targets = np.random.default_rng(seed).dirichlet(np.ones(CLASSES), count)
    return Batch(images(count, seed), targets_NK=targets.astype(np.float32))


def state_of(one: Learner) -> dict[str, np.ndarray]:
    return dict(one.parameters())


def assert_close(one: Learner, other: Learner, rtol: float = 1e-3, atol: float = 2e-5) -> None:
    mine, theirs = state_of(one), state_of(other)
    assert list(mine) == list(theirs)  # the order is public: FedAvg's fields have it
    for name, array in mine.items():
        if atol and name in IDLE:
            continue
        np.testing.assert_allclose(array, theirs[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_input_gradient_is_torchs(kind: str, name: str) -> None:
    wanted = learner("torch", 1).input_gradient(images(4), OBJECTIVES[name])
    found = learner(kind, 1).input_gradient(images(4), OBJECTIVES[name])
    np.testing.assert_allclose(found.gradient_NCHW, wanted.gradient_NCHW, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.logits_NK, wanted.logits_NK, rtol=1e-4, atol=1e-5)
    assert found.terms == pytest.approx(wanted.terms, rel=1e-4)
    assert found.gradient_NCHW.dtype == found.logits_NK.dtype == np.float32
    if wanted.student_cotangent_BK is None:
        assert found.student_cotangent_BK is None
    else:
        np.testing.assert_allclose(
            found.student_cotangent_BK, wanted.student_cotangent_BK, rtol=1e-3, atol=1e-5
        )


def test_a_cotangent_alone_pulls_the_logits_back(kind: str) -> None:
    """The second leg of an exchange: d <logits, c> / d x, by autograd through the same net."""
    x = torch.tensor(images(4), requires_grad=True)
    logits = tiny_net(1).eval()(x)
    (wanted,) = torch.autograd.grad((logits * torch.tensor(OTHERS)).sum(), x)
    found = learner(kind, 1).input_gradient(images(4), OBJECTIVES["cotangent"])
    np.testing.assert_allclose(found.gradient_NCHW, wanted.numpy(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", DISAGREE)
def test_disagreement_is_autograds(kind: str, name: str) -> None:
    """Both gradients of -weight * sum of D, with D written in torch here once more."""
    x = torch.tensor(images(4), requires_grad=True)
    student = torch.tensor(LOGITS, requires_grad=True)
    teacher = tiny_net(1).eval()(x)
    p, q = teacher.softmax(1), student.softmax(1)
    if name == "jsd":
        middle = ((p + q) / 2).log()
        each = (p * (p.log() - middle) + q * (q.log() - middle)) / 2
    elif name == "masked_kl":
        agreed = teacher.argmax(1) == student.argmax(1)
        assert 0 < int(agreed.sum()) < 4
        each = p * (p.log() - q.log()) * agreed[:, None]
    else:
        each = -q * q.log()
    wanted = torch.autograd.grad(-2.0 * each.sum(), (x, student), allow_unused=True)
    objective = replace(
        OBJECTIVES[name], weights_B=np.zeros(4, np.float32), labels_B=None, feature_weight=0.0
    )
    found = learner(kind, 1).input_gradient(images(4), objective)
    pulled = np.zeros_like(images(4)) if wanted[0] is None else wanted[0].numpy()
    np.testing.assert_allclose(found.gradient_NCHW, pulled, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.student_cotangent_BK, wanted[1].numpy(), rtol=1e-3, atol=1e-5)
    assert found.terms["adversarial"] == pytest.approx(float(each.sum().detach()) / 4, rel=1e-4)


@pytest.mark.parametrize("name", FITS)
def test_training_is_torchs(kind: str, name: str) -> None:
    """Five steps, local and dreams: the same losses and the same weights but for rounding."""
    one, wanted = learner(kind, 2), learner("torch", 2)
    steps = [(local(6, seed), dreams(5, seed + 20)) for seed in range(5)]
    found = one.fit(steps, FITS[name])
    assert found == pytest.approx(wanted.fit(steps, FITS[name]), rel=1e-4)
    assert_close(one, wanted)


def test_the_proximal_term_pulls_back_to_where_the_call_began(kind: str) -> None:
    """It shortens the way of six steps; of one it cannot: at the anchor its gradient is 0."""
    free, pulled = learner(kind), learner(kind)
    steps = [(local(6, seed),) for seed in range(6)]
    free.fit(steps, PLAIN)
    pulled.fit(steps, replace(PLAIN, proximal=5.0))
    first = state_of(learner(kind))

    def moved(one: Learner) -> float:
        weights = [name for name in first if name.endswith("weight")]
        return sum(float(np.square(state_of(one)[n] - first[n]).sum()) for n in weights)

    assert moved(pulled) < 0.5 * moved(free)
    free, one_step = learner(kind), learner(kind)
    free.fit(steps[:1], PLAIN)
    one_step.fit(steps[:1], replace(PLAIN, proximal=5.0))
    assert_close(free, one_step, rtol=0, atol=0)


def test_the_optimiser_that_changes_begins_anew(kind: str) -> None:
    one, wanted = learner(kind), learner("torch")
    for each in (one, wanted):
        each.fit([(local(6, s),) for s in range(2)], FITS["adam"])
        each.fit([(local(6, s),) for s in range(2)], FITS["sgd"])
        each.fit([(local(6, s),) for s in range(2)], FITS["adam"])
    assert_close(one, wanted)


def test_giving_changes_nothing(kind: str) -> None:
    one = learner(kind, 3)
    before = one.snapshot()
    one.logits(images(4))
    for objective in OBJECTIVES.values():
        one.input_gradient(images(4), objective)
    assert one.snapshot() == before


def test_a_restored_learner_goes_on_as_if_nothing_had_happened(kind: str) -> None:
    for objective in (FITS["adam"], FITS["sgd"]):
        steps = [(local(6, seed), dreams(6, seed)) for seed in range(6)]
        straight = learner(kind)
        straight.remember({"codream.dreams": images(2), "n": np.arange(3)})
        straight.fit(steps[:3], objective)
        stored = straight.snapshot()
        straight.fit(steps[3:], objective)
        resumed = learner(kind, 9)
        resumed.restore(stored)
        assert resumed.snapshot() == stored
        resumed.fit(steps[3:], objective)
        assert resumed.snapshot() == straight.snapshot()
        np.testing.assert_array_equal(resumed.memory()["codream.dreams"], images(2))
        assert resumed.memory()["n"].dtype == np.int64


@pytest.mark.parametrize("other", KINDS)
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_snapshot_moves_from_one_kind_to_another(kind: str, other: str, name: str) -> None:
    """A device may change from torch to ONNX and back, optimiser state and memory included."""
    one = learner(kind)
    one.remember({"dreams": images(1)})
    one.fit([(local(6, s), dreams(6, s)) for s in range(3)], FITS[name])
    moved = learner(other, 7)
    moved.restore(one.snapshot())
    np.testing.assert_array_equal(moved.memory()["dreams"], images(1))
    assert_close(one, moved, rtol=0, atol=0)
    for each in (one, moved):
        each.fit([(local(6, s), dreams(6, s)) for s in range(3, 5)], FITS[name])
    assert_close(one, moved)


def test_what_a_fresh_learner_stores_is_restored(kind: str) -> None:
    fresh, other = learner(kind), learner(kind, 5)
    other.fit([(local(),)], FITS["adam"])
    other.restore(fresh.snapshot())
    assert other.snapshot() == fresh.snapshot()


def test_a_wrong_snapshot_is_refused_and_changes_nothing(kind: str) -> None:
    one = learner(kind)
    before = one.snapshot()
    other = around(kind, nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)), (1, 4, 4), CLASSES)
    for wrong in (b"", b"noise" * 40, before[:-10], other.snapshot()):
        with pytest.raises(ConfigError):
            one.restore(wrong)
    assert one.snapshot() == before


def test_optimiser_state_lasts_from_call_to_call(kind: str) -> None:
    at_once, in_two = learner(kind), learner(kind)
    at_once.fit([(local(6, s),) for s in range(4)], FITS["adam"])
    in_two.fit([(local(6, s),) for s in range(2)], FITS["adam"])
    in_two.fit([(local(6, s),) for s in range(2, 4)], FITS["adam"])
    assert at_once.snapshot() == in_two.snapshot()


@pytest.mark.parametrize("norm", ["running", "batch"])
def test_dreams_do_not_move_running_statistics(kind: str, norm: str) -> None:
    objective = FitObjective(distillation_norm=norm, learning_rate=1e-9, weight_decay=0.0)
    with_dreams, without = learner(kind), learner(kind)
    with_dreams.fit([(local(), dreams())] * 3, objective)
    without.fit([(local(),)] * 3, objective)
    assert_close(with_dreams, without, rtol=0, atol=1e-6)
    before = learner(kind).parameters()["1.running_mean"]
    assert not np.allclose(with_dreams.parameters()["1.running_mean"], before)


def test_parameters_go_out_and_in(kind: str) -> None:
    one, other = learner(kind, 0), learner(kind, 1)
    parameters = dict(one.parameters())
    assert "1.running_var" in parameters and "1.num_batches_tracked" not in parameters
    other.load_parameters(parameters)
    np.testing.assert_array_equal(other.logits(images(3)), one.logits(images(3)))
    parameters["0.weight"][:] = 7.0
    assert not (one.parameters()["0.weight"] == 7.0).any()
    assert not (other.parameters()["0.weight"] == 7.0).any()
    with pytest.raises(ConfigError, match="shape"):
        other.load_parameters({**parameters, "0.bias": np.zeros(5, np.float32)})
    with pytest.raises(ConfigError, match="one side"):
        other.load_parameters({"0.bias": np.zeros(3, np.float32)})


def test_logits_follow_the_weights(kind: str) -> None:
    """What was computed with old weights is not used once they have changed."""
    one, twin = learner(kind, 4), learner("torch", 4)
    one.logits(images(2)), one.input_gradient(images(4), OBJECTIVES["features"])
    for each in (one, twin):
        each.fit([(local(6),)] * 3, PLAIN)
    np.testing.assert_allclose(one.logits(images(5)), twin.logits(images(5)), rtol=1e-3, atol=1e-4)
    found, wanted = (e.input_gradient(images(4), OBJECTIVES["features"]) for e in (one, twin))
    np.testing.assert_allclose(found.gradient_NCHW, wanted.gradient_NCHW, rtol=2e-3, atol=1e-4)


def test_logits_do_not_depend_on_how_many_come_at_once(kind: str) -> None:
    one = learner(kind)
    x = images(1_100)
    np.testing.assert_allclose(one.logits(x)[600:603], one.logits(x[600:603]), rtol=1e-4, atol=1e-5)
    assert one.logits(x[:0]).shape == (0, CLASSES)


def test_wrong_steps(kind: str) -> None:
    one = learner(kind)
    for step in ((), (dreams(),), (local(), local()), (local(), dreams(), dreams())):
        with pytest.raises(ConfigError):
            one.fit([step], PLAIN)
    assert one.fit([], PLAIN) == 0.0


def test_refusals(kind: str) -> None:
    one = learner(kind)
    with pytest.raises(ConfigError, match="below 3"):
        one.input_gradient(images(1), DreamObjective(labels_B=np.array([3])))
    with pytest.raises(ConfigError, match="weights_B"):
        one.input_gradient(images(2), DreamObjective(weights_B=np.ones(3, np.float32)))
    with pytest.raises(ConfigError, match="labels_B"):
        one.input_gradient(images(4), DreamObjective(labels_B=np.array([0, 1])))
    narrow = np.zeros((4, 2), np.float32)
    for wrong in (
        DreamObjective(adversarial="masked_kl", student_BK=narrow),
        DreamObjective(cotangent_BK=narrow),
    ):
        with pytest.raises(ConfigError, match=r"_BK has shape \(4, 2\), not \(4, 3\)"):
            one.input_gradient(images(4), wrong)
    plain = around(kind, nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES)), (1, 4, 4), CLASSES)
    with pytest.raises(ConfigError, match="no BatchNorm"):
        plain.input_gradient(images(2), DreamObjective(feature_weight=1.0))
    assert plain.input_gradient(images(2), DreamObjective(feature_weight=0.0)).terms["task"] > 0


def test_balanced_softmax_by_hand(kind: str) -> None:
    """Weights and biases 0, prior 3/4, 1/4: with the prior's log the softmax is the prior itself,
    so for a label 1 the loss is ln 4 and the bias's step is -rate * (3/4, 1/4 - 1)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.zero_()
    one = around(kind, net, (1, 4, 4), 2)
    objective = FitObjective(
        optimizer="sgd", learning_rate=0.1, weight_decay=0.0, class_prior=(0.75, 0.25)
    )
    loss = one.fit([(Batch(images(2), np.array([1, 1])),)], objective)
    assert loss == pytest.approx(math.log(4.0), rel=1e-6)
    np.testing.assert_allclose(one.parameters()["1.bias"], [-0.075, 0.075], rtol=1e-5)


def test_descent_lowers_the_objective_and_its_terms(kind: str) -> None:
    one = learner(kind)
    x = images(4)
    first = one.input_gradient(x, OBJECTIVES["features"])
    for _ in range(60):
        x = x - 0.02 * one.input_gradient(x, OBJECTIVES["features"]).gradient_NCHW
    last = one.input_gradient(x, OBJECTIVES["features"])
    assert last.terms["task"] < first.terms["task"]
    assert last.terms["features"] < first.terms["features"]


def test_read_only_inputs_are_taken(kind: str) -> None:
    """Payloads are read-only views of what came over the wire."""
    one = learner(kind)
    x = images(4)
    x.setflags(write=False)
    one.logits(x)
    one.input_gradient(x, OBJECTIVES["labels"])
    one.fit([(Batch(x, LABELS),)], PLAIN)
