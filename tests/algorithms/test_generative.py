"""`generative/1` with exact sums: what is asked, what is made, what is learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.catalog import state_from
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.generative import Generative
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import measure
from dreamshare.learning.plain import classifier
from tests.algorithms.describing import (
    HIGH,
    LOW,
    TEXT,
    dealt,
    describers,
    flow_file,
    generative,
    moments_file,
)
from tests.algorithms.oracle import Device, mean_of, run
from tests.algorithms.sharing import seeds
from tests.algorithms.toy import ToyLearner

PUBLIC = seeds(120, 70)


def accuracies(devices) -> list[float]:
    return [measure(d.learner, PUBLIC.batch()).accuracy for d in devices]


def test_devices_learn_from_the_set(learner) -> None:
    config = generative(evaluate=True)
    alone, together = (describers(learner) for _ in range(2))
    run(Generative(replace(config, synthetic_weight=0.0)), alone)
    seen = run(Generative(config), together)
    assert seen.steps == ["warm_up", "count", "describe", "learn", "evaluate"]
    assert np.mean(accuracies(together)) > np.mean(accuracies(alone)) - 0.01
    assert seen.done.metrics["accuracy"] > 0.6
    assert seen.done.metrics["images"] == 60


def test_the_student_learns_from_the_set_alone() -> None:
    seen = run(Generative(generative(student="small", student_steps=150)), describers(ToyLearner))
    algorithm = Generative(generative())
    assert {name for name in seen.done.result if name.startswith("student.")}
    values = {
        name.removeprefix("student."): array.astype(np.float32)
        for name, array in seen.done.result.items()
        if name.startswith("student.")
    }
    logits = classifier((1, 2, 2), 3, 16).forward(values, PUBLIC.x_NCHW)[0]
    assert (logits.argmax(axis=1) == PUBLIC.y_N).mean() > 0.8
    assert algorithm.gallery_of(seen.done.result) is not None


def test_the_set_does_not_depend_on_who_has_what(tmp_path: Path) -> None:
    """The same union, spread by class or at random, gives the same set: to the bit for counts."""
    x_NCHW, y_N = PUBLIC.x_NCHW, PUBLIC.y_N
    spreads = (y_N, np.random.default_rng(0).integers(0, 3, len(y_N)))
    for config, tolerance in (
        (generative(message="counts", **flow_file(tmp_path)), 0.0),
        (generative(image_bits=32), 1e-5),
    ):
        made = []
        for owners_N in spreads:
            devices = [
                Device(ToyLearner(i), data, np.random.default_rng(i))
                for i, data in enumerate(dealt(x_NCHW, y_N, owners_N))
            ]
            made.append(run(Generative(config), devices).done.result)
        np.testing.assert_array_equal(made[0]["labels"], made[1]["labels"])
        np.testing.assert_allclose(made[0]["images"], made[1]["images"], atol=tolerance, rtol=0)


def test_sums_are_told_instead_of_the_set() -> None:
    """A device that makes the set itself learns what it would have learnt from the set."""
    config = generative(image_bits=32)
    given, making = (describers(ToyLearner) for _ in range(2))
    few = run(Generative(replace(config, told="sums", images=600)), making)
    many = run(Generative(replace(config, images=600)), given)
    assert few.bytes_down < many.bytes_down / 10
    for one, other in zip(given, making, strict=True):
        np.testing.assert_allclose(one.learner.weight_DK, other.learner.weight_DK, atol=1e-6)


@pytest.mark.parametrize("source", ["gaussian", "flow"])
def test_the_baseline_asks_nothing(source: str, tmp_path: Path) -> None:
    """What a public generator gives that nobody told anything: not one sum is asked for."""
    weights = moments_file(tmp_path) if source == "gaussian" else flow_file(tmp_path)
    seen = run(
        Generative(generative(message="none", evaluate=True, **weights)), describers(ToyLearner)
    )
    assert seen.steps == ["warm_up", "learn", "evaluate"]
    assert np.bincount(seen.done.result["labels"], minlength=3).tolist() == [20, 20, 20]
    assert not seen.done.result["totals"].any()


def test_counts_tell_which_classes_there_are(tmp_path: Path) -> None:
    config = generative(message="counts", **flow_file(tmp_path))
    devices = describers(ToyLearner, counts=((10, 0, 6), (5, 0, 5)))
    seen = run(Generative(config), devices)
    assert seen.steps == ["warm_up", "count", "learn"]
    assert np.bincount(seen.done.result["labels"], minlength=3).tolist() == [30, 0, 30]
    assert seen.done.result["totals"].tolist() == [25, 0, 17]
    assert seen.bytes_up < 1024


def test_words_are_counted_and_reach_the_generator(tmp_path: Path) -> None:
    config = generative(message="counts", captions="attributes", **flow_file(tmp_path, words=10))
    algorithm = Generative(config)
    plans: list[Ask | Tell] = []
    devices = describers(ToyLearner)
    seen = run(algorithm, devices, after=plans.append)
    fields = {field.name: field for field in plans[1].fields}
    assert fields["words"].shape == (3, 10)
    assert seen.bytes_up < 1024
    answer = algorithm.local(plans[1], ToyLearner(), devices[0].data, np.random.default_rng(0))
    words_KA = answer.arrays["words"]
    for group in (slice(0, 3), slice(3, 6), slice(6, 8), slice(8, 10)):
        np.testing.assert_array_equal(words_KA[:, group].sum(axis=1), answer.arrays["counts"])


def test_every_stage_survives_its_bytes() -> None:
    algorithm = Generative(generative(student="small", student_steps=2, evaluate=True))
    devices = describers(ToyLearner)
    state = algorithm.init(np.random.default_rng(0))
    planned = []
    while not isinstance(plan := algorithm.plan(state), Done):
        again = state_from("generative/1", encode_state(state))
        assert encode_state(again) == encode_state(state)
        planned.append(plan)
        updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in devices]
        mean = mean_of(plan, updates) if isinstance(plan, Ask) else {}
        state = algorithm.merge(state, mean, Crowd(3, 3))
    assert [plan.sums for plan in planned] == [3, 3, 2, 1, 1]
    with pytest.raises(ConfigError, match="over"):
        algorithm.merge(state, {}, Crowd(3, 3))


def test_what_is_shown() -> None:
    algorithm = Generative(generative())
    state = algorithm.init(np.random.default_rng(0))
    assert algorithm.gallery(state) is None and algorithm.lessons(state) is None
    assert algorithm.gallery_of({}) is None
    result = run(Generative(generative(images=300)), describers(ToyLearner)).done.result
    shown = algorithm.gallery_of(result)
    assert shown is not None and len(shown) == 100
    np.testing.assert_array_equal(shown.dreams_NCHW, result["images"][:100])
    with pytest.raises(ConfigError, match="no Ask named 'dream'"):
        algorithm.local(Ask("dream", ()), ToyLearner(), PUBLIC, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shape": (1, 2)}, "shape"),
        ({"classes": 1}, "classes"),
        ({"low": 5.0}, "low"),
        ({"frequencies": 3}, "frequencies"),
        ({"image_bits": 16}, "image_bits"),
        ({"images": 10**6, "shape": (3, 64, 64)}, "values"),
        ({"message": "captions"}, "message"),
        ({"message": "counts"}, "weights and digest"),
        ({"message": "none"}, "weights and digest"),
        ({"message": "none", "weights": "a.npz", "digest": "0" * 64}, "needs evaluate"),
        ({"generator": "flow"}, "what is not read is not asked for"),
        ({"weights": "a.npz", "digest": "0" * 64}, "what is not read is not asked for"),
        ({"digest": "0" * 64}, "digest goes with weights"),
        ({"weights": "a.npz", "message": "none", "evaluate": True}, "digest must be"),
        ({"captions": "attributes"}, "captions .attributes. go with"),
        ({"captions": "text"}, "generator diffusers"),
        (TEXT | {"text_captions": 1025}, "text_captions"),
        (TEXT | {"text_slots": 65536, "text_bytes": 96}, "at most 4194304"),
        (TEXT | {"text_slots": 8, "text_captions": 9}, "text_captions or more"),
        (TEXT | {"text_bytes": 8}, "text_bytes"),
        (
            {"told": "sums", "message": "counts", "weights": "a.npz", "digest": "0" * 64},
            "devices have no weights",
        ),
        ({"names": ("one",)}, "1 names for 3 classes"),
        ({"template": "a photo"}, "template"),
        ({"negative": "x" * 501}, "longer than"),
        ({"template": "{name}\n"}, "control characters"),
    ],
)
def test_configs_that_make_no_sense(change, text) -> None:
    with pytest.raises(ConfigError, match=text):
        generative(**change)


def test_values_outside_the_range_are_clipped_before_they_are_summed() -> None:
    """Then no sum can pass its bound: nothing has to be clipped there."""
    config = generative(low=-0.25, high=0.5)
    devices = describers(ToyLearner)
    asked = []
    run(Generative(config), devices, after=asked.append)
    describe = next(plan for plan in asked if plan.step == "describe")
    for device in devices:
        arrays = (
            Generative(config)
            .local(describe, device.learner, device.data, np.random.default_rng(0))
            .arrays
        )
        for field in describe.fields:
            assert np.abs(arrays[field.name]).max() <= field.bound
    assert LOW < -0.25 and HIGH > 0.5
