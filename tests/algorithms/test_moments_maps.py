"""The form "maps": features of public maps, exact sums of them, pictures that have their means."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.moments import MomentSharing, form_of, mapped
from dreamshare.algorithms.moments.forms import numbers_of
from dreamshare.errors import ConfigError
from dreamshare.learning.measures import measure
from dreamshare.learning.moments import FARTHEST, feature_maps, match, size_of_map
from dreamshare.learning.plain.layers import Convolution, Gridded
from tests.algorithms.describing import dealt
from tests.algorithms.moments import Guarded, moments, owned, owners
from tests.algorithms.oracle import Device, run
from tests.algorithms.sharing import seeds
from tests.algorithms.toy import ToyLearner

PUBLIC, POOL = seeds(120, 70), seeds(240, 71)
MAPS = {
    "form": "maps",
    "told": "set",
    "images": 6,
    "match_steps": 60,
    "components": 8 * size_of_map((1, 2, 2)),
}


def accuracies(devices) -> list[float]:
    return [measure(d.learner, PUBLIC.batch()).accuracy for d in devices]


def test_devices_learn_from_matched_pictures(learner) -> None:
    alone, together = (owners(learner) for _ in range(2))
    run(MomentSharing(moments(**MAPS, fit_steps=0)), alone)
    seen = run(MomentSharing(moments(**MAPS, fit_steps=30)), together)
    assert seen.steps == ["warm_up", "count", "describe", "learn"]
    assert np.mean(accuracies(together)) > np.mean(accuracies(alone))
    assert seen.done.metrics["images"] == 18 and seen.done.metrics["clipped"] == 0.0


def test_the_sums_are_the_means_of_the_pooled_examples_whoever_has_them() -> None:
    config = moments(**MAPS, warm_up_epochs=0)
    maps = mapped.maps_of(config)
    h_NF = maps.of(config.space.units(POOL.x_NCHW))
    wanted = np.stack([h_NF[POOL.y_N == label].mean(axis=0) for label in range(3)])
    made = []
    for owners_N in (POOL.y_N, np.random.default_rng(0).integers(0, 3, len(POOL.y_N))):
        devices = owned(dealt(POOL.x_NCHW, POOL.y_N, owners_N))
        made.append(run(MomentSharing(config), devices).done.result)
        np.testing.assert_allclose(made[-1]["features"], wanted, atol=1e-5)
    assert made[0]["labels"].tolist() == [0, 1, 2] * 6
    assert made[0]["images"].shape == (18, 1, 2, 2)


def test_matched_pictures_have_the_means_that_were_wanted() -> None:
    maps = feature_maps((1, 6, 5), 6, seed=3)
    rng = np.random.default_rng(0)
    shown_KND = rng.uniform(-0.2, 0.2, (2, 40, 30)) + np.linspace(-0.6, 0.6, 30) * np.array(
        [[[1]], [[-1]]]
    )
    wanted_KF = np.stack([maps.of(shown_ND).mean(axis=0) for shown_ND in shown_KND])
    first, last = (match(maps, wanted_KF, 5, steps, 0.1, seed=1) for steps in (1, 80))
    apart = [
        float(np.square(np.stack([maps.of(u).mean(axis=0) for u in made]) - wanted_KF).mean())
        for made in (first, last)
    ]
    assert apart[1] < 0.05 * apart[0]
    assert last.shape == (2, 5, 30) and np.abs(last).max() <= 1
    again = match(maps, wanted_KF, 5, 80, 0.1, seed=1)
    np.testing.assert_array_equal(last, again)


def test_a_message_is_as_long_whatever_the_size_of_an_input() -> None:
    sizes = set()
    for shape in ((1, 14, 14), (1, 28, 28), (3, 32, 32), (3, 96, 64)):
        algorithm = MomentSharing(moments(shape=shape, form="maps", told="set", images=10))
        fields = algorithm.steps()["describe"]
        sizes.add(sum(field.size for field in fields))
    assert sizes == {3 * (32 * 144 + 1) + 1}
    small = form_of(moments(form="maps", told="set", images=10))
    assert numbers_of(small, 4, 3) == 3 * (32 * 64 + 1), "2x2 pixels have a grid of 2x2"


def test_features_are_bounded_public_and_of_one_size() -> None:
    maps, same, other = (feature_maps((2, 9, 7), 3, seed) for seed in (5, 5, 6))
    u_ND = np.random.default_rng(0).uniform(-1, 1, (10, 2 * 9 * 7))
    h_NF = maps.of(u_ND)
    assert h_NF.shape == (10, 3 * 144) and np.abs(h_NF).max() <= FARTHEST
    np.testing.assert_array_equal(h_NF, same.of(u_ND))
    assert np.abs(h_NF - other.of(u_ND)).max() > 0.1
    np.testing.assert_allclose(h_NF[3:4], maps.of(u_ND[3:4]), atol=1e-5)


def test_a_class_below_the_owners_least_count_is_in_no_sum() -> None:
    data = owners(counts=((1, 9, 9),))[0].data
    batch = next(data.batches(np.random.default_rng(0), 19))
    guarded = Guarded(batch.x_NCHW, batch.y_N)
    guarded.least_class_count = 5
    config = moments(**MAPS, least_examples=1, warm_up_epochs=0, fit_steps=0)
    devices = [Device(ToyLearner(), guarded, np.random.default_rng(0))]
    result = run(MomentSharing(config), devices).done.result
    assert result["totals"].tolist() == [0, 9, 9]
    assert not result["features"][0].any() and set(result["labels"].tolist()) == {1, 2}


@pytest.mark.parametrize("step", [1, 2])
def test_strided_convolutions_and_grids_pull_gradients_back(step: int) -> None:
    rng = np.random.default_rng(0)
    layer, grid = Convolution(2, 3, step), Gridded(2, 3)
    own = {name: array.astype(np.float64) for name, array in layer.start(rng).items()}
    x_NHWC = rng.normal(size=(2, 7, 5, 2))
    y, pull = layer.forward(own, x_NHWC)
    assert y.shape == (2, -(-7 // step), -(-5 // step), 3)
    z, pull_grid = grid.forward({}, y)
    assert z.shape == (2, 2, 3, 3)
    weight = rng.normal(size=z.shape)
    back = pull(pull_grid(weight)[0].astype(np.float64))[0]
    along = rng.normal(size=x_NHWC.shape)
    ends = [
        (grid.forward({}, layer.forward(own, x_NHWC + by * along)[0])[0] * weight).sum()
        for by in (0.5, -0.5)
    ]
    assert ends[0] - ends[1] == pytest.approx((back * along).sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"told": "sums"}, "told 'set'"),
        ({"images": 101}, "at most 100"),
        ({"components": 65}, "multiple"),
        ({"match_steps": 0}, "match_steps"),
        ({"match_rate": 0.0}, "match_rate"),
    ],
)
def test_configs_that_cannot_be_matched_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        moments(**(MAPS | change))
