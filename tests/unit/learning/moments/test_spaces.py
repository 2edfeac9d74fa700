"""The unit space, triangles of matrices, bases that travel."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.errors import ConfigError
from dreamshare.learning.moments import (
    Basis,
    Space,
    cosines,
    packed_basis,
    packed_size,
    pixels,
    products,
    repeated,
    symmetric,
    symmetric_blocks,
    unpacked_basis,
    upper,
)


def test_inputs_become_rows_between_minus_one_and_one_and_back() -> None:
    space = Space((2, 1, 3), low=-2.0, high=4.0)
    x_NCHW = np.array([[-2.0, 1.0, 4.0, 9.0, -9.0, 2.5]], np.float32).reshape(1, 2, 1, 3)
    u_ND = space.units(x_NCHW)
    assert u_ND.tolist() == [[-1.0, 0.0, 1.0, 1.0, -1.0, 0.5]]
    assert space.inputs(u_ND).ravel().tolist() == [-2.0, 1.0, 4.0, 4.0, -2.0, 2.5]
    with pytest.raises(ConfigError, match="must lie below"):
        Space((1, 1, 1), 1.0, 1.0)


@given(count=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_triangle_is_the_matrix(count: int, seed: int) -> None:
    half = np.random.default_rng(seed).normal(size=(3, count, count))
    matrix = half + half.swapaxes(1, 2)
    assert upper(matrix).shape == (3, packed_size(count))
    np.testing.assert_array_equal(symmetric(upper(matrix), count), matrix)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_all_frequencies_are_the_orthonormal_cosine_transform(shape, seed: int) -> None:
    values = int(np.prod(shape))
    basis = cosines(shape, values)
    assert basis.vectors_DB is not None
    np.testing.assert_allclose(basis.vectors_DB.T @ basis.vectors_DB, np.eye(values), atol=1e-12)
    x_CHW = np.random.default_rng(seed).normal(size=shape)
    wanted = scipy.fft.dctn(x_CHW, norm="ortho", axes=(1, 2)).ravel()
    found = basis.project(x_CHW.reshape(1, -1))[0]
    np.testing.assert_allclose(np.sort(found), np.sort(wanted), atol=1e-9)


def test_the_lowest_frequencies_come_first_and_channels_in_turn() -> None:
    basis = cosines((3, 8, 8), 9)
    assert basis.vectors_DB is not None
    owner = np.abs(basis.vectors_DB).reshape(3, 64, 9).sum(axis=1).argmax(axis=0)
    assert owner.tolist() == [0, 1, 2, 0, 0, 1, 1, 2, 2]
    assert (np.diff(basis.scale_B) <= 0).all()
    flat = np.ones((1, 192))
    assert np.abs(basis.of(flat)).max() <= 1.0 + 1e-12, "the bound of a mean product"
    with pytest.raises(ConfigError, match="components"):
        cosines((1, 2, 2), 5)


def test_a_basis_travels_as_bytes_and_spans_the_same_space() -> None:
    rng = np.random.default_rng(0)
    vectors_DB, _ = np.linalg.qr(rng.normal(size=(300, 20)))
    again = unpacked_basis(packed_basis(vectors_DB), np.ones(20)).vectors_DB
    assert again is not None
    np.testing.assert_allclose(again.T @ again, np.eye(20), atol=1e-12)
    overlap = np.linalg.svd(vectors_DB.T @ again)[1]
    assert overlap.min() > 0.999
    np.testing.assert_allclose(again, vectors_DB, atol=0.02)


def test_bases_that_are_none_are_refused() -> None:
    for columns, text in ((np.zeros((4, 2)), "zero"), (np.full((4, 2), 255), "depend on")):
        rough = columns + 127 * (columns == 0)
        with pytest.raises(ConfigError, match=text):
            unpacked_basis(rough, np.ones(2))
    with pytest.raises(ConfigError, match="scale above 0"):
        Basis(None, np.zeros(3))
    with pytest.raises(ConfigError, match="as many columns"):
        Basis(np.eye(3), np.ones(2))
    assert pixels(5).count == 5


@given(planes=st.integers(1, 3), each=st.integers(1, 5), seed=st.integers(0, 9))
def test_products_within_planes_are_the_blocks_of_all_products(planes, each, seed) -> None:
    parts_NB = np.random.default_rng(seed).normal(size=(7, planes * each))
    found = products(parts_NB, planes)
    assert found.shape == (planes * packed_size(each),)
    blocks_BB = np.kron(np.eye(planes), np.ones((each, each)))
    wanted = parts_NB.T @ parts_NB * blocks_BB
    np.testing.assert_allclose(symmetric_blocks(found, planes * each, planes), wanted, atol=1e-12)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_a_basis_of_planes_is_orthonormal_and_begins_with_the_brightness(planes: int) -> None:
    one = cosines((1, 4, 4), 5)
    basis = repeated(one, planes)
    assert one.vectors_DB is not None and basis.vectors_DB is not None
    assert basis.vectors_DB.shape == (planes * 16, planes * 5)
    np.testing.assert_allclose(
        basis.vectors_DB.T @ basis.vectors_DB, np.eye(planes * 5), atol=1e-12
    )
    grey = np.tile(one.vectors_DB, (planes, 1)) / np.sqrt(planes)
    np.testing.assert_allclose(basis.vectors_DB[:, :5], grey, atol=1e-12)
