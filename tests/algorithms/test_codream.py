"""`codream/1` from its first plan to its last on toy learners, with exact sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.codream import Codream, CodreamConfig, CodreamState
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Learner
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.toy import CLASSES, SHAPE, ToyLearner, toy_data

CONFIG = CodreamConfig(
    shape=SHAPE,
    classes=CLASSES,
    cycles=2,
    dreams=6,
    dream_steps=3,
    feature_weight=0.0,
    warm_up_epochs=5,
    warm_up_rate=0.1,
    learning_rate=0.1,
    fit_steps=4,
    local_batch=8,
    distillation_batch=8,
    replay=12,
    evaluate="cycle",
)
COUNTS = ((10, 6, 4), (2, 9, 9), (8, 0, 12))


def devices(learner: Callable[[int], Learner] = ToyLearner) -> list[Device]:
    return [
        Device(learner(seed), toy_data(seed, counts), np.random.default_rng(seed))
        for seed, counts in enumerate(COUNTS)
    ]


def test_the_order_of_steps(learner):
    seen = run(Codream(CONFIG), devices(learner))
    cycle = ["dream"] * 3 + ["label", "acquire", "evaluate"]
    assert seen.steps == ["count", "warm_up", *cycle, *cycle]


def test_every_ask_lies_within_the_template_and_counts_down(learner):
    algorithm = Codream(CONFIG)
    template = algorithm.steps()
    crew = devices(learner)
    state = algorithm.init(np.random.default_rng(0))
    left = []
    while not isinstance(plan := algorithm.plan(state), Done):
        updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in crew]
        mean = {}
        if isinstance(plan, Ask):
            left.append(plan.sums)
            for field, largest in zip(plan.fields, template[plan.step], strict=True):
                assert field.bound <= largest.bound
                assert replace(field, bound=largest.bound) == largest
            mean = mean_of(plan, updates)
        else:
            assert plan.sums == left[-1] - 1
        state = algorithm.merge(state, mean, Crowd(3, 3))
    # count, then per cycle 3 dreams, 1 label, 1 evaluation
    assert left == list(range(1 + 2 * (3 + 1 + 1), 0, -1))


def test_the_result_is_public_and_complete(learner):
    done = run(Codream(CONFIG), devices(learner)).done
    assert done.result["dreams"].shape == (12, *SHAPE)
    np.testing.assert_allclose(done.result["targets"].sum(axis=1), 1.0, rtol=1e-6)
    # 10+2+8, 6+9+0, 4+9+12
    np.testing.assert_array_equal(done.result["totals"], [20, 15, 25])
    assert done.result["accuracies"].shape == (2,)
    assert 0.0 < done.metrics["accuracy"] <= 1.0
    assert done.result["dreams"].min() >= CONFIG.low and done.result["dreams"].max() <= CONFIG.high


def test_a_run_from_a_stored_state_ends_the_same(learner):
    """Kill and resume after every single step: nothing but the stored bytes is kept."""

    class Forgetful(Codream):
        def merge(self, state, mean, crowd):
            after = super().merge(state, mean, crowd)
            return decode_state(encode_state(after), CodreamState)

    straight, resumed = (
        run(Codream(CONFIG), devices(learner)),
        run(Forgetful(CONFIG), devices(learner)),
    )
    assert straight.done.metrics == resumed.done.metrics
    for name, array in straight.done.result.items():
        np.testing.assert_array_equal(array, resumed.done.result[name])


def test_local_is_a_function_of_snapshot_tell_data_and_generator(learner):
    """A phase that is redone after a crash gives the same weights and the same memory."""
    algorithm = Codream(CONFIG)
    tell = Tell(
        "acquire",
        {
            "dreams": np.ones((6, *SHAPE), np.float32),
            "targets": np.full((6, CLASSES), 1 / 3, np.float32),
        },
    )
    own, data = learner(), toy_data(0)
    before = own.snapshot()
    algorithm.local(tell, own, data, np.random.default_rng(7))
    after = own.snapshot()
    own.restore(before)
    algorithm.local(tell, own, data, np.random.default_rng(7))
    assert own.snapshot() == after


def test_the_replay_is_bounded_and_keeps_the_newest(learner):
    algorithm = Codream(replace(CONFIG, fit_steps=0))
    own, data = learner(), toy_data(0)

    def acquire(value: float, cycle: int) -> list[float]:
        dreams = np.full((6, *SHAPE), value, np.float32)
        targets = np.full((6, CLASSES), 1 / 3, np.float32)
        tell = Tell("acquire", {"dreams": dreams, "targets": targets}, cycle=cycle)
        algorithm.local(tell, own, data, np.random.default_rng(0))
        return own.memory()["codream.dreams"][:, 0, 0, 0].tolist()

    assert [acquire(1, 0), acquire(2, 1), acquire(3, 2)] == [
        [1.0] * 6,
        [1.0] * 6 + [2.0] * 6,
        [2.0] * 6 + [3.0] * 6,
    ]
    assert acquire(4, 0) == [4.0] * 6  # a new task forgets the old one's dreams
    own.remember({"codream.dreams": np.ones((1, 9)), "codream.targets": np.ones((1, 2))})
    assert acquire(5, 3) == [5.0] * 6  # another task's, of another shape


def test_unknown_steps_are_refused(learner):
    algorithm, own, data = Codream(CONFIG), learner(), toy_data(0)
    rng = np.random.default_rng(0)
    for plan in (Ask("acquire", ()), Tell("dream", {}), Ask("parameters", ())):
        with pytest.raises(ConfigError, match=r"codream/1 has no"):
            algorithm.local(plan, own, data, rng)
    with pytest.raises(ConfigError, match=r"needs the public tensor 'dreams'"):
        algorithm.local(Ask("dream", ()), own, data, rng)


def test_a_class_that_nobody_has_is_not_dreamt(learner):
    crew = [
        Device(learner(seed), toy_data(seed, (5, 0, 7)), np.random.default_rng(seed))
        for seed in range(3)
    ]
    seen: list[np.ndarray] = []

    class Watching(Codream):
        def local(self, ask, learner, data, rng):
            if ask.step == "dream":
                seen.append(ask.tensors["labels"])
            return super().local(ask, learner, data, rng)

    result = run(Watching(CONFIG), crew).done.result
    assert {int(label) for labels in seen for label in labels} == {0, 2}
    np.testing.assert_array_equal(result["targets"][:, 1], 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"server_optimizer": "sgd"},
        {"server_optimizer": "avg", "local_steps": 3, "local_rate": 0.5},
        {"local_steps": 4},
        {"objective": "entropy", "weighting": "uniform"},
        {"objective": "entropy", "weighting": "examples"},
        {"weighting": "uniform"},
        {"weighting": "examples", "label_average": "mean_softmax"},
        {"label_average": "mean_logits", "temperature": 2.0},
        {"balanced": False},
        {"evaluate": "end"},
        {"evaluate": "never"},
        {"dream_bits": 8, "gradient_bits": 8},
        {"form": "generator", "latent": 5, "generator_width": 2},
        {"form": "generator", "server_optimizer": "avg", "local_steps": 3, "latent": 4},
        {"form": "generator", "objective": "entropy", "weighting": "uniform"},
        {"student": "small", "student_width": 2, "student_steps": 2},
        {"student": "small", "adversarial": "jsd"},
        {"student": "small", "adversarial": "masked_kl", "local_steps": 2, "dream_bits": 8},
        {"student": "small", "adversarial": "server_entropy", "adversarial_weight": 2.0},
    ],
)
def test_every_variant_runs_to_the_end(change, learner):
    done = run(Codream(replace(CONFIG, **change)), devices(learner)).done
    assert np.isfinite(done.result["dreams"]).all()
    np.testing.assert_allclose(done.result["targets"].sum(axis=1), 1.0, rtol=1e-5)


def test_dreams_are_a_function_of_the_public_seed():
    def first_dreams(seed: int) -> np.ndarray:
        state = Codream(replace(CONFIG, seed=seed)).init(np.random.default_rng(seed + 100))
        algorithm = Codream(replace(CONFIG, seed=seed))
        state = algorithm.merge(state, {"counts": np.ones(CLASSES)}, Crowd(3, 3))
        state = algorithm.merge(state, {}, Crowd(3, 3))
        return state.x_BCHW

    np.testing.assert_array_equal(first_dreams(1), first_dreams(1))
    assert not np.array_equal(first_dreams(1), first_dreams(2))
