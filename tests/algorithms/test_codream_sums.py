"""What is summed in `codream/1`, against values derived by hand.

Shape legend: B dreams, K classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.bounds import CLIPPED
from dreamshare.algorithms.codream import Codream
from dreamshare.algorithms.codream.state import Stage
from dreamshare.learning.measures import softmax
from dreamshare.learning.objectives import DreamObjective
from dreamshare.payloads.dreams import prior_gradient, starting_dreams
from tests.algorithms.oracle import mean_of, run
from tests.algorithms.test_codream import CONFIG, COUNTS, devices
from tests.algorithms.toy import CLASSES

EXACT = replace(CONFIG, server_optimizer="sgd", dream_rate=1.0, low=-100.0, high=100.0)


def dream_step(learner, config, absent=()):
    """One 'dream' round right after counting; returns (x before, labels, x after, crew)."""
    algorithm, crew = Codream(config), devices(learner)
    state = algorithm.init(np.random.default_rng(0))
    ask = algorithm.plan(state)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
    state = algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))
    state = algorithm.merge(state, {}, Crowd(3, 3))
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    updates = [
        algorithm.local(ask, d.learner, d.data, d.rng)
        for i, d in enumerate(crew)
        if i not in absent
    ]
    after = algorithm.merge(state, mean_of(ask, updates), Crowd(3, len(updates)))
    return state.x_BCHW, state.labels_B, after, crew


def expected_gradient(x_BCHW, labels_B, crew, weights_kK):
    """sum_k w_k(y) g_k / sum_k w_k(y), dream by dream."""
    objective = DreamObjective(labels_B=labels_B, feature_weight=0.0)
    total = np.zeros(x_BCHW.shape)
    mass_B = np.zeros(len(labels_B))
    for device, weights_K in zip(crew, weights_kK, strict=True):
        gradient = device.learner.input_gradient(x_BCHW, objective).gradient_NCHW
        total += gradient * weights_K[labels_B][:, None, None, None]
        mass_B += weights_K[labels_B]
    return total / mass_B[:, None, None, None]


@pytest.mark.parametrize("absent", [(), (0,), (1,)])
def test_class_weights_are_the_survivors_shares(absent, learner):
    """Counts (10,6,4), (2,9,9), (8,0,12): class 0 weighs 10/20, 2/20, 8/20 while all are there;
    without device 0 it weighs 2/10 and 8/10, although the public total stays 20."""
    x_BCHW, labels_B, after, crew = dream_step(learner, EXACT, absent)
    left = [i for i in range(3) if i not in absent]
    weights = [np.array(COUNTS[i], float) for i in left]
    gradient = expected_gradient(x_BCHW, labels_B, [crew[i] for i in left], weights)
    moved = x_BCHW - gradient - prior_gradient(x_BCHW, EXACT.smoothness, EXACT.norm)
    np.testing.assert_allclose(after.x_BCHW, moved, atol=1e-6)


@pytest.mark.parametrize(
    ("weighting", "weights"),
    [("uniform", (1.0, 1.0, 1.0)), ("examples", (20.0, 20.0, 20.0))],
)
def test_other_weightings(weighting, weights, learner):
    config = replace(EXACT, weighting=weighting)
    x_BCHW, labels_B, after, crew = dream_step(learner, config)
    ones = [np.full(CLASSES, w) for w in weights]
    gradient = expected_gradient(x_BCHW, labels_B, crew, ones)
    moved = x_BCHW - gradient - prior_gradient(x_BCHW, EXACT.smoothness, EXACT.norm)
    np.testing.assert_allclose(after.x_BCHW, moved, atol=1e-6)


def test_a_class_whose_holders_are_gone_rests(learner):
    """Device 2 alone is left and has no class 1: those dreams feel the priors and nothing else."""
    x_BCHW, labels_B, after, _ = dream_step(learner, EXACT, absent=(0, 1))
    moved = x_BCHW - prior_gradient(x_BCHW, EXACT.smoothness, EXACT.norm)
    resting = labels_B == 1
    np.testing.assert_allclose(after.x_BCHW[resting], moved[resting], atol=1e-6)
    assert not np.allclose(after.x_BCHW[~resting], moved[~resting], atol=1e-3)


@pytest.mark.parametrize(("share", "moves"), [(0.1, True), (0.0005, False)])
def test_the_least_share_is_the_survivors_together_however_many_they_are(share, moves):
    """200 survivors who hold a tenth of class 1 have a mean share of 0.0005, below 1/1000, and yet
    move its dreams by gradient / mass; who hold a twentieth of a percent do not."""
    config = replace(EXACT, smoothness=0.0, norm=0.0)
    algorithm, crowd = Codream(config), Crowd(200, 200)
    state = algorithm.init(np.random.default_rng(0))
    state = algorithm.merge(state, {"counts": np.ones(CLASSES)}, crowd)
    state = algorithm.merge(state, {}, crowd)
    mass_K = np.full(CLASSES, share / 200)
    mean = {
        "mass": mass_K,
        "gradient": np.full(state.x_BCHW.shape, share / 200),
        CLIPPED: np.zeros(()),
    }
    after = algorithm.merge(state, mean, crowd)
    np.testing.assert_allclose(state.x_BCHW - after.x_BCHW, 1.0 if moves else 0.0, atol=1e-6)


def test_one_local_step_of_plain_descent_is_the_gradient(learner):
    """avg with M = 1: the mean of (x - r g_k) is x - r (mean g_k), so sgd with rate r gives it."""
    averaged = replace(EXACT, server_optimizer="avg", local_steps=1, local_rate=0.25)
    descended = replace(EXACT, server_optimizer="sgd", dream_rate=0.25)
    x_averaged = dream_step(learner, averaged)[2].x_BCHW
    x_descended = dream_step(learner, descended)[2].x_BCHW
    np.testing.assert_allclose(x_averaged, x_descended, atol=1e-6)


def test_avg_with_more_steps_is_the_mean_of_the_devices_own_results(learner):
    config = replace(
        EXACT, server_optimizer="avg", local_steps=2, local_rate=0.25, weighting="uniform"
    )
    config = replace(config, smoothness=0.0, norm=0.0)
    x_BCHW, labels_B, after, crew = dream_step(learner, config)
    objective = DreamObjective(labels_B=labels_B, feature_weight=0.0)
    results = []
    for device in crew:
        x = x_BCHW.astype(np.float64)
        for _ in range(2):
            x = x - 0.25 * device.learner.input_gradient(x, objective).gradient_NCHW
        results.append(x)
    np.testing.assert_allclose(after.x_BCHW, np.mean(results, axis=0), atol=1e-6)


def labelled(learner, config, absent=()):
    """Return (x, merged soft labels, the crew that answered)."""
    algorithm, crew = Codream(config), devices(learner)
    state = algorithm.init(np.random.default_rng(0))
    state = replace(
        state,
        stage=Stage.LABEL,
        totals_K=np.array([20.0, 15.0, 25.0]),
        x_BCHW=starting_dreams(0, 0, config.dreams, config.shape, 1.0),
    )
    ask = algorithm.plan(state)
    crew = [d for i, d in enumerate(crew) if i not in absent]
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
    return state.x_BCHW, algorithm._targets(mean_of(ask, updates), len(updates)), crew


@pytest.mark.parametrize("absent", [(), (0,)])
def test_class_averaged_labels(absent, learner):
    """q(c) ~ sum_k n_k(c) p_k(c) / sum_k n_k(c), rows normalised."""
    x_BCHW, targets_BK, crew = labelled(learner, CONFIG, absent)
    counts = [np.array(c, float) for i, c in enumerate(COUNTS) if i not in absent]
    total = sum(
        softmax(d.learner.logits(x_BCHW)) * c for d, c in zip(crew, counts, strict=True)
    ) / sum(counts)
    np.testing.assert_allclose(
        targets_BK, total / total.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-7
    )


def test_mean_softmax_and_mean_logits(learner):
    soft = replace(CONFIG, label_average="mean_softmax", temperature=2.0)
    x_BCHW, targets_BK, crew = labelled(learner, soft)
    mean = np.mean([softmax(d.learner.logits(x_BCHW) / 2.0) for d in crew], axis=0)
    np.testing.assert_allclose(targets_BK, mean, rtol=1e-5)
    clipped = replace(CONFIG, label_average="mean_logits", temperature=2.0, logit_bound=0.05)
    x_BCHW, targets_BK, crew = labelled(learner, clipped)
    mean = np.mean([np.clip(d.learner.logits(x_BCHW), -0.05, 0.05) for d in crew], axis=0)
    np.testing.assert_allclose(targets_BK, softmax(mean / 2.0), rtol=1e-5)


def test_quantised_sums_change_little(learner):
    """16-bit lanes: dreams differ from the exact run by far less than a server step (0.1)."""
    config = replace(CONFIG, server_optimizer="sgd", dream_rate=0.1, fit_steps=0)
    exact = run(Codream(config), devices(learner)).done.result
    rounded = run(Codream(config), devices(learner), quantise=np.random.default_rng(1)).done.result
    np.testing.assert_array_equal(rounded["totals"], exact["totals"])
    assert np.abs(rounded["dreams"] - exact["dreams"]).max() < 0.002
    assert np.abs(rounded["targets"] - exact["targets"]).max() < 0.002


def test_a_run_survives_dropouts_in_any_sum(learner):
    seen = run(Codream(CONFIG), devices(learner), absent=lambda r: (r % 3,) if r % 2 else ())
    assert np.isfinite(seen.done.result["dreams"]).all()
    assert seen.done.metrics["accuracy"] > 0
