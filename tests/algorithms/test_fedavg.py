"""`fedavg/1` with numbers that can be worked out in the head, and a run on toy learners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.checkpoint import decode_state, encode_state
from dreamshare.algorithms.fedavg import FedAvg, FedAvgConfig, FedAvgState, layout_of
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Learner
from dreamshare.learning.data import ArrayData
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.toy import ToyLearner, toy_data
from tests.unit.learning.learners import layered


class Scalar(ToyLearner):
    """One parameter; 'training' moves it to the label of the device's first example."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def parameters(self):
        return {"v": np.array([self.value], np.float32)}

    def load_parameters(self, parameters):
        self.value = float(parameters["v"][0])

    def fit(self, steps, objective):
        for (batch,) in steps:
            self.value = float(batch.y_N[0])
        return 0.0


def labelled(count: int, label: int) -> ArrayData:
    x = np.zeros((count, 1, 2, 2), np.float32)
    y = np.full(count, label)
    return ArrayData(x, y, Batch(x[:2], y[:2]))


def scalars() -> list[Device]:
    sizes_and_labels = ((1, 8), (2, 2), (1, 0))
    return [
        Device(Scalar(4.0), labelled(n, y), np.random.default_rng(0)) for n, y in sizes_and_labels
    ]


def config(**changes) -> FedAvgConfig:
    base = FedAvgConfig.of_model(Scalar(0.0).parameters(), classes=9)
    return replace(base, rounds=1, fit_steps=1, batch=2, **changes)


def test_three_numbers():
    """Start 4. Devices go to 8, 2, 0 with 1, 2, 1 examples: (8 + 2*2 + 0) / 4 = 3."""
    done = run(FedAvg(config()), scalars()).done
    np.testing.assert_allclose(done.result["p0"], [3.0])


def test_three_numbers_without_weights():
    """(8 + 2 + 0) / 3 = 10 / 3."""
    done = run(FedAvg(config(weighting="uniform")), scalars()).done
    np.testing.assert_allclose(done.result["p0"], [10 / 3], rtol=1e-6)


def test_three_numbers_with_a_cap():
    """With a cap of 1 example everybody weighs the same: 10 / 3."""
    done = run(FedAvg(config(weight_cap=1.0)), scalars()).done
    np.testing.assert_allclose(done.result["p0"], [10 / 3], rtol=1e-6)


def test_three_numbers_with_half_a_server_step():
    """Half of the way from 4 to 3."""
    done = run(FedAvg(config(server_rate=0.5)), scalars()).done
    np.testing.assert_allclose(done.result["p0"], [3.5])


def test_three_numbers_when_one_is_gone():
    """Sum 0 is `start`, sum 1 the only round; without the second device (8 + 0) / 2 = 4."""
    done = run(FedAvg(config()), scalars(), absent=lambda r: (1,) if r == 1 else ()).done
    np.testing.assert_allclose(done.result["p0"], [4.0])


def test_everybody_ends_with_the_public_model():
    crew = scalars()
    run(FedAvg(config()), crew)
    assert [d.learner.value for d in crew] == [3.0, 3.0, 3.0]


def crew_of(learner: Callable[[int], Learner] = ToyLearner) -> list[Device]:
    return [
        Device(learner(5), toy_data(seed, counts), np.random.default_rng(seed))
        for seed, counts in enumerate(((10, 6, 4), (2, 9, 9), (8, 0, 12)))
    ]


def config_of(learner: Callable[[int], Learner] = ToyLearner, **changes) -> FedAvgConfig:
    base = FedAvgConfig.of_model(learner(5).parameters(), classes=3)
    return replace(
        base, rounds=4, fit_steps=5, batch=8, learning_rate=0.5, evaluate=True, **changes
    )


def test_a_run_learns_and_its_bounds_follow_the_sums(learner):
    seen = run(FedAvg(config_of(learner)), crew_of(learner))
    assert seen.steps == ["start", "train", "train", "train", "train", "adopt", "evaluate"]
    assert seen.done.metrics["accuracy"] > 0.6  # chance is 1/3
    # weights are 20 of 65,535 examples; the first bound is twice that share of 16
    assert seen.bounds[1] == pytest.approx(2 * 20 / 65_535 * 16.0)
    assert seen.bounds[-1] < seen.bounds[1]


def test_rounding_of_small_weights_changes_little(learner):
    """16 bits: the model differs from the exact one by far less than it moved (about 1)."""
    config = config_of(learner, delta_bound=4.0)
    exact = run(FedAvg(config), crew_of(learner)).done.result["p0"]
    rounded = run(FedAvg(config), crew_of(learner), quantise=np.random.default_rng(0)).done.result[
        "p0"
    ]
    moved = np.abs(exact - next(iter(learner(5).parameters().values()))).max()
    assert np.abs(exact - rounded).max() < 0.01 * moved


@pytest.mark.parametrize("others", ["onnx", "cuda"])
def test_devices_of_two_kinds_average_one_model(others):
    """Torch on one device and another runtime on two: the same model as by torch alone."""

    def model_of(kinds):
        learners = [layered(kind, 5) for kind in kinds]
        crew = [
            replace(device, learner=one) for device, one in zip(crew_of(), learners, strict=True)
        ]
        return run(FedAvg(config_of(partial(layered, "torch"))), crew).done.result

    alike, mixed = model_of(["torch"] * 3), model_of(["torch", others, others])
    assert list(alike) == list(mixed)
    for name, array in alike.items():
        np.testing.assert_allclose(mixed[name], array, rtol=1e-3, atol=1e-4)


def test_steps_and_template_agree():
    algorithm = FedAvg(config_of())
    state = algorithm.init(np.random.default_rng(0))
    ask = algorithm.plan(state)
    assert isinstance(ask, Ask)
    assert ask.fields == algorithm.steps()["start"] and ask.sums == 1 + 4 + 1
    assert [f.name for f in ask.fields] == ["p0", "p1", "clipped", "share"]


def test_state_survives_storing():
    algorithm, crew = FedAvg(config_of()), crew_of()
    state = algorithm.init(np.random.default_rng(0))
    for _ in range(3):
        ask = algorithm.plan(state)
        updates = [algorithm.local(ask, d.learner, d.data, d.rng) for d in crew]
        state = algorithm.merge(state, mean_of(ask, updates), Crowd(3, 3))
    again = decode_state(encode_state(state), FedAvgState)
    assert again.stage is state.stage and again.bounds == state.bounds
    for one, other in zip(state.parameters, again.parameters, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_model_is_refused():
    algorithm = FedAvg(config_of())
    ask = algorithm.plan(algorithm.init(np.random.default_rng(0)))
    with pytest.raises(ConfigError, match="needs equal models"):
        algorithm.local(ask, Scalar(0.0), toy_data(0), np.random.default_rng(0))


def test_the_layout_names_names_and_shapes():
    a = {"v": np.zeros((2, 3), np.float32)}
    assert layout_of(a) != layout_of({"w": a["v"]})
    assert layout_of(a) != layout_of({"v": a["v"].T})
    assert layout_of(a) == layout_of({"v": a["v"] + 1})


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"batch": 1},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"delta_bound": float("inf")},
        {"bits": 21},
        {"optimizer": "lion"},
        {"layout": "short"},
        {"shapes": ()},
    ],
)
def test_wrong_configs_are_refused(change):
    with pytest.raises(ConfigError):
        replace(config(), **change)


def test_weights_by_examples_and_noise_exclude_each_other():
    """Noise hides values, not weights (docs/protocol.md 12.6)."""
    config = FedAvgConfig(shapes=((2,),), layout="0" * 64, classes=2)
    assert "uniform" in FedAvg(config).noise_fault()
    assert FedAvg(replace(config, weighting="uniform")).noise_fault() == ""
