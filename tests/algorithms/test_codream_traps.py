"""What went wrong in the published code of CoDream, each shown not to happen here."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Tell
from dreamshare.algorithms.codream import Codream, forming
from dreamshare.algorithms.codream.device import shares
from dreamshare.algorithms.codream.state import Stage
from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.torch import TorchLearner
from dreamshare.payloads.dreams import ServerOptimizer
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.test_codream import CONFIG, COUNTS, devices
from tests.algorithms.toy import CLASSES, ToyLearner, toy_data
from tests.unit.learning.torch.tiny import SHAPE, tiny_net


def dreaming(config):
    """The state before the first gradient of cycle 0."""
    state = Codream(config).init(np.random.default_rng(0))
    return forming.begun(config, replace(state, totals_K=np.array([20.0, 15.0, 25.0])), cycle=0)


def one_sum(config, state, crew=None):
    algorithm, crew = Codream(config), crew or devices()
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
    return updates, algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))


def test_local_steps_go_on_from_where_the_last_one_ended():
    """There, each local step began at the same dream, so that more of them were wasted."""
    three = replace(CONFIG, local_steps=3, local_rate=0.5, weighting="uniform")
    six = replace(three, local_steps=6)
    state = dreaming(three)
    moved = [
        np.abs(one_sum(config, state)[0][0].arrays["gradient"]).sum()
        for config in (replace(three, local_steps=1), three, six)
    ]
    assert moved[1] > 1.5 * moved[0]
    assert moved[2] > 1.3 * moved[1]


@pytest.mark.parametrize("kind", get_args(ServerOptimizer))
@pytest.mark.parametrize("steps", [1, 3])
def test_every_optimiser_that_a_config_takes_moves_the_dreams(kind, steps):
    """There, 'fedadam' was taken by clients and had no branch on the server."""
    config = replace(CONFIG, server_optimizer=kind, local_steps=steps, smoothness=0.0, norm=0.0)
    state = dreaming(config)
    after = one_sum(config, state)[1]
    assert np.abs(after.x_BCHW - state.x_BCHW).max() > 1e-4
    with pytest.raises(ConfigError, match="server_optimizer"):
        replace(CONFIG, server_optimizer="fedadam")


def test_adam_gets_the_whole_local_move_and_not_the_last_steps_gradient():
    config = replace(CONFIG, server_optimizer="adam", local_steps=3, local_rate=0.5)
    config = replace(config, weighting="uniform", low=-50.0, high=50.0)
    state = dreaming(config)
    device = devices()[0]
    sent = one_sum(config, state)[0][0].arrays["gradient"]
    single = replace(config, local_steps=1)
    x, moved = state, 0.0
    for _ in range(3):
        update = Codream(single).local(
            Codream(single).plan(x), device.learner, device.data, device.rng
        )
        moved = moved + update.arrays["gradient"]
        x = replace(x, x_BCHW=(x.x_BCHW - 0.5 * update.arrays["gradient"]).astype(np.float32))
    np.testing.assert_allclose(sent, moved, rtol=1e-3, atol=1e-5)


def test_the_working_generator_has_gradients():
    """There, one switch asked for gradients of a copy on the server that had none."""
    config = replace(CONFIG, form="generator", latent=4, generator_width=2)
    state = dreaming(config)
    after = one_sum(config, state)[1]
    for name, before in state.made_by.values.items():
        assert not np.array_equal(after.made_by.values[name], before), name
    assert not np.array_equal(after.latents.values["z"], state.latents.values["z"])


@pytest.mark.parametrize("form", ["direct", "generator"])
@pytest.mark.parametrize("student", ["none", "small"])
def test_a_run_needs_no_student(form, student):
    """There, switching the adaptive server off crashed both forms."""
    done = run(Codream(replace(CONFIG, form=form, student=student, latent=4)), devices()).done
    assert any(name.startswith("student.") for name in done.result) is (student == "small")


def test_nothing_of_the_generator_is_reset_unasked():
    """There, an imported function stood where the switch was meant, and was always true."""
    config = replace(CONFIG, form="generator", latent=4, dream_steps=1)
    state = dreaming(config)
    for cycle in range(1, 4):
        after = one_sum(config, state)[1]
        state = forming.begun(config, after, cycle)
        for name, kept in after.meta.values.items():
            np.testing.assert_array_equal(state.made_by.values[name], kept)


def test_the_rate_of_the_warm_up_ends_with_it():
    """There, the warm-up forced a rate that nothing put back."""
    rates: list[tuple[str, float]] = []

    class Listening(ToyLearner):
        def fit(self, steps, objective: FitObjective) -> float:
            rates.append((step, objective.learning_rate))
            return super().fit(steps, objective)

    algorithm = Codream(replace(CONFIG, warm_up_rate=0.07, learning_rate=0.03))
    learner, rng = Listening(), np.random.default_rng(0)
    dreams = np.zeros((6, *CONFIG.shape), np.float32)
    targets = np.full((6, CLASSES), 1 / 3, np.float32)
    for step in ("warm_up", "acquire"):
        tell = Tell(step, {"dreams": dreams, "targets": targets, "totals": np.ones(CLASSES)})
        algorithm.local(tell, learner, toy_data(0), rng)
    assert rates == [("warm_up", 0.07), ("acquire", 0.03)]


def test_a_teacher_in_training_mode_dreams_in_evaluation_mode():
    """There, teachers were in evaluation mode only because the tests had run last."""
    config = replace(CONFIG, shape=SHAPE, feature_weight=1.0)
    nets = [tiny_net(seed).train() for seed in range(3)]
    crew = [
        Device(TorchLearner(n, classes=CLASSES), toy_data(i, COUNTS[i]), np.random.default_rng(i))
        for i, n in enumerate(nets)
    ]
    before = [d.learner.snapshot() for d in crew]
    state = dreaming(config)
    updates, after = one_sum(config, state, crew)
    one_sum(config, replace(after, stage=Stage.LABEL), crew)
    assert [d.learner.snapshot() for d in crew] == before
    for net in nets:
        assert net.training
        net.eval()
    for one, other in zip(updates, one_sum(config, state, crew)[0], strict=True):
        np.testing.assert_array_equal(one.arrays["gradient"], other.arrays["gradient"])


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_dreams_are_labelled_once_a_cycle_whatever_the_number_of_steps(steps):
    """There, the test for half of the steps was never true for an odd number."""
    seen = run(Codream(replace(CONFIG, dream_steps=steps)), devices())
    assert seen.steps.count("label") == seen.steps.count("acquire") == CONFIG.cycles
    assert seen.steps.count("dream") == steps * CONFIG.cycles


def test_grey_images_do_not_choose_an_architecture():
    """There, one channel meant one architecture, whatever the settings said."""
    config = replace(CONFIG, shape=SHAPE)
    crew = [
        Device(TorchLearner(tiny_net(0), classes=CLASSES), toy_data(0, COUNTS[0]), None),
        Device(ToyLearner(1, size=16), toy_data(1, COUNTS[1]), None),
        Device(ToyLearner(2, size=16), toy_data(2, COUNTS[2]), None),
    ]
    shapes = [{n: a.shape for n, a in d.learner.parameters().items()} for d in crew]
    assert shapes[0] != shapes[1]
    state = dreaming(config)
    updates, after = one_sum(config, state, crew)
    assert {u.arrays["gradient"].shape for u in updates} == {(6, *SHAPE)}
    assert not np.array_equal(after.x_BCHW, state.x_BCHW)
    assert shapes == [{n: a.shape for n, a in d.learner.parameters().items()} for d in crew]


def test_the_accuracy_is_the_last_cycles_and_not_the_best():
    """There, the figures were the largest of 400 looks at the test set."""
    algorithm = Codream(CONFIG)
    state = replace(dreaming(CONFIG), stage=Stage.EVALUATE, accuracies=(0.9,), cycle=1)
    ask = algorithm.plan(state)
    mean = mean_of(ask, [algorithm.local(ask, d.learner, d.data, d.rng) for d in devices()])
    done = algorithm.plan(algorithm.merge(state, mean, Crowd(3, 3)))
    assert done.metrics["accuracy"] == done.result["accuracies"][-1] < 0.9


def test_who_has_more_examples_weighs_more():
    """The paper's text divides by a client's number of examples: small ones would rule."""
    totals_K = np.array([20.0, 20.0, 20.0])
    small, large = toy_data(0, (2, 2, 2)), toy_data(0, (10, 10, 10))
    config = replace(CONFIG, weighting="examples")
    assert shares(config, small, totals_K)[0] == pytest.approx(0.1)
    assert shares(config, large, totals_K)[0] == pytest.approx(0.5)
