"""The attacks of `benchmarks.attacks` work where they should, and find nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.attacks import Reference, Seen, area, found_at, recovered, turned
from benchmarks.moments_attacks import (
    NOWHERE,
    Case,
    bound_of,
    case_of,
    of_generative,
    of_release,
    of_sums,
)

from dreamshare_cli.demo.digits import load

SHAPE = (1, 8, 8)


def case(size: int, label: int = 3) -> Case:
    held = load().train
    y_N = np.asarray(held.y_N)
    x_ND = held.x_NCHW.reshape(len(y_N), -1).astype(np.float64)
    middle = (x_ND.max() + x_ND.min()) / 2
    unit_ND = (x_ND - middle) * (2 / (x_ND.max() - x_ND.min()))
    return case_of(unit_ND, y_N, label, size, SHAPE)


@pytest.mark.parametrize("size", [2, 3])
def test_a_class_of_few_is_read_from_its_sums(size: int) -> None:
    row = of_sums(case(size), False, np.random.default_rng(0))
    assert row.images == 1.0, "every image of the class, from its mean and covariance alone"
    assert row.area > 0.99 and row.found == 1.0


@pytest.mark.parametrize("size", [3, 5, 9])
def test_where_the_class_is_left_out_there_is_nothing_to_read(size: int) -> None:
    row = of_sums(case(size), True, np.random.default_rng(0))
    assert (row.images, row.area, row.found) == (0.0, *NOWHERE)


def test_members_of_generative_sums_are_known_too() -> None:
    row = of_generative(case(5), np.random.default_rng(0))
    assert row.area > 0.8


def test_noise_keeps_a_class_of_three_unread() -> None:
    rng = np.random.default_rng(0)
    for epsilon in (2.0, 8.0):
        assert of_release(case(3), epsilon, rng).images == 0.0


def test_what_epsilon_leaves_to_whoever_knows_all_others() -> None:
    loud, quiet = bound_of(2.0), bound_of(8.0)
    assert 0.5 < loud[0] < quiet[0] < 0.9
    assert 0.01 < loud[1] < quiet[1] < 0.3


def test_scores_of_one_population_are_no_better_than_chance() -> None:
    rng = np.random.default_rng(2)
    draw_ND = rng.normal(size=(900, 6))
    reference = Reference.of(draw_ND[:400])
    seen = Seen(reference.mean_D, np.cov(draw_ND[:400].T, bias=True))
    one, other = (
        reference.score(seen, draw_ND[part]) for part in (slice(400, 600), slice(600, 900))
    )
    assert area(one, other) == pytest.approx(0.5, abs=0.08)
    assert found_at(one, other) < 0.06
    assert area(np.ones(3), np.ones(4)) == 0.5


def test_a_mean_without_products_gives_no_image_of_several() -> None:
    members = case(3).members_ND
    made = turned(Seen(members.mean(axis=0), None), 3, np.random.default_rng(0))
    assert recovered(made, members) == 0.0
    assert recovered(np.zeros((0, 64)), members) == 0.0
