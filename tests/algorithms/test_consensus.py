"""`consensus/1`: what is averaged, what is told, and that devices come to agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Done, TeachesHolders, Tell
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.consensus import Consensus, ConsensusConfig, ConsensusState
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import softmax
from tests.algorithms.oracle import run
from tests.algorithms.sharing import consensus, crew, seeds
from tests.algorithms.toy import ToyLearner, toy_data


def test_a_run_learns(learner):
    seen = run(Consensus(consensus(evaluate="round")), crew(learner))
    assert seen.steps == ["warm_up", *["answer", "learn", "evaluate"] * 3]
    assert seen.done.metrics["accuracy"] > 0.6  # chance is 1/3
    np.testing.assert_allclose(seen.done.result["targets"].sum(axis=1), 1.0, rtol=1e-5)


class Noting(Consensus):
    """Keeps what was planned and every state."""

    def __init__(self, config: ConsensusConfig) -> None:
        super().__init__(config)
        self.plans: list[Ask | Tell | Done] = []
        self.states: list[ConsensusState] = []

    def plan(self, state):
        self.plans.append(super().plan(state))
        return self.plans[-1]

    def merge(self, state, mean, crowd):
        self.states.append(super().merge(state, mean, crowd))
        return self.states[-1]


@pytest.mark.parametrize(
    ("evaluate", "wanted"),
    [("never", [3, 2, 1]), ("end", [4, 3, 2, 1]), ("round", [6, 5, 4, 3, 2, 1])],
)
def test_sums_left_count_down(evaluate, wanted):
    algorithm = Noting(consensus(evaluate=evaluate))
    run(algorithm, crew(ToyLearner))
    assert [plan.sums for plan in algorithm.plans if isinstance(plan, Ask)] == wanted


def test_bytes_tell_the_same_to_one_in_510():
    config = consensus(warm_up_epochs=0, rounds=1, fit_steps=0)
    exact = run(Consensus(config), crew(ToyLearner)).done.result["targets"]
    short = run(Consensus(replace(config, told="uint8")), crew(ToyLearner)).done.result["targets"]
    assert short.dtype == np.uint8
    np.testing.assert_allclose(short / 255.0, exact, atol=1 / 509)


@pytest.mark.parametrize("opinion", ["posteriors", "logits"])
def test_what_is_told_is_the_mean_of_who_answered(opinion):
    """Temperature 2; the second of three devices is missing."""
    config = consensus(opinion=opinion, temperature=2.0, warm_up_epochs=0, rounds=1, fit_steps=0)
    devices = crew(ToyLearner)
    logits = [d.learner.logits(seeds().x_NCHW).astype(float) for d in devices]
    done = run(Consensus(config), devices, absent=lambda r: (1,)).done
    if opinion == "logits":
        wanted = softmax((logits[0] + logits[2]) / 2 / 2.0)
    else:
        wanted = (softmax(logits[0] / 2.0) + softmax(logits[2] / 2.0)) / 2
    np.testing.assert_allclose(done.result["targets"], wanted, rtol=1e-5)


def test_logits_are_clipped_at_their_bound():
    config = consensus(opinion="logits", logit_bound=1.0, warm_up_epochs=0)
    (device,) = crew(ToyLearner, devices=1)
    device.learner.bias_K = np.array([50.0, 0.0, -50.0])
    ask = Consensus(config).plan(Consensus(config).init(np.random.default_rng(0)))
    found = Consensus(config).local(ask, device.learner, device.data, device.rng)
    np.testing.assert_allclose(found.arrays["logits"][:, [0, 2]], [[1.0, -1.0]] * 12)


@pytest.mark.parametrize("told", ["float32", "uint8"])
def test_who_holds_the_set_is_taught_what_devices_are_told(told):
    algorithm = Noting(consensus(told=told))
    agreed = run(algorithm, crew(ToyLearner)).done.result["targets"]
    assert isinstance(algorithm, TeachesHolders)
    assert algorithm.lessons_on(algorithm.init(np.random.default_rng(0)), seeds()) is None
    assert algorithm.lessons_on(algorithm.states[-1], seeds(seed=51)) is None
    lessons = algorithm.lessons_on(algorithm.states[-1], seeds())
    np.testing.assert_array_equal(lessons.x_NCHW, seeds().x_NCHW)
    wanted = agreed / (255.0 if told == "uint8" else 1.0)
    np.testing.assert_allclose(lessons.targets_NK, wanted, atol=1e-2 if told == "uint8" else 1e-6)


def test_an_answer_leaves_the_learner_as_it_is(learner):
    algorithm = Consensus(consensus(warm_up_epochs=0))
    (device,) = crew(learner, devices=1)
    before = device.learner.snapshot()
    algorithm.local(
        algorithm.plan(algorithm.init(device.rng)), device.learner, device.data, device.rng
    )
    assert device.learner.snapshot() == before


def test_a_device_without_the_set_declines_and_says_why():
    algorithm = Consensus(consensus(warm_up_epochs=0))
    ask = algorithm.plan(algorithm.init(np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="which this device does not hold"):
        algorithm.local(ask, ToyLearner(), toy_data(0), np.random.default_rng(0))


def test_state_survives_storing():
    algorithm = Noting(consensus(evaluate="end"))
    run(algorithm, crew(ToyLearner))
    for state in algorithm.states:
        again = decode_state(encode_state(state), ConsensusState)
        assert again.stage is state.stage and again.metrics == state.metrics
        for name, array in state.told.items():
            np.testing.assert_array_equal(again.told[name], array)


@pytest.mark.parametrize(
    "change",
    [
        {"public_set": "ab"},
        {"public_set": "Z" * 64},
        {"inputs": 0},
        {"temperature": 0.0},
        {"opinion": "votes"},
        {"public_batch": 1},
        {"evaluate": "cycle"},
    ],
)
def test_wrong_configs_are_refused(change):
    with pytest.raises(ConfigError):
        consensus(**change)
