"""Clamped Gaussians: what is drawn has the moments that were summed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from dreamshare.errors import ConfigError
from dreamshare.learning.moments import Basis, Gaussians, pixels
from dreamshare.learning.moments.clamped import clamped_moments, latent_of


@given(mean=st.floats(-2, 3), spread=st.floats(0.05, 2))
@settings(max_examples=50, deadline=None)
def test_the_closed_form_is_the_integral(mean: float, spread: float) -> None:
    def integral(power: int) -> float:
        inside = quad(lambda z: z**power * norm.pdf(z, mean, spread), 0, 1)[0]
        return inside + norm.sf(1, mean, spread)

    found_mean, found_spread = clamped_moments(np.array([mean]), np.array([spread]))
    variance = max(integral(2) - integral(1) ** 2, 1e-12)
    assert found_mean[0] == pytest.approx(integral(1), abs=1e-6)
    assert found_spread[0] ** 2 == pytest.approx(variance, abs=1e-6)


@given(mean=st.floats(-0.8, 1.8), spread=st.floats(0.05, 1.0))
@settings(max_examples=200, deadline=None)
def test_the_normal_behind_a_clamped_one_is_found(mean: float, spread: float) -> None:
    wanted = clamped_moments(np.array([mean]), np.array([spread]))
    assume(wanted[1][0] > 2e-3)
    latent = latent_of(*wanted)
    found = clamped_moments(latent.mean, latent.spread)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_what_does_not_move_stays() -> None:
    latent = latent_of(np.array([0.0, 0.3, 1.0]), np.array([0.0, 1e-5, 0.2]))
    np.testing.assert_allclose(latent.mean, [0.0, 0.3, 1.0])
    assert (latent.spread < 1e-3).all() and (latent.open == 1.0).all()


def gaussians(rectified: bool = True) -> Gaussians:
    """Two classes of 12 values in a basis of 3: one bright, one mostly dark."""
    rng = np.random.default_rng(0)
    vectors_DB = np.linalg.qr(rng.normal(size=(12, 3)))[0]
    half = rng.normal(size=(2, 3, 3)) * 0.2
    mean_KD = np.stack([np.linspace(-0.2, 0.4, 12), np.full(12, -0.9)])
    covariance_KBB = half @ half.swapaxes(1, 2)
    return Gaussians(
        mean_KD, covariance_KBB, np.full(12, 0.01), Basis(vectors_DB, np.ones(3)), rectified
    )


def test_means_and_variances_are_those_that_were_summed() -> None:
    made = gaussians()
    for label in (0, 1):
        u_ND = made.draw(label, 20_000, seed=3)
        assert np.abs(u_ND).max() <= 1.0
        inside_D = np.diag(made.basis.spread(made.basis.spread(made.covariance_KBB[label]).T))
        variance_D = inside_D + made.residual_D
        most_D = (1 + made.mean_KD[label]) * (1 - made.mean_KD[label])
        fits = variance_D < 0.5 * most_D  # others cannot have come from values in the range
        assert fits.sum() >= 6
        np.testing.assert_allclose(u_ND.mean(axis=0)[fits], made.mean_KD[label][fits], atol=0.02)
        np.testing.assert_allclose(u_ND.var(axis=0)[fits], variance_D[fits], rtol=0.08)


def test_without_rectification_dark_pictures_come_out_grey() -> None:
    right, wrong = (gaussians(rectified).draw(1, 5_000, 0).mean() for rectified in (True, False))
    assert abs(right + 0.9) < 0.02 < wrong + 0.9


def test_the_first_pictures_are_the_same_however_many_are_drawn() -> None:
    made = gaussians()
    np.testing.assert_array_equal(made.draw(0, 700, 1)[:300], made.draw(0, 300, 1))
    assert not np.array_equal(made.draw(0, 10, 1), made.draw(0, 10, 2))


def test_which_basis_of_a_space_is_used_does_not_matter() -> None:
    made = gaussians()
    turn = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))[0]
    assert made.basis.vectors_DB is not None
    turned = replace(
        made,
        basis=Basis(made.basis.vectors_DB @ turn, np.ones(3)),
        covariance_KBB=turn.T @ made.covariance_KBB @ turn,
    )
    np.testing.assert_allclose(turned.draw(1, 50, 0), made.draw(1, 50, 0), atol=1e-6)


def test_a_covariance_of_all_values_is_drawn_as_it_is() -> None:
    half = np.random.default_rng(1).normal(size=(4, 4)) * 0.1
    wanted = half @ half.T
    made = Gaussians(np.zeros((1, 4)), wanted[None], np.zeros(4), pixels(4))
    np.testing.assert_allclose(np.cov(made.draw(0, 50_000, 0).T), wanted, atol=2e-3)


def test_numbers_that_do_not_fit_are_refused() -> None:
    made = gaussians()
    for change, text in (
        ({"covariance_KBB": np.zeros((2, 4, 4))}, "covariances of 3"),
        ({"residual_D": np.full(12, -1.0)}, "0 or more"),
        ({"mean_KD": np.full((2, 12), np.nan)}, "finite"),
    ):
        with pytest.raises(ConfigError, match=text):
            replace(made, **change)
