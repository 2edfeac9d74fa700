"""Orthonormal bases in which class-wise second moments are summed.

Shape legend: D values of an example, B components of a basis.

Rules:
- what travels is one byte an entry; whoever reads it makes the columns orthonormal again in the one
  way that does not depend on a library's choice of signs, B (B'B)^(-1/2);
- `scale_B` is public and says how large a component is about: second moments are divided by it
  before they are encoded, so that small components keep a resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.generators.cosine import waves
from dreamshare.learning.moments.spaces import Doubles

LEVELS = 127
"""Steps of a column's byte form on either side of zero."""


@dataclass(frozen=True, slots=True)
class Basis:
    """A basis.

    Attributes:
        vectors_DB: orthonormal columns; None for all values as they are (B = D).
        scale_B: spread of each component, > 0, in the unit space.
    """

    vectors_DB: Doubles | None
    scale_B: Doubles

    def __post_init__(self) -> None:
        if self.scale_B.ndim != 1 or not len(self.scale_B) or not (self.scale_B > 0).all():
            raise ConfigError("a basis has one scale above 0 for each component")
        if self.vectors_DB is not None and self.vectors_DB.shape[1:] != self.scale_B.shape:
            raise ConfigError("a basis has as many columns as scales")

    @property
    def count(self) -> int:
        """B."""
        return len(self.scale_B)

    def of(self, u_ND: Doubles) -> Doubles:
        """Return components over their scales, (N, B)."""
        parts_NB = u_ND if self.vectors_DB is None else u_ND @ self.vectors_DB
        return parts_NB / self.scale_B

    def spread(self, parts_NB: Doubles) -> Doubles:
        """Return the vectors (N, D) that have these components (not over their scales)."""
        return parts_NB if self.vectors_DB is None else parts_NB @ self.vectors_DB.T

    def project(self, u_ND: Doubles) -> Doubles:
        """Return components as they are, (N, B)."""
        return u_ND if self.vectors_DB is None else u_ND @ self.vectors_DB


def pixels(values: int) -> Basis:
    """Return the basis of the values themselves."""
    return Basis(None, np.ones(values))


def cosines(shape: tuple[int, int, int], count: int) -> Basis:
    """Return the `count` lowest frequencies of the cosine transform, over all channels.

    A component's scale falls with its frequency f as sqrt(D / (1 + f^2)), about as pictures do; the
    lowest cannot be larger.

    Raises:
        ConfigError: there are not so many.
    """
    channels, height, width = shape
    values = math.prod(shape)
    if not 1 <= count <= values:
        raise ConfigError(f"{count} components of inputs with {values} values")
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    square_F = (rows**2 + columns**2).ravel()
    order = np.argsort(np.tile(square_F, channels), kind="stable")[:count]
    # channels in turn for one frequency, so that no colour has more detail than another
    channel_B, row_B, column_B = np.unravel_index(order, shape)
    plane_BHW = waves(height, height)[row_B, :, None] * waves(width, width)[column_B, None, :]
    vectors_BCHW = np.zeros((count, *shape))
    vectors_BCHW[np.arange(count), channel_B] = plane_BHW
    vectors_DB = np.ascontiguousarray(vectors_BCHW.reshape(count, values).T)
    scale_B = np.sqrt(values / (1.0 + np.tile(square_F, channels)[order]))
    return Basis(vectors_DB, scale_B)


def flattened(basis: Basis) -> Basis:
    """Return the basis with scales of its own spectrum's root, so that less lies in the lowest.

    Components over these scales are as long together as they are, where they spread like the
    basis' own scales.
    """
    even = float(np.square(basis.scale_B).sum() / basis.scale_B.sum())
    return Basis(basis.vectors_DB, np.sqrt(basis.scale_B / even))


def repeated(basis: Basis, planes: int) -> Basis:
    """Return the basis with these directions in brightness, then in each opponent colour.

    That is, in `planes` public orthonormal mixtures of as many channels (Helmert's): their mean,
    and what each channel has over the mean of those before it. In pictures these hardly go
    together, whatever their hue; red, green and blue do.
    """
    if planes == 1 or basis.vectors_DB is None:
        return basis
    mixtures = np.tril(np.ones((planes, planes)), -1) - np.diag(np.arange(planes))
    mixtures[0] = 1.0
    mixtures /= np.linalg.norm(mixtures, axis=1, keepdims=True)
    vectors_DB = np.asarray(np.kron(mixtures.T, basis.vectors_DB), np.float64)
    return Basis(vectors_DB, np.tile(basis.scale_B, planes))


def packed_basis(vectors_DB: Doubles) -> NDArray[np.uint8]:
    """Return columns as bytes, each over its own largest entry."""
    top_B = np.maximum(np.abs(vectors_DB).max(axis=0), 1e-12)
    bytes_DB: NDArray[np.uint8] = np.rint(LEVELS * (vectors_DB / top_B) + LEVELS).astype(np.uint8)
    return bytes_DB


def unpacked_basis(bytes_DB: NDArray[np.generic], scale_B: Doubles) -> Basis:
    """Return the basis whose columns travelled; raises ConfigError where they depend on each other.

    Small columns of rounding noise are kept: they are as good as any others.
    """
    rough_DB = bytes_DB.astype(np.float64) - LEVELS
    length_B = np.linalg.norm(rough_DB, axis=0)
    if rough_DB.ndim != 2 or not length_B.all():
        raise ConfigError("a basis needs columns that are not zero")
    rough_DB = rough_DB / length_B
    values_B, turned_BB = np.linalg.eigh(rough_DB.T @ rough_DB)
    if values_B[0] < 1e-6:
        raise ConfigError("the columns of a basis depend on each other")
    vectors_DB: Doubles = rough_DB @ ((turned_BB / np.sqrt(values_B)) @ turned_BB.T)
    return Basis(vectors_DB, scale_B)
