"""The shared basis: what a sketch finds of a covariance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.errors import ConfigError
from dreamshare.learning.moments import Sketch, sketched
from dreamshare.learning.moments import test_matrix as matrix_of

VALUES, CLASSES = 120, 3


def examples(seed: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes with means of their own and a common spread of low rank."""
    rng = np.random.default_rng(seed)
    y_N = np.arange(300) % CLASSES
    directions = np.linalg.qr(rng.normal(size=(VALUES, rank)))[0]
    spread = rng.normal(size=(300, rank)) * (2.0 ** -np.arange(rank))
    u_ND = rng.normal(size=(CLASSES, VALUES))[y_N] + spread @ directions.T
    return u_ND, y_N


def sketch_of(u_ND: np.ndarray, y_N: np.ndarray, columns: int, seed: int = 1) -> Sketch:
    test_DT = matrix_of(seed, VALUES, columns)
    mean_KD = np.stack([u_ND[y_N == label].mean(axis=0) for label in range(CLASSES)])
    share_K = np.bincount(y_N, minlength=CLASSES) / len(y_N)
    return Sketch(share_K, mean_KD, u_ND.T @ (u_ND @ test_DT) / len(u_ND), test_DT)


@given(seed=st.integers(0, 50), rank=st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_what_has_a_low_rank_is_found_exactly(seed: int, rank: int) -> None:
    u_ND, y_N = examples(seed, rank)
    sketch = sketch_of(u_ND, y_N, rank + 4)
    within_ND = u_ND - sketch.mean_KD[y_N]
    scatter_DD = within_ND.T @ within_ND / len(u_ND)
    np.testing.assert_allclose(sketch.within(), scatter_DD @ sketch.test_DT, atol=1e-9)
    vectors_DB, spread_B = sketched(sketch, rank)
    np.testing.assert_allclose(vectors_DB.T @ vectors_DB, np.eye(rank), atol=1e-9)
    values = np.linalg.eigvalsh(scatter_DD)[::-1][:rank]
    kept = np.trace(vectors_DB.T @ scatter_DD @ vectors_DB)
    assert kept == pytest.approx(values.sum(), rel=1e-6)
    np.testing.assert_allclose(spread_B[:2] ** 2, values[:2], rtol=1e-3)


def test_a_sketch_keeps_nearly_what_the_best_directions_keep() -> None:
    u_ND, y_N = examples(3, 60)
    u_ND = u_ND + np.random.default_rng(4).normal(size=u_ND.shape) * np.linspace(1, 0.1, VALUES)
    sketch = sketch_of(u_ND, y_N, 36)
    within_ND = u_ND - sketch.mean_KD[y_N]
    scatter_DD = within_ND.T @ within_ND / len(u_ND)
    best = np.linalg.eigvalsh(scatter_DD)[::-1][:24].sum()
    vectors_DB, spread_B = sketched(sketch, 24)
    assert np.trace(vectors_DB.T @ scatter_DD @ vectors_DB) > 0.85 * best
    assert (spread_B > 0).all() and (np.diff(spread_B) <= 0).all()


def test_the_test_matrix_is_public() -> None:
    one, other = matrix_of(5, 30, 10), matrix_of(5, 30, 10)
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, matrix_of(6, 30, 10))
    np.testing.assert_array_equal(matrix_of(5, 4, 9), np.eye(4))
    u_ND, y_N = examples(0, 2)
    with pytest.raises(ConfigError, match="components of a sketch"):
        sketched(sketch_of(u_ND, y_N, 4), 5)
