"""The set of `moments/1` as the public set of others: what devices keep equals a file of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Algorithm
from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.consensus import ConsensusConfig
from dreamshare.algorithms.fedh2l import FedH2LConfig
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.generators import Moments
from dreamshare.learning.public import (
    PublicSet,
    SharingData,
    keep_pictures,
    kept_by_devices,
    load_public,
    public_of,
    public_set,
)
from tests.algorithms.oracle import Device, run

SHAPE, CLASSES = (1, 2, 2), 3
CONFIG = MomentsConfig(
    shape=SHAPE,
    classes=CLASSES,
    low=-1.0,
    least_examples=2,
    told="set",
    keep=True,
    images=5,
    warm_up_epochs=1,
    fit_steps=2,
    batch=8,
)
Make = Callable[..., Learner]


def examples(device: int) -> ArrayData:
    """Return examples whose brightest pixel is their class."""
    rng = np.random.default_rng(device)
    y_N = (np.arange(30) % CLASSES).astype(np.int64)
    x_NCHW = rng.uniform(-1, 0, (30, *SHAPE)).astype(np.float32)
    x_NCHW.reshape(30, -1)[np.arange(30), y_N] += 1.0
    return ArrayData(x_NCHW, y_N)


def devices(make: Make, data: Callable[[int], Data] = examples) -> list[Device]:
    return [Device(make(n), data(n), np.random.default_rng([7, n])) for n in range(3)]


def drawn(crowd: list[Device]) -> PublicSet:
    """Return the set that a run over these devices makes public."""
    return public_of(run(algorithm_of(CONFIG), crowd).done.result)


def fedh2l(seeds: PublicSet) -> Algorithm[object]:
    return algorithm_of(
        FedH2LConfig(
            seeds.digest, len(seeds), CLASSES, rounds=2, warm_up_epochs=1, fit_steps=2, seed_batch=8
        )
    )


def consensus(public: PublicSet) -> Algorithm[object]:
    return algorithm_of(
        ConsensusConfig(
            public.digest, len(public), CLASSES, rounds=2, warm_up_epochs=1, fit_steps=2
        )
    )


def test_what_devices_keep_is_what_the_result_makes_and_a_file_holds(
    learner: Make, tmp_path: Path
) -> None:
    crowd = devices(learner)
    made = drawn(crowd)
    made.save(tmp_path / "drawn.npz")
    assert len(made) == CONFIG.images * CLASSES
    assert load_public(tmp_path / "drawn.npz").digest == made.digest
    for device in crowd:
        kept = public_set(device.data, made.digest, len(made), device.learner)
        assert np.array_equal(kept.x_NCHW, made.x_NCHW)
        again = learner(9)
        again.restore(device.learner.snapshot())  # it outlives a restart of the device
        assert public_set(device.data, made.digest, len(made), again).digest == made.digest


@pytest.mark.parametrize("follow", [fedh2l, consensus])
def test_who_follows_learns_the_same_from_a_kept_set_as_from_a_file(
    learner: Make, tmp_path: Path, follow: Callable[[PublicSet], Algorithm[object]]
) -> None:
    """No real image leaves: the set is drawn from masked sums, and is named by its digest alone."""
    crowd = devices(learner)
    made = drawn(crowd)
    made.save(tmp_path / "drawn.npz")
    held = load_public(tmp_path / "drawn.npz")
    filed = devices(learner, lambda n: SharingData(examples(n), (held,)))
    for there, here in zip(filed, crowd, strict=True):
        there.learner.load_parameters(here.learner.parameters())
    for device in (*crowd, *filed):  # both from here on alike: optimisers and draws start anew
        fresh = learner(0)
        fresh.load_parameters(device.learner.parameters())
        fresh.remember(device.learner.memory())
        device.learner = fresh
    kept = [n for n in filed[0].learner.memory() if n.startswith("public.")]
    assert kept == []
    for device, other in zip(crowd, filed, strict=True):
        device.rng, other.rng = np.random.default_rng(1), np.random.default_rng(1)
    run(follow(made), crowd)
    run(follow(made), filed)
    for device, other in zip(crowd, filed, strict=True):
        for name, array in device.learner.parameters().items():
            assert np.array_equal(array, other.learner.parameters()[name]), name


def test_a_device_that_did_not_learn_from_it_declines(learner: Make) -> None:
    made = drawn(devices(learner))
    with pytest.raises(ConfigError, match="moments/1 drew is kept by the devices that learnt"):
        run(fedh2l(made), devices(learner))


def test_a_later_set_takes_the_place_of_the_first_and_leaves_the_rest(learner: Make) -> None:
    one = learner()
    one.remember({"codream.dreams": np.zeros(2, np.float32)})
    images = np.zeros((2, *SHAPE), np.uint8)
    ends = {"low": np.array([-1.0]), "high": np.array([1.0])}
    for level in (0, 9):
        keep_pictures(one, {"images": images + np.uint8(level), "labels": np.arange(2), **ends})
    assert one.memory()["public.images"].max() == 9
    assert "codream.dreams" in one.memory()


def test_codream_does_not_forget_what_a_device_keeps(learner: Make) -> None:
    crowd = devices(learner)
    made = drawn(crowd)
    dreams = CodreamConfig(
        shape=SHAPE, classes=CLASSES, cycles=1, dreams=4, dream_steps=1, warm_up_epochs=0,
        fit_steps=1, feature_weight=0.0,
    )  # fmt: skip
    run(algorithm_of(dreams), crowd)
    assert public_set(crowd[0].data, made.digest, len(made), crowd[0].learner).digest == made.digest


def test_a_generator_is_made_of_it(learner: Make, tmp_path: Path) -> None:
    made = drawn(devices(learner))
    generator = Moments.of_public(made, CLASSES, frequencies=2)
    generator.save(tmp_path / "generator.npz")
    assert generator.trained_on == made.digest
    assert generator.mean_KCFF.shape == (CLASSES, 1, 2, 2)


def test_a_result_says_whether_devices_keep_its_set(learner: Make) -> None:
    done = run(algorithm_of(CONFIG), devices(learner)).done
    assert len(kept_by_devices(done.result, done.metrics)) == CONFIG.images * CLASSES
    done = run(algorithm_of(replace(CONFIG, keep=False)), devices(learner)).done
    with pytest.raises(ConfigError, match=f"keep no set.*{public_of(done.result).digest}"):
        kept_by_devices(done.result, done.metrics)


def test_sets_that_devices_draw_cannot_be_named() -> None:
    with pytest.raises(ConfigError, match="keep needs told 'set'"):
        replace(CONFIG, told="sums")


def test_other_results_and_learners_without_memory_are_refused() -> None:
    with pytest.raises(ConfigError, match="low, high missing"):
        public_of({"images": np.zeros((1, 1, 1, 1), np.uint8), "labels": np.zeros(1, np.int64)})
    floats = {"labels": np.zeros(1, np.int64), "low": np.zeros(1), "high": np.ones(1)}
    with pytest.raises(ConfigError, match="are bytes"):
        public_of({"images": np.zeros((1, 1, 1, 1), np.float32), **floats})
    with pytest.raises(ConfigError, match="keeps no arrays"):
        keep_pictures(object(), {})  # type: ignore[arg-type]
