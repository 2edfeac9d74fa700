"""`moments/1` with exact sums: what is asked, what is drawn, what is learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.bounds import CLIPPED
from dreamshare.algorithms.catalog import state_from
from dreamshare.algorithms.checkpoint import encode_state
from dreamshare.algorithms.moments import MomentsConfig, MomentSharing, form_of
from dreamshare.algorithms.moments.forms import (
    MOST_NUMBERS,
    MOST_WHOLE,
    describe_fields,
    numbers_of,
    sketch_fields,
)
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import measure
from dreamshare.learning.plain import classifier
from tests.algorithms.describing import dealt
from tests.algorithms.moments import FORMS, moments, owned, owners, pooled, told_gaussians
from tests.algorithms.oracle import mean_of, run
from tests.algorithms.sharing import seeds
from tests.algorithms.toy import ToyLearner

PUBLIC = seeds(120, 70)
POOL = seeds(240, 71)


def accuracies(devices) -> list[float]:
    return [measure(d.learner, PUBLIC.batch()).accuracy for d in devices]


@pytest.mark.parametrize("form", FORMS)
def test_devices_learn_from_the_set(learner, form: str) -> None:
    config = moments(evaluate=True, **FORMS[form])
    alone, together = (owners(learner) for _ in range(2))
    run(MomentSharing(replace(config, fit_steps=0)), alone)
    seen = run(MomentSharing(config), together)
    sums = ["count", "sketch", "describe"] if form == "basis" else ["count", "describe"]
    assert seen.steps == ["warm_up", *sums, "learn", "evaluate"]
    assert np.mean(accuracies(together)) > np.mean(accuracies(alone))
    assert seen.done.metrics["images"] == 180
    assert seen.done.metrics["clipped"] == 0.0


@pytest.mark.parametrize("mix", ["fill", "beside", "synthetic"])
def test_every_mix_learns(mix: str) -> None:
    devices = owners()
    run(MomentSharing(moments(mix=mix, fit_steps=40)), devices)
    assert min(accuracies(devices)) > 0.75


@pytest.mark.parametrize("form", FORMS)
def test_the_sums_are_the_moments_of_the_pooled_examples(form: str) -> None:
    config = moments(warm_up_epochs=0, fit_steps=0, **FORMS[form])
    spread = np.random.default_rng(1).integers(0, 3, len(POOL.y_N))
    devices = owned(dealt(POOL.x_NCHW, POOL.y_N, spread))
    result = run(MomentSharing(config), devices).done.result
    found = told_gaussians(config, result)
    wanted = pooled(config, POOL.x_NCHW, POOL.y_N, found.basis)
    np.testing.assert_allclose(found.mean_KD, wanted.mean_KD, atol=1e-6)
    np.testing.assert_allclose(found.covariance_KBB, wanted.covariance_KBB, atol=1e-6)
    np.testing.assert_allclose(found.residual_D, wanted.residual_D, atol=1e-6)
    assert result["totals"].tolist() == [80, 80, 80]


@pytest.mark.parametrize("form", FORMS)
def test_a_class_of_few_examples_is_drawn_to_the_pooled_covariance(form: str) -> None:
    config = moments(warm_up_epochs=0, fit_steps=0, **FORMS[form])
    counts = np.array([60, 12, 30])
    own, drawn = (
        told_gaussians(
            each,
            run(
                MomentSharing(each), owners(counts=((20, 6, 10),) * 2 + ((20, 0, 10),))
            ).done.result,
        )
        for each in (config, replace(config, shrinkage=8.0))
    )
    pooled_BB = np.tensordot(counts / counts.sum(), own.covariance_KBB, 1)
    n_K11 = counts[:, None, None]
    wanted = (n_K11 * own.covariance_KBB + 8.0 * pooled_BB) / (n_K11 + 8.0)
    np.testing.assert_allclose(drawn.covariance_KBB, wanted, atol=1e-6)
    np.testing.assert_array_equal(drawn.mean_KD, own.mean_KD)


@pytest.mark.parametrize("form", FORMS)
def test_the_set_does_not_depend_on_who_has_what_nor_on_their_order(form: str) -> None:
    config = moments(warm_up_epochs=0, fit_steps=0, **FORMS[form])
    at_random = np.random.default_rng(0).integers(0, 3, len(POOL.y_N))
    made = []
    for owners_N in (POOL.y_N, at_random, 2 - at_random):
        devices = owned(dealt(POOL.x_NCHW, POOL.y_N, owners_N))
        made.append(run(MomentSharing(config), devices).done.result)
    for other in made[1:]:
        np.testing.assert_array_equal(made[0]["labels"], other["labels"])
        apart = made[0]["images"].astype(int) - other["images"].astype(int)
        assert np.abs(apart).max() <= 1, "a grey level"


def test_classes_are_even_and_in_turn() -> None:
    result = run(MomentSharing(moments(images=7)), owners()).done.result
    assert result["labels"].tolist() == [0, 1, 2] * 7
    assert result["images"].dtype == np.uint8


def test_sums_are_told_or_the_set_and_devices_learn_the_same() -> None:
    making, given_it = (owners() for _ in range(2))
    few = run(MomentSharing(moments(told="sums")), making)
    many = run(MomentSharing(moments(told="set")), given_it)
    assert many.bytes_down != few.bytes_down
    for one, other in zip(making, given_it, strict=True):
        np.testing.assert_allclose(one.learner.weight_DK, other.learner.weight_DK, atol=1e-6)


def test_the_student_learns_from_the_set_alone() -> None:
    algorithm = MomentSharing(moments(student="small", student_steps=150, images=100))
    seen = run(algorithm, owners())
    values = {
        name.removeprefix("student."): array.astype(np.float32)
        for name, array in seen.done.result.items()
        if name.startswith("student.")
    }
    logits = classifier((1, 2, 2), 3, 16).forward(values, PUBLIC.x_NCHW)[0]
    assert (logits.argmax(axis=1) == PUBLIC.y_N).mean() > 0.8
    assert algorithm.gallery_of(seen.done.result) is not None


def test_every_stage_survives_its_bytes() -> None:
    config = moments(student="small", student_steps=2, evaluate=True, **FORMS["basis"])
    algorithm, devices = MomentSharing(config), owners()
    state = algorithm.init(np.random.default_rng(0))
    planned = []
    while not isinstance(plan := algorithm.plan(state), Done):
        again = state_from("moments/1", encode_state(state))
        assert encode_state(again) == encode_state(state)
        planned.append(plan)
        updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in devices]
        mean = mean_of(plan, updates) if isinstance(plan, Ask) else {}
        state = algorithm.merge(state, mean, Crowd(3, 3))
    assert [plan.sums for plan in planned] == [4, 4, 3, 2, 1, 1]
    with pytest.raises(ConfigError, match="over"):
        algorithm.merge(state, {}, Crowd(3, 3))


def test_what_is_shown_and_taught() -> None:
    algorithm = MomentSharing(moments(images=100))
    state = algorithm.init(np.random.default_rng(0))
    assert algorithm.gallery(state) is None and algorithm.lessons(state) is None
    assert algorithm.gallery_of({}) is None
    result = run(algorithm, owners()).done.result
    shown = algorithm.gallery_of(result)
    assert shown is not None and len(shown) == 100
    assert np.unique(shown.labels_N).tolist() == [0, 1, 2]
    with pytest.raises(ConfigError, match="no Ask named 'dream'"):
        algorithm.local(Ask("dream", ()), ToyLearner(), PUBLIC, np.random.default_rng(0))


@given(
    shape=st.tuples(*(st.integers(1, 40) for _ in range(3))),
    classes=st.integers(2, 100),
)
@settings(max_examples=60, deadline=None)
def test_the_rule_gives_every_input_a_form_that_can_be_sent(shape, classes: int) -> None:
    config = MomentsConfig(shape=shape, classes=classes, images=1)
    form = form_of(config)
    values = config.space.values
    assert form.kind in ("pixels", "basis")
    assert 1 <= form.components <= values
    if form.components > 1:
        most = MOST_NUMBERS if form.kind == "basis" else MOST_WHOLE
        assert numbers_of(form, values, classes) <= most


@pytest.mark.parametrize(
    ("shape", "kind", "components"),
    [
        ((1, 8, 8), "pixels", 64),
        ((1, 14, 14), "pixels", 196),
        ((1, 28, 28), "basis", 64),
        ((3, 28, 28), "basis", 228),
        ((3, 32, 32), "basis", 228),
        ((9, 8, 8), "basis", 96),
        ((17, 1, 1), "pixels", 17),
        ((1, 1, 128), "pixels", 128),
    ],
)
def test_the_rule_by_example(shape, kind: str, components: int) -> None:
    form = form_of(MomentsConfig(shape=shape, classes=10, images=1))
    assert (form.kind, form.components) == (kind, components)


@pytest.mark.parametrize(
    "change",
    [
        {"form": "pixels"},
        {"form": "basis", "components": 5},
        {"form": "planes", "components": 6},
        {"form": "dct", "components": 5},
        {"form": "maps", "told": "set", "images": 1},
    ],
)
def test_the_numbers_of_a_form_are_those_of_its_fields(change: dict[str, object]) -> None:
    """All but how many were clipped, and, after a sketch, which tells it, too, the share."""
    config = moments(shape=(3, 4, 5), **change)
    form = form_of(config)
    fields = [*describe_fields(config, form)]
    if form.columns:
        fields = [*sketch_fields(config, form), *(f for f in fields if f.name != "share")]
    sent = sum(field.size for field in fields if field.name != CLIPPED)
    assert numbers_of(form, config.space.values, config.classes) == sent


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shape": (1, 2)}, "shape"),
        ({"classes": 1}, "classes"),
        ({"low": 5.0}, "low"),
        ({"form": "wavelets"}, "form"),
        ({"form": "basis", "components": 5}, "an input has 4 values"),
        ({"form": "pixels", "components": 2}, "components go with"),
        ({"form": "pixels", "shape": (3, 32, 32)}, "use 'basis' or 'dct'"),
        ({"form": "planes", "shape": (2, 2, 2), "components": 3}, "multiple of the 2 channels"),
        ({"bits": 7}, "bits"),
        ({"images": 10**5, "shape": (3, 64, 64)}, "values"),
        ({"mix": "stir"}, "mix"),
        ({"fill_power": 0.0}, "fill_power"),
        ({"shrinkage": -1.0}, "shrinkage"),
        ({"schedule": "linear"}, "schedule"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        moments(**change)


def test_a_set_that_does_not_fit_is_refused() -> None:
    algorithm = MomentSharing(moments(told="set"))
    device = owners()[0]
    images = np.zeros((2, 1, 2, 2), np.uint8)
    totals = np.full(3, 20.0)
    for tensors, text in (
        ({}, "'totals'"),
        ({"totals": totals}, "did not come"),
        ({"totals": totals, "images": images[:, :, :1], "labels": np.zeros(2, np.int64)}, "shapes"),
        ({"totals": totals, "images": images, "labels": np.array([0, 3])}, "classes"),
    ):
        with pytest.raises(ConfigError, match=text):
            algorithm.local(Tell("learn", tensors), device.learner, device.data, device.rng)
