"""`selftuning/1`: numbers that can be worked out, and what it does with a wrong step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.selftuning import SelfTuning, SelfTuningConfig, SelfTuningState
from dreamshare.algorithms.selftuning.device import Told, weighed
from dreamshare.algorithms.selftuning.dials import Dial
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.data import ArrayData
from tests.algorithms.oracle import Device, Run, mean_of, run
from tests.algorithms.toy import ToyLearner, toy_data

COUNTS = ((10, 6, 4), (2, 9, 9), (8, 0, 12))


def config_of(learner: Callable[[int], Learner] = ToyLearner, **changes: object):
    base = SelfTuningConfig.of_model(learner(5).parameters(), classes=3)
    small = {"rounds": 4, "fit_steps": 5, "batch": 8, "learning_rate": 0.2, "evaluate": True}
    return replace(base, **{**small, **changes})


def crew_of(learner: Callable[[int], Learner] = ToyLearner) -> list[Device]:
    return [
        Device(learner(5), toy_data(seed, counts), np.random.default_rng(seed))
        for seed, counts in enumerate(COUNTS)
    ]


def finished(**changes: object) -> Run:
    return run(SelfTuning(config_of(**changes)), crew_of())


def test_a_run_learns(learner) -> None:
    seen = run(SelfTuning(config_of(learner)), crew_of(learner))
    assert seen.steps == ["start", "train", "train", "train", "train", "adopt", "evaluate"]
    assert seen.done.metrics["accuracy"] > 0.6  # chance is 1/3


def test_with_nothing_to_learn_it_is_fedavg(learner) -> None:
    from dreamshare.algorithms.fedavg import FedAvg
    from tests.algorithms.test_fedavg import config_of as plain_of

    same = {"learning_rate": 0.2}
    plain = run(FedAvg(replace(plain_of(learner), **same)), crew_of(learner)).done.result
    tuned = run(SelfTuning(config_of(learner, tune="nothing")), crew_of(learner)).done.result
    assert list(plain) == list(tuned)
    for name, array in plain.items():
        np.testing.assert_allclose(tuned[name], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("slopes", ["scalars", "lagged"])
@pytest.mark.parametrize("start", [0.01, 0.1])
def test_a_short_step_grows(start: float, slopes: str) -> None:
    fixed = finished(server_rate=start, tune="nothing", rounds=10)
    tuned = finished(server_rate=start, tune="step", rounds=10, slopes=slopes)
    assert tuned.done.metrics["step"] > 3 * start
    assert tuned.done.metrics["loss"] < fixed.done.metrics["loss"]


def shuffled(place: int) -> Device:
    """A device whose labels say nothing: whatever it learns makes held-out examples worse."""
    data = toy_data(place, (8, 8, 8))
    wrong = np.random.default_rng([3, place]).integers(0, 3, 24)
    mixed = ArrayData(data._x, wrong, data.held_out())
    return Device(ToyLearner(5), mixed, np.random.default_rng(place))


def test_a_long_step_is_taken_back() -> None:
    def found(takes_back: bool) -> Mapping[str, float]:
        config = config_of(server_rate=60.0, tune="step", rounds=6, takes_back=takes_back)
        return run(SelfTuning(config), [shuffled(i) for i in range(3)]).done.metrics

    back, left = found(True), found(False)
    assert back["taken_back"] >= 1 and left["taken_back"] == 0
    assert back["step"] < 60.0
    assert back["loss"] < left["loss"]


def test_a_slope_is_one_scalar_and_weights_have_sums_of_their_own() -> None:
    def names(**changes: object) -> set[str]:
        return {field.name for field in SelfTuning(config_of(**changes)).steps()["train"]}

    nothing = names(tune="nothing")
    assert names(tune="step") - nothing == {"slope_step"}
    assert names(tune="step", slopes="lagged") == nothing - {"judges", "loss"}
    assert names(tune="both") - names(tune="step") == {
        f"{prefix}{name}" for name in ("power", "doubt") for prefix in ("", "slope_")
    } | {f"{name}_p{i}" for name in ("power", "doubt") for i in range(2)}


def test_weights_of_examples_and_losses() -> None:
    config = config_of()
    told = Told(size=20.0, centre=1.0, power=0.5, doubt=2.0)
    assert weighed(config, told, 20, 1.0) == (1.0, {"power": 0.0, "doubt": 0.0})
    weight, slopes = weighed(config, told, 80, 1.5)
    assert weight == pytest.approx(2.0 * np.exp(-1.0))
    assert slopes == {"power": pytest.approx(np.log(4.0)), "doubt": -0.5}
    assert weighed(config, told, 20, 9.0) == (pytest.approx(1 / 8), {"power": 0, "doubt": 0})
    assert weighed(config, told, 10**9, 1.0)[0] == pytest.approx(8.0)


def test_weights_turn_away_from_devices_whose_labels_are_wrong() -> None:
    """Two of five devices have labels at random: their loss stays high, and doubt grows."""
    sound = [
        Device(ToyLearner(5), toy_data(place, (8, 8, 8)), np.random.default_rng(place))
        for place in range(3)
    ]
    crew = [*sound, shuffled(3), shuffled(4)]
    config = config_of(tune="weights", rounds=12, weighting="uniform")
    assert run(SelfTuning(config), crew).done.metrics["doubt"] > 0.3


def test_devices_without_held_out_examples_judge_nothing() -> None:
    crew = crew_of()
    empty = Batch(np.zeros((0, 1, 2, 2), np.float32), np.zeros(0, np.int64))
    crew = [replace(d, data=ArrayData(d.data._x, d.data._y, empty)) for d in crew]
    done = run(SelfTuning(config_of(evaluate=False, server_rate=0.5)), crew).done
    assert done.metrics["step"] == 0.5
    assert np.isfinite(done.result["p0"]).all()


def test_a_dial_turns_against_its_slope_and_slows_down_where_that_turns() -> None:
    dial = Dial(1.0, 0.1, 10.0, pace=0.5, fastest=0.5, logarithm=True)
    down = dial.turned(3.0)
    assert down.value == pytest.approx(np.exp(-0.5))
    back = down.turned(-3.0)
    assert back.value == pytest.approx(np.exp(-0.25))
    assert dial.turned(0.0) == dial == dial.turned(float("nan"))
    for _ in range(30):
        dial = dial.turned(1.0)
    assert dial.value == 0.1


def test_state_survives_storing() -> None:
    algorithm, crew = SelfTuning(config_of()), crew_of()
    state = algorithm.init(np.random.default_rng(0))
    for _ in range(4):
        ask = algorithm.plan(state)
        updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
        state = algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))
    again = decode_state(encode_state(state), SelfTuningState)
    assert again.dials == state.dials and again.slopes == state.slopes
    one, other = algorithm.plan(state), algorithm.plan(again)
    assert isinstance(one, Ask) and isinstance(other, Ask) and one.fields == other.fields
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor, other.tensors[name])


@pytest.mark.parametrize(
    "change",
    [
        {"tune": "all"},
        {"slopes": "finite"},
        {"step_pace": 0.0},
        {"most_rate": 1.0},
        {"most_weight": float("inf")},
        {"server_rate": 1e-9},
        {"judged": 0},
        {"rounds": 0},
    ],
)
def test_wrong_configs_are_refused(change) -> None:
    with pytest.raises(ConfigError):
        config_of(**change)


def test_a_learner_without_gradients_is_refused_by_name() -> None:
    algorithm = SelfTuning(config_of())
    state = algorithm.init(np.random.default_rng(0))
    crew = crew_of()
    ask = algorithm.plan(state)
    updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
    state = algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))
    blind = ToyLearner(5)
    hidden = type("Hidden", (), {n: getattr(blind, n) for n in ("parameters", "load_parameters")})
    with pytest.raises(ConfigError, match="selftuning/1 needs"):
        algorithm.local(algorithm.plan(state), hidden(), toy_data(0), np.random.default_rng(0))
