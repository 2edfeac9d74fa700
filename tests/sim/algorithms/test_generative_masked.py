"""`generative/1` under masks: the set is the one that exact sums of the same examples make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.algorithms.generative import GenerativeConfig
from dreamshare.learning.data import ArrayData
from dreamshare.learning.generators import GaussianGenerator, Moments, Request, seed_of
from dreamshare.learning.generators.cosine import Cosine
from dreamshare.learning.measures import measure
from dreamshare.learning.public import PublicSet
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import RoundDeclined
from dreamshare.simulate import Kill, SimulatedDevice, SimulationOptions, SimulationResult, simulate
from tests.algorithms.describing import dealt, describers, flow_file, generative, let, moments_file
from tests.algorithms.oracle import Device, run
from tests.algorithms.sharing import seeds
from tests.algorithms.toy import ToyLearner
from tests.unit.learning.learners import layered

PUBLIC = seeds(120, 70)


def masked(
    config: object, devices: Sequence[Device], options: SimulationOptions | None = None
) -> SimulationResult:
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    gone = len(options.kills) if options else 0
    cohort = Cohort(len(devices) - gone, len(devices))
    return simulate(config, virtual, cohort=cohort, options=options)


def owned(data: Sequence[ArrayData]) -> list[Device]:
    return [Device(ToyLearner(i), each, np.random.default_rng(i)) for i, each in enumerate(data)]


def oracle(config: GenerativeConfig, pool: PublicSet, labels_M: np.ndarray) -> np.ndarray:
    """The set from the pooled examples themselves: one process, no sums of devices."""
    x_NCHW = np.clip(pool.x_NCHW, config.low, config.high)
    e_NCFF = Cosine(config.shape, config.frequencies).embed(x_NCHW)
    own = [e_NCFF[pool.y_N == label] for label in range(config.classes)]
    mean = np.stack([each.mean(axis=0) for each in own])
    spread = np.stack([each.std(axis=0) for each in own])
    generator = GaussianGenerator(Moments(mean, spread), config.shape, config.low, config.high)
    made = np.zeros(config.classes, int)
    wanted = []
    for label in labels_M.tolist():
        wanted.append(Request(label, seed_of(config.seed, label, int(made[label]))))
        made[label] += 1
    return generator.generate(wanted)


@pytest.mark.parametrize("spread", ["by class", "at random"])
def test_the_set_is_that_of_the_pooled_examples_whoever_has_them(spread: str) -> None:
    config = generative(image_bits=32, fit_steps=0, warm_up_epochs=0)
    owners_N = PUBLIC.y_N if spread == "by class" else np.random.default_rng(0).integers(0, 5, 120)
    result = masked(config, owned(dealt(PUBLIC.x_NCHW, PUBLIC.y_N, owners_N)))
    assert result.aggregations == 2
    assert result.arrays["totals"].tolist() == [40, 40, 40]
    wanted = oracle(config, PUBLIC, result.arrays["labels"])
    np.testing.assert_allclose(result.arrays["images"], wanted, atol=2e-3)


@pytest.mark.parametrize("kind", ["torch", "onnx"])
@pytest.mark.parametrize("told", ["set", "sums"])
def test_masked_sums_teach_what_exact_ones_do(kind: str, told: str) -> None:
    config = generative(
        told=told, image_bits=32, local_batch=20, synthetic_batch=60, warm_up_epochs=0
    )
    exact, hidden = (describers(lambda seed: layered(kind, seed), 4) for _ in range(2))
    run(algorithm_of(config), exact)
    masked(config, hidden)
    for one, other in zip(exact, hidden, strict=True):
        for name, array in one.learner.parameters().items():
            np.testing.assert_allclose(array, other.learner.parameters()[name], atol=5e-3)


def test_counts_and_words_are_exact_under_masks(tmp_path: Path) -> None:
    """Rounded sums of whole numbers: the same set to the bit, with masks or without."""
    config = generative(
        message="counts",
        captions="attributes",
        names=("one", "two", "three"),
        **flow_file(tmp_path, words=10),
    )
    exact, hidden = (describers(ToyLearner, 4) for _ in range(2))
    wanted = run(algorithm_of(config), exact).done.result
    result = masked(config, hidden)
    assert result.aggregations == 1
    np.testing.assert_array_equal(result.arrays["totals"], wanted["totals"])
    np.testing.assert_array_equal(result.arrays["images"], wanted["images"])


def test_the_baseline_runs_without_a_single_sum(tmp_path: Path) -> None:
    config = generative(message="none", evaluate=True, **moments_file(tmp_path))
    result = masked(config, describers(ToyLearner))
    assert result.aggregations == 1, "the evaluation's"
    assert result.metrics["accuracy"] > 0.5


def test_a_message_of_counts_is_small(tmp_path: Path) -> None:
    """Beside the baseline, which sends the protocol's own messages and nothing else."""
    flow = flow_file(tmp_path)
    config = generative(message="counts", evaluate=True, **flow)
    asked, silent = (
        masked(each, describers(ToyLearner)).statuses[0].bytes_up
        for each in (config, replace(config, message="none"))
    )
    assert asked - silent < 4096, "a round of its own: signatures, shares, 6 numbers"


def test_who_died_before_answering_is_in_no_sum() -> None:
    config = generative(warm_up_epochs=0, fit_steps=0)
    devices = describers(ToyLearner, 5)
    result = masked(config, devices, SimulationOptions(kills=(Kill(4, 0),)))
    own = sum(let(each.data) for each in devices[:4])
    assert result.arrays["totals"].tolist() == own.tolist()


def test_a_device_with_an_unknown_class_takes_no_part() -> None:
    strange = ArrayData(np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 2, 3]))
    devices = [*describers(ToyLearner, 4), *owned([strange])]
    virtual = [SimulatedDevice(d.learner, d.data) for d in devices]
    config = generative(warm_up_epochs=0, fit_steps=0)
    result = simulate(config, virtual, cohort=Cohort(4, 5))
    assert result.arrays["totals"].sum() == sum(let(each.data).sum() for each in devices[:4])
    declined = next(each for each in result.outcomes[4] if isinstance(each, RoundDeclined))
    assert "a label is 3, but there are 3 classes" in declined.text


def test_noise_can_be_asked_for() -> None:
    config = generative(warm_up_epochs=0, fit_steps=0)
    quiet, noisy = (
        masked(config, describers(ToyLearner, 4), options)
        for options in (None, SimulationOptions(privacy=Privacy(clip=1.0, multiplier=0.05)))
    )
    assert np.isfinite(noisy.arrays["images"]).all()
    assert np.abs(noisy.arrays["images"][:30] - quiet.arrays["images"][:30]).max() > 1e-3


def test_rounds_of_fedavg_follow_as_a_task_of_their_own() -> None:
    """One shot, then the same learners in another task: a little better than one shot alone."""
    start = ToyLearner(3)
    devices = describers(lambda seed: ToyLearner(3), 4)
    one_shot = masked(
        generative(evaluate=True, fit_steps=4, warm_up_epochs=0, learning_rate=0.02), devices
    )
    before = np.mean([measure(d.learner, PUBLIC.batch()).loss for d in devices])
    shapes = FedAvgConfig.of_model(start.parameters(), classes=3)
    masked(
        replace(shapes, rounds=4, fit_steps=10, batch=8, learning_rate=0.1, optimizer="sgd"),
        devices,
    )
    after = np.mean([measure(d.learner, PUBLIC.batch()).loss for d in devices])
    assert one_shot.metrics["accuracy"] > 0.3
    assert after < before
