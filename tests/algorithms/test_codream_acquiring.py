"""How devices of `codream/1` train: personal weights, and statistics of nets without BatchNorm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.codream import Codream
from dreamshare.learning.data import ArrayData
from dreamshare.learning.measures import measure
from tests.algorithms.oracle import Device, run
from tests.algorithms.test_codream import CONFIG, COUNTS, devices
from tests.algorithms.toy import CLASSES, SHAPE, toy_data
from tests.unit.learning.learners import KINDS, around
from tests.unit.learning.test_features import net

CHOOSING = replace(
    CONFIG,
    acquisition="held_out",
    candidates=(0.0, 1.0, 8.0),
    fit_steps=6,
    learning_rate=0.01,
    distillation_norm="running",
)


def acquired(learner, config, targets, data=None):
    """The learner after one acquisition of six dreams at the first three unit vectors."""
    dreams = np.eye(4, dtype=np.float32)[np.arange(6) % 3].reshape(6, *SHAPE)
    tell = Tell("acquire", {"dreams": dreams, "targets": targets.astype(np.float32)})
    Codream(config).local(tell, learner, data or toy_data(0), np.random.default_rng(4))
    return learner


def held_out_loss(learner) -> float:
    return measure(learner, toy_data(0).held_out()).loss


@pytest.mark.parametrize("helpful", [True, False])
def test_a_device_keeps_what_its_own_loss_likes_best(learner, helpful):
    """Right soft labels want weight, wrong ones want none."""
    targets = np.eye(CLASSES)[(np.arange(6) + (not helpful)) % 3]
    chosen = acquired(learner(), CHOOSING, targets)
    losses = []
    for weight in CHOOSING.candidates:
        fixed = replace(CHOOSING, candidates=(weight, weight))
        losses.append(held_out_loss(acquired(learner(), fixed, targets)))
    assert held_out_loss(chosen) == pytest.approx(min(losses), rel=1e-5)
    assert (int(np.argmin(losses)) == 0) is not helpful


def test_the_choice_by_training_loss_needs_no_held_out_examples(learner):
    config = replace(CHOOSING, acquisition="training")
    data = toy_data(0, held_out=0)
    one = acquired(learner(), config, np.eye(CLASSES)[np.arange(6) % 3], data)
    other = acquired(learner(), CHOOSING, np.eye(CLASSES)[np.arange(6) % 3], data)
    assert one.snapshot() == other.snapshot()  # held_out falls back where there is none


def test_personal_acquisition_sends_and_remembers_the_same(learner):
    shared, personal = (
        run(Codream(config), devices(learner))
        for config in (replace(CHOOSING, acquisition="shared"), CHOOSING)
    )
    assert personal.steps == shared.steps
    assert personal.bytes_up == shared.bytes_up and personal.bytes_down == shared.bytes_down


def widened(small: ArrayData) -> ArrayData:
    """The same examples, each picture four times side by side."""
    own = next(small.batches(np.random.default_rng(0), 99))
    own, held = (
        replace(b, x_NCHW=np.tile(b.x_NCHW, (1, 1, 2, 2))) for b in (own, small.held_out())
    )
    return ArrayData(own.x_NCHW, own.y_N, held)


@pytest.mark.parametrize("kind", KINDS)
def test_nets_without_batchnorm_dream_with_statistics_of_their_own_data(kind):
    """They are measured anew whenever the net has trained, and no field carries them."""
    config = replace(CONFIG, shape=(1, 4, 4), feature_weight=3.0, replay=12)

    def crew():
        members = []
        for seed, counts in enumerate(COUNTS):
            data = widened(toy_data(seed, counts))
            learner = around(kind, net(seed), (1, 4, 4), CLASSES)
            members.append(Device(learner, data, np.random.default_rng(seed)))
        return members

    seen: list[tuple[str, ...]] = []

    class Watching(Codream):
        def local(self, ask, learner, data, rng):
            update = super().local(ask, learner, data, rng)
            seen.append(tuple(update.arrays))
            memory = learner.memory()
            if ask.step == "acquire":
                batch = next(data.batches(np.random.default_rng(0), 512))
                for name, array in learner.feature_statistics(batch.x_NCHW).items():
                    np.testing.assert_array_equal(memory[f"codream.features.{name}"], array)
            return update

    members = crew()
    done = run(Watching(config), members).done
    assert np.isfinite(done.result["dreams"]).all()
    assert not any("features" in name for names in seen for name in names)
    without = run(Codream(replace(config, feature_weight=0.0)), crew()).done
    assert not np.array_equal(without.result["dreams"], done.result["dreams"])


@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_who_came_after_the_warm_up_takes_its_statistics_when_it_dreams(kind):
    """Nothing is remembered yet, so they are measured, and stay unremembered: to dream changes
    nothing."""
    config = replace(CONFIG, shape=(1, 4, 4), feature_weight=3.0)
    learner = around(kind, net(1), (1, 4, 4), CLASSES)
    data = widened(toy_data(0))
    tensors = {
        "dreams": np.ones((6, 1, 4, 4), np.float32),
        "labels": np.arange(6) % CLASSES,
        "totals": np.array([20.0, 15.0, 25.0]),
    }
    ask = Ask("dream", Codream(config).steps()["dream"], tensors)
    rng = np.random.default_rng(0)
    late = Codream(config).local(ask, learner, data, rng).arrays["gradient"]
    assert learner.memory() == {}
    batch = next(data.batches(np.random.default_rng(0), 512))
    known = learner.feature_statistics(batch.x_NCHW)
    learner.remember({f"codream.features.{name}": array for name, array in known.items()})
    again = Codream(config).local(ask, learner, data, rng).arrays["gradient"]
    np.testing.assert_array_equal(late, again)
    learner.remember({n: a + 1 for n, a in learner.memory().items()})
    other = Codream(config).local(ask, learner, data, rng).arrays["gradient"]
    assert np.abs(other - late).max() > 1e-3
