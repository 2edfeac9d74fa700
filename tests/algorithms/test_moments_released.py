"""The form "clipped": what one example can move, what noise leaves, and that a device insists."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.moments import MomentSharing, released
from dreamshare.binding import CatalogWork, plan_of, terms_of
from dreamshare.errors import ConfigError
from dreamshare.learning.data import ArrayData
from dreamshare.learning.moments import (
    Basis,
    Noisy,
    Release,
    cosines,
    filtered,
    flattened,
    over_weights,
    symmetric,
)
from dreamshare.learning.moments.releasing import COUNT, REST, ROOM, SLACK
from dreamshare.privacy import Privacy
from dreamshare.privacy.examples import noise_wanted
from dreamshare.protocol.events import Compute
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.simulate import SimulatedDevice, simulate
from tests.algorithms.moments import moments, owners
from tests.algorithms.toy import ToyLearner, toy_data

EVERYBODY = Cohort(least=4, most=4)
LEVEL = 1 / 512


def release(values: int = 9, count: int = 6, radius: float = 1.5, level: float = LEVEL) -> Release:
    shape = (1, 1, values)
    return Release(3, flattened(cosines(shape, count)), values, 0.25, radius, level, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    st.integers(0, 2),
    st.sampled_from([1 / 16, 1 / 512, 1 / 4096]),
    st.sampled_from([0.1, 1.5, 40.0]),
)
def test_no_example_moves_more_than_its_reach(
    values: list[float], label: int, level: float, radius: float
) -> None:
    one = release(level=level, radius=radius)
    parts = one.levels(np.array([values]), np.random.default_rng(9))
    rows = (parts.count_N, parts.first_NB, parts.second_NP, parts.each_NQ, parts.rest_N)
    z = np.concatenate([np.ravel(part) for part in rows])
    assert np.array_equal(z, np.rint(z))
    assert np.linalg.norm(z) <= SLACK / level
    sums = one.of(np.array([values]), np.array([label]), np.random.default_rng(9))
    moved = (sums.counts_K, sums.first_KB, sums.second_P, sums.each_KQ, sums.rest)
    norm = math.sqrt(sum(float(np.square(part).sum()) for part in moved))
    assert norm == pytest.approx(np.linalg.norm(z) * level)


class DiceOfPlaces(np.random.Generator):
    """Dice that an example has by its place, whoever else is there."""

    def __init__(self, place: int) -> None:
        super().__init__(np.random.PCG64(0))
        self._place = place

    def random(self, shape: tuple[int, int]) -> np.ndarray:  # type: ignore[override]
        rows = [
            np.random.default_rng(self._place + row).random(shape[1]) for row in range(shape[0])
        ]
        self._place += shape[0]
        return np.array(rows)


def test_one_example_more_changes_an_answer_by_what_that_example_adds() -> None:
    rng = np.random.default_rng(3)
    u_ND, y_N = rng.uniform(-1, 1, (150, 9)), rng.integers(0, 3, 150)
    whole, less, alone = (
        release().of(u_ND[part], y_N[part], DiceOfPlaces(place))
        for part, place in ((slice(None), 0), (slice(-1), 0), (slice(-1, None), 149))
    )
    for name in ("counts_K", "first_KB", "second_P", "each_KQ"):
        moved = getattr(whole, name) - getattr(less, name)
        np.testing.assert_allclose(moved / LEVEL, getattr(alone, name) / LEVEL, atol=1e-6)


def test_without_noise_the_moments_are_those_of_the_clipped_examples() -> None:
    rng = np.random.default_rng(4)
    y_N = rng.integers(0, 3, 900)
    spread_N1 = (0.06 + 0.04 * y_N)[:, None]  # classes differ in how far they spread, too
    u_ND = 0.25 + spread_N1 * rng.normal(size=(900, 9)) + 0.2 * (y_N[:, None] - 1)
    u_ND = np.clip(u_ND, -1, 1)
    scale_B = np.linspace(1.5, 0.5, 9)
    one = Release(3, Basis(None, scale_B), 9, 0.25, 6.0, LEVEL, lowest=5)
    sums = over_weights(one.of(u_ND, y_N, rng))
    assert sums.counts_K == pytest.approx(np.bincount(y_N), rel=0.02)
    found = filtered(Noisy(sums, 0.0, np.ones(9), scale_B))
    v_ND = (u_ND - 0.25) / 6.0 / scale_B
    means = np.stack([v_ND[y_N == label].mean(axis=0) for label in range(3)])
    within = np.cov((v_ND - means[y_N]).T, bias=True)
    np.testing.assert_allclose(found.mean_KB, means, atol=2e-3)
    np.testing.assert_allclose(symmetric(found.covariance_P, 9), within, atol=3e-4)
    own = np.stack([np.cov(v_ND[y_N == label, :5].T, bias=True) for label in range(3)])
    np.testing.assert_allclose(symmetric(found.apart_KQ, 5), own - within[:5, :5], atol=3e-4)
    assert found.rest == pytest.approx(0.0, abs=1e-3)


def test_what_lies_under_the_noise_gets_the_public_spectrum_and_the_trace_stays() -> None:
    rng = np.random.default_rng(5)
    basis = cosines((1, 6, 6), 20)
    u_ND = 0.2 * rng.normal(size=(400, 36))
    plain = Basis(basis.vectors_DB, np.ones(20))
    one = Release(3, plain, 36, 0.0, 3.0, LEVEL, lowest=6)
    sums = over_weights(one.of(u_ND, rng.integers(0, 3, 400), rng))
    quiet, loud = (
        filtered(Noisy(sums, sigma, basis.scale_B**2, plain.scale_B)) for sigma in (0.0, 1e3)
    )
    loud_BB = symmetric(loud.covariance_P, 20)
    assert np.linalg.eigvalsh(loud_BB).min() >= -1e-12
    spectrum_B = basis.scale_B**2 / np.square(basis.scale_B).sum()
    np.testing.assert_allclose(np.diag(loud_BB) / np.trace(loud_BB), spectrum_B, rtol=1e-6)
    assert np.trace(loud_BB) >= np.trace(symmetric(quiet.covariance_P, 20)) > 0
    assert np.abs(loud.mean_KB).max() < 1e-3, "noise of this size leaves no mean"
    assert np.abs(loud.apart_KQ).max() < 1e-3, "nor what one class has over another"


def test_less_of_the_norm_is_brightness_where_a_basis_is_flattened() -> None:
    plain = cosines((1, 6, 6), 20)
    even = flattened(plain)
    parts_B, even_B = plain.scale_B, plain.scale_B / even.scale_B  # a picture as they are expected
    assert np.linalg.norm(even_B) == pytest.approx(np.linalg.norm(parts_B))
    assert even_B[0] / np.linalg.norm(even_B) < 0.8 * parts_B[0] / np.linalg.norm(parts_B)
    assert (np.diff(even_B) <= 1e-12).all(), "coarse detail still comes first"


def test_a_run_through_the_protocol_hides_examples_and_says_how_well() -> None:
    devices = [SimulatedDevice(ToyLearner(i), toy_data(i, (90, 90, 60))) for i in range(4)]
    config = moments(form="clipped", epsilon=8.0, max_examples=256, fit_steps=2)
    result = simulate(config, devices, cohort=EVERYBODY, seed=3)
    assert result.aggregations == 1
    assert (result.metrics["epsilon"], result.metrics["delta"]) == (8.0, 1e-5)
    sums = noise_wanted(MomentSharing(config).example_noise(), 4, 1)  # the size hardly matters
    assert result.metrics["noise"] == pytest.approx(256 * sums * math.sqrt(2), rel=0.25)
    assert result.arrays["totals"] == pytest.approx([360, 360, 240], abs=40)
    assert result.arrays["covariance"].shape == (1, 10)
    assert result.arrays["apart"].shape == (3, 10)
    assert sorted(set(result.arrays["labels"].tolist())) == [0, 1, 2]


def test_the_algorithm_runs_without_noise_only_where_nobody_insists() -> None:
    """Through the protocol a device computes nothing for a round whose noise is too small."""
    config = moments(form="clipped", warm_up_epochs=0)
    algorithm = MomentSharing(config)
    name, text = config_json_of(config)
    plan = algorithm.plan(algorithm.init(np.random.default_rng(0)))
    assert isinstance(plan, Ask)
    asked = plan_of(name, text, plan)
    work, rng = CatalogWork([name]), np.random.default_rng(0)
    dims = sum(field.size for field in plan.fields)
    wanted = noise_wanted(algorithm.example_noise(), dims, 1)

    def order(noise: float) -> Compute:
        return Compute(asked.payload().hash, asked, plan.fields, 1.0, noise)

    for noise in (0.0, 0.99 * wanted):
        with pytest.raises(ConfigError, match="promises epsilon 8 for each example"):
            work.compute(order(noise), ToyLearner(), toy_data(0), rng)
    update = work.compute(order(wanted), ToyLearner(), toy_data(0, (4, 1, 0)), rng)
    assert update.arrays["counts"] == pytest.approx(ROOM * COUNT * np.array([4, 1, 0]), abs=0.02)
    assert not update.arrays["gauge"].any()


def test_the_noise_of_the_config_is_the_only_one() -> None:
    algorithm = MomentSharing(moments(form="clipped"))
    terms = terms_of(algorithm, EVERYBODY, Deadlines())
    assert terms.noise is not None and terms.noise.bits == released.BITS
    with pytest.raises(ConfigError, match="noise of its own"):
        terms_of(algorithm, EVERYBODY, Deadlines(), Privacy(1.0, epsilon=8.0))
    assert MomentSharing(moments(form="dct", components=3)).example_noise() is None


def test_which_examples_answer_depends_on_their_number_alone() -> None:
    rng = np.random.default_rng(0)
    x_NCHW, y_N = rng.uniform(-1, 1, (40, 1, 2, 2)).astype(np.float32), np.zeros(40, np.int64)
    other = x_NCHW.copy()
    other[17] = 0.5
    config = moments(form="clipped", max_examples=24)
    one, two = (
        released.answer(config, ArrayData(each, y_N), np.random.default_rng(1)).arrays
        for each in (x_NCHW, other)
    )
    moved = [one[name] - two[name] for name in one]
    norm = math.sqrt(sum(float(np.square(part).sum()) for part in moved))
    assert 0 < norm <= 2 * SLACK, "one example was exchanged for another, and nothing else changed"


def test_where_nothing_stands_out_the_run_says_so() -> None:
    algorithm = MomentSharing(moments(form="clipped"))
    state = algorithm.init(np.random.default_rng(0))
    loud = np.random.default_rng(1)
    total = {
        field.name: loud.normal(0, 50, field.shape) for field in released.fields(algorithm.config)
    }
    total["counts"] = np.zeros(3)
    with pytest.raises(ConfigError, match="no class stands out of the noise"):
        released.described(algorithm.config, state, total)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"evaluate": True}, "no evaluate"),
        ({"least_holders": 2}, "least_holders 1"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"delta": 1.0}, "delta"),
        ({"centre": 1.5}, "centre"),
        ({"radius": 0.0}, "radius"),
    ],
)
def test_configs_that_promise_nothing_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        moments(form="clipped", **change)


def test_devices_with_few_examples_of_a_class_answer_too() -> None:
    """A threshold would show its last example with the weight of all (docs/adr/0030)."""
    data = owners(counts=((1, 4, 5),))[0].data
    arrays = released.answer(moments(form="clipped"), data, np.random.default_rng(0)).arrays
    assert arrays["counts"] == pytest.approx(ROOM * COUNT * np.array([1, 4, 5]), abs=0.02)
    assert arrays["rest"] <= REST * 10
