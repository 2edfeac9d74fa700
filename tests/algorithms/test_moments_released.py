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
    Noisy,
    Release,
    cosines,
    filtered,
    over_weights,
    pixels,
    symmetric,
)
from dreamshare.learning.moments.releasing import COUNT, REST, SLACK
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
    return Release(3, cosines(shape, count), values, 0.25, radius, level)


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
    parts = one.levels(np.array([values]))
    z = np.concatenate([np.ravel(part) for part in parts])
    assert np.array_equal(z, np.rint(z))
    assert np.linalg.norm(z) <= SLACK / level
    sums = one.of(np.array([values]), np.array([label]))
    moved = (sums.counts_K, sums.first_KB, sums.second_P, sums.rest)
    norm = math.sqrt(sum(float(np.square(part).sum()) for part in moved))
    assert norm == pytest.approx(np.linalg.norm(z) * level)


def test_one_example_more_changes_an_answer_by_what_that_example_adds() -> None:
    rng = np.random.default_rng(3)
    u_ND, y_N = rng.uniform(-1, 1, (150, 9)), rng.integers(0, 3, 150)
    whole, less, alone = (
        release().of(u_ND[part], y_N[part]) for part in (slice(None), slice(1, None), slice(0, 1))
    )
    for name in ("counts_K", "first_KB", "second_P"):
        moved = getattr(whole, name) - getattr(less, name)
        np.testing.assert_allclose(moved / LEVEL, getattr(alone, name) / LEVEL, atol=1e-6)


def test_without_noise_the_moments_are_those_of_the_clipped_examples() -> None:
    rng = np.random.default_rng(4)
    y_N = rng.integers(0, 3, 900)
    u_ND = np.clip(0.25 + 0.1 * rng.normal(size=(900, 9)) + 0.2 * (y_N[:, None] - 1), -1, 1)
    one = Release(3, pixels(9), 9, 0.25, 3.0, LEVEL)
    sums = over_weights(one.of(u_ND, y_N))
    assert sums.counts_K == pytest.approx(np.bincount(y_N), rel=0.02)
    mean_KB, covariance_P, rest = filtered(Noisy(sums, 0.0, np.ones(9)))
    v_ND = (u_ND - 0.25) / 3.0
    means = np.stack([v_ND[y_N == label].mean(axis=0) for label in range(3)])
    within = np.cov((v_ND - means[y_N]).T, bias=True)
    np.testing.assert_allclose(mean_KB, means, atol=2e-3)
    np.testing.assert_allclose(symmetric(covariance_P, 9), within, atol=3e-4)
    assert rest == pytest.approx(0.0, abs=1e-3)


def test_what_lies_under_the_noise_gets_the_public_spectrum_and_the_trace_stays() -> None:
    rng = np.random.default_rng(5)
    basis = cosines((1, 6, 6), 20)
    u_ND = 0.2 * rng.normal(size=(400, 36))
    one = Release(3, basis, 36, 0.0, 3.0, LEVEL)
    sums = over_weights(one.of(u_ND, rng.integers(0, 3, 400)))
    _, quiet_P, _ = filtered(Noisy(sums, 0.0, basis.scale_B**2))
    mean_KB, loud_P, _ = filtered(Noisy(sums, 1e3, basis.scale_B**2))
    loud_BB = symmetric(loud_P, 20)
    assert np.linalg.eigvalsh(loud_BB).min() >= -1e-12
    spectrum_B = basis.scale_B**2 / np.square(basis.scale_B).sum()
    np.testing.assert_allclose(np.diag(loud_BB) / np.trace(loud_BB), spectrum_B, rtol=1e-6)
    assert np.trace(loud_BB) >= np.trace(symmetric(quiet_P, 20)) > 0
    assert np.abs(mean_KB).max() < 1e-3, "noise of this size leaves no mean"


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
    assert update.arrays["counts"] == pytest.approx([4 * COUNT, COUNT, 0.0], rel=0.01)
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
    one, two = (released.answer(config, ArrayData(each, y_N)).arrays for each in (x_NCHW, other))
    moved = [one[name] - two[name] for name in one]
    norm = math.sqrt(sum(float(np.square(part).sum()) for part in moved))
    assert norm <= 2 * SLACK, "one example was exchanged for another, and nothing else changed"


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
    arrays = released.answer(moments(form="clipped"), owners(counts=((1, 4, 5),))[0].data).arrays
    assert arrays["counts"] == pytest.approx([COUNT, 4 * COUNT, 5 * COUNT], rel=0.01)
    assert arrays["rest"] <= REST * 10
