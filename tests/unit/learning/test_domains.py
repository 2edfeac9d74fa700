"""Domains of pictures: turns against known answers, inversion, public sets of several domains."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import ConfigError
from dreamshare.learning.domains import Domain, public_of

RNG = np.random.default_rng(0)
X = RNG.random((6, 2, 7, 7), dtype=np.float32)
Y = np.arange(6) % 3


def test_quarter_turns_are_exact() -> None:
    for quarters in range(-1, 5):
        shown = Domain(degrees=90.0 * quarters).shown(X)
        np.testing.assert_array_equal(shown, np.rot90(X, quarters, axes=(2, 3)))


@pytest.mark.parametrize("degrees", [89.999, 179.999, 269.999, 0.001])
def test_other_angles_turn_the_same_way(degrees: float) -> None:
    """A thousandth of a degree beside a quarter turn the picture is nearly that of the quarter."""
    wanted = np.rot90(X, round(degrees / 90), axes=(2, 3))
    np.testing.assert_allclose(Domain(degrees=degrees).shown(X), wanted, atol=1e-3)


def test_what_comes_from_outside_is_background() -> None:
    full = np.full((1, 1, 9, 9), 0.8, np.float32)
    shown = Domain(degrees=45.0, low=-1.0).shown(full)[0, 0]
    assert shown[0, 0] == shown[8, 8] == -1.0
    np.testing.assert_allclose(shown[4, 4], 0.8)
    assert shown.min() >= -1.0 and shown.max() <= 0.8 + 1e-6


def test_a_turn_of_a_picture_that_is_no_square_keeps_its_shape() -> None:
    assert Domain(degrees=90.0).shown(X[:, :, :5]).shape == (6, 2, 5, 7)
    np.testing.assert_array_equal(
        Domain(degrees=180.0).shown(X[:, :, :5]), X[:, :, :5][:, :, ::-1, ::-1]
    )


def test_inversion_is_its_own_inverse() -> None:
    domain = Domain(inverted=True, low=-1.0, high=2.0)
    np.testing.assert_allclose(domain.shown(X), 1.0 - X, rtol=1e-6)
    np.testing.assert_allclose(domain.shown(domain.shown(X)), X, atol=1e-6)


def test_public_sets_of_domains() -> None:
    domains = (Domain(), Domain(degrees=90), Domain(inverted=True), Domain(degrees=180))
    in_turn, all_of_them = (
        public_of(domains, X, Y),
        public_of(domains, X, Y, all_of_them=True),
    )
    assert in_turn.domains_N is not None and all_of_them.domains_N is not None
    assert in_turn.domains_N.tolist() == [0, 0, 1, 1, 2, 3]
    assert in_turn.y_N is not None and in_turn.y_N.tolist() == [0, 1, 1, 2, 2, 0]
    np.testing.assert_array_equal(in_turn.x_NCHW[3], np.rot90(X[5], axes=(1, 2)))
    assert np.bincount(all_of_them.domains_N).tolist() == [6] * 4
    np.testing.assert_array_equal(all_of_them.x_NCHW[:6], X)


def test_what_is_refused() -> None:
    for wrong in ({"degrees": np.nan}, {"low": 1.0}, {"high": np.inf}):
        with pytest.raises(ConfigError):
            Domain(**wrong)
    with pytest.raises(ConfigError):
        Domain().shown(X[0])
    with pytest.raises(ConfigError):
        public_of((), X, Y)
    with pytest.raises(ConfigError):
        public_of((Domain(),), X, Y[:2])
