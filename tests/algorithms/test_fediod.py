"""`fediod/1` from its first plan to its last, with exact sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Concludes, Crowd, Done, Draws, Teaches, Tell
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.fediod import FedIOD, FedIODState, forming
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import softmax
from tests.algorithms.iod import crew, fediod, summed, until
from tests.algorithms.oracle import mean_of, run
from tests.algorithms.toy import ToyLearner, toy_data


def test_the_order_of_steps(learner):
    seen = run(FedIOD(fediod(evaluate="cycle")), crew(learner))
    cycle = ["judge", "answer", "pull"] * 2 + ["label", "evaluate"]
    assert seen.steps == ["count", "warm_up", *cycle, *cycle]


def test_without_discriminators_nobody_is_told_to_train_one():
    seen = run(FedIOD(fediod(real_weight=0.0, labels=0)), crew())
    assert seen.steps == ["count", "warm_up", *["answer", "pull"] * 4]


@pytest.mark.parametrize("divergence", ["none", "code", "uniqueness"])
def test_every_ask_lies_within_the_template_and_counts_down(divergence):
    algorithm, devices = FedIOD(fediod(divergence=divergence, evaluate="end")), crew()
    template, left = algorithm.steps(), []
    state = algorithm.init(np.random.default_rng(0))
    while not isinstance(plan := algorithm.plan(state), Done):
        updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in devices]
        mean = {}
        if isinstance(plan, Ask):
            left.append(plan.sums)
            for field, largest in zip(plan.fields, template[plan.step], strict=True):
                assert replace(field, bound=largest.bound) == largest
                assert field.bound <= largest.bound
            mean = mean_of(plan, updates)
        else:
            assert not any(u.arrays for u in updates)
        state = algorithm.merge(state, mean, Crowd(3, 3))
        state = decode_state(encode_state(state), FedIODState)
    assert left == list(range(len(left), 0, -1))


def test_a_run_that_is_resumed_at_every_step_is_the_same_run():
    config = fediod(divergence="code")
    straight = run(FedIOD(config), crew()).done.result
    algorithm, devices = FedIOD(config), crew()
    state = algorithm.init(np.random.default_rng(0))
    while not isinstance(algorithm.plan(state), Done):
        state = decode_state(encode_state(state), FedIODState)
        for device in devices:
            device.learner.restore(device.learner.snapshot())
        state = summed(algorithm, state, devices)
    result = algorithm.plan(state).result
    assert result.keys() == straight.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(result[name], array, err_msg=name)


def test_quantised_sums_change_little(learner):
    config = fediod(
        divergence="uniqueness",
        generator_optimizer="sgd",
        generator_rate=0.01,
        gradient_bits=16,
        first_gradient_bound=64.0,
    )
    exact = run(FedIOD(config), crew(learner)).done.result
    rounded = run(FedIOD(config), crew(learner), quantise=np.random.default_rng(1)).done.result
    np.testing.assert_array_equal(rounded["totals"], exact["totals"])
    assert np.abs(rounded["images"] - exact["images"]).max() < 0.01
    assert np.abs(rounded["targets"] - exact["targets"]).max() < 0.01


def test_a_run_survives_dropouts_in_any_sum(learner):
    config = fediod(divergence="code", evaluate="end", image_bits=8)
    seen = run(FedIOD(config), crew(learner), absent=lambda r: (r % 3,) if r % 2 else ())
    assert all(np.isfinite(array).all() for array in seen.done.result.values())
    assert 0 < seen.done.metrics["accuracy"] <= 1


def test_the_evaluation_is_of_the_student(learner):
    config = fediod(evaluate="end", student_steps=60, student_rate=0.01, cycles=3, labels=3)
    devices = crew(learner)
    done = run(FedIOD(config), devices).done
    net, values = forming.student_of(config), forming.student_values(done.result)
    right, count = 0, 0
    for device in devices:
        held = device.data.held_out()
        right += int((net.forward(values, held.x_NCHW)[0].argmax(axis=1) == held.y_N).sum())
        count += len(held.y_N)
    assert done.metrics["accuracy"] == pytest.approx(right / count, abs=1e-6)
    assert done.result["accuracies"].tolist() == [done.metrics["accuracy"]]


def test_a_student_learns_what_no_device_knows_alone():
    """Three devices with two classes each; the student sees generated images and sums alone."""
    counts = ((20, 20, 0), (0, 20, 20), (20, 0, 20))
    config = fediod(
        low=-1.0,
        high=2.0,
        warm_up_epochs=60,
        cycles=4,
        generator_steps=4,
        labels=2,
        batch=32,
        replay=1000,
        student_steps=60,
        student_width=8,
        student_batch=32,
        student_rate=0.01,
        generator_rate=0.01,
        image_bits=8,
        gradient_bits=12,
        evaluate="end",
    )
    done = run(FedIOD(config), crew(counts=counts)).done
    assert done.metrics["accuracy"] > 0.85


def test_lessons_and_pictures_for_whoever_watches():
    config = fediod(labels=2)
    algorithm = FedIOD(config)
    assert isinstance(algorithm, Draws) and isinstance(algorithm, Teaches)
    assert not isinstance(algorithm, Concludes)
    state = algorithm.init(np.random.default_rng(0))
    assert algorithm.lessons(state) is None and algorithm.gallery(state) is None
    assert algorithm.lessons(object()) is None and algorithm.gallery_of({}) is None
    devices = crew()
    state = until("label", algorithm, devices)
    lessons, gallery = algorithm.lessons(state), algorithm.gallery(state)
    assert len(lessons.x_NCHW) == len(gallery) == config.generator_steps * config.batch
    logits_NK = state.lessons.logits_NK
    np.testing.assert_allclose(lessons.targets_NK, softmax(logits_NK), rtol=1e-5)
    np.testing.assert_array_equal(gallery.labels_N, logits_NK.argmax(axis=1))
    done = run(algorithm, crew()).done
    assert len(algorithm.gallery_of(done.result)) == len(done.result["images"])


def test_the_replay_has_a_limit():
    config = fediod(replay=8)
    assert len(run(FedIOD(config), crew()).done.result["images"]) == 8


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"shape": (1, 0, 2)}, "shape"),
        ({"low": 1.0}, "low"),
        ({"batch": 1}, "batch"),
        ({"replay": 5}, "replay"),
        ({"divergence": "jsd"}, "divergence"),
        ({"divergence_weight": float("nan")}, "divergence_weight"),
        ({"distillation": "mse"}, "distillation"),
        ({"real_weight": -1.0}, "real_weight"),
        ({"image_bits": 16}, "image_bits"),
        ({"first_gradient_bound": 300.0}, "first_gradient_bound"),
        ({"generator_optimizer": "lion"}, "generator_optimizer"),
    ],
)
def test_what_a_config_refuses(changes, text):
    with pytest.raises(ConfigError, match=text):
        fediod(**changes)


def test_what_a_device_refuses():
    config = fediod()
    algorithm = FedIOD(config)
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no Tell named 'dream'"):
        algorithm.local(Tell("dream", {}), ToyLearner(), toy_data(0), rng)
    with pytest.raises(ConfigError, match="'images', which did not come"):
        algorithm.local(Tell("judge", {}), ToyLearner(), toy_data(0), rng)
    state = algorithm.init(rng)
    with pytest.raises(ConfigError, match="single example"):
        algorithm.merge(state, {"counts": np.zeros(3)}, Crowd(3, 3))
