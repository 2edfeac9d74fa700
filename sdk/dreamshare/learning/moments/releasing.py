"""One release with noise: what an example adds to it, clipped and in whole levels.

    release = Release(classes=10, basis=cosines((1, 28, 28), 196), values=784, centre=-0.4,
                      radius=14.0, level=1 / 512)
    answered = release.of(u_ND, y_N)                # of a device's own examples: sums of z
    sums = over_weights(total)                      # of all devices' answers

Shape legend: N examples, D values of an example, K classes, B components, P = B(B+1)/2.

An example u is drawn to v = (u - centre) / radius, shortened to norm 1 where it is longer, and adds

    z = (COUNT at its class, FIRST * v'B at its class, SECOND * (v'B)(v'B)', REST * |v outside B|^2)

Rules:
- |z| <= 1 whatever the example is: COUNT^2 + FIRST^2 + SECOND^2 = 1, products count as often as
  they stand in the matrix (off its diagonal times the root of 2), and what lies outside the basis
  can only be there instead of what lies inside;
- z is rounded to whole levels, example by example, and its norm in levels is at most SLACK / level:
  what is too long after rounding is shortened and cut towards zero;
- sums of levels are exact, so that one example changes a device's answer by its own z alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Ints
from dreamshare.learning.moments.bases import Basis
from dreamshare.learning.moments.spaces import Doubles, packed_size

COUNT, FIRST, SECOND, REST = 0.15, 0.60, math.sqrt(1 - 0.15**2 - 0.60**2), 0.5
"""Chosen on validation examples of Fashion-MNIST, 14x14; see docs/algorithms/moments.md."""

SLACK = 1.0 + 1.0 / 64.0
"""Growth by rounding that is allowed; that of the encoding, too (docs/protocol.md 12.2)."""

CHUNK = 64
"""Examples whose products are made together."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over examples, of z or over the weights of its parts.

    Attributes:
        counts_K: examples of each class.
        first_KB: of v'B by class.
        second_P: of the upper triangle of (v'B)(v'B)', whatever the class.
        rest: of |v|^2 outside the basis.
    """

    counts_K: Doubles
    first_KB: Doubles
    second_P: Doubles
    rest: float


@dataclass(frozen=True, slots=True)
class Release:
    """How examples are clipped; all of it public.

    Attributes:
        classes: K.
        basis: of the components; its scales are left aside.
        values: D.
        centre: subtracted from every value, in the unit space.
        radius: of the ball that examples are shortened to, > 0, unit space.
        level: resolution of a coordinate of z, > 0.
    """

    classes: int
    basis: Basis
    values: int
    centre: float
    radius: float
    level: float

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.level > 0):
            raise ConfigError("radius and level of a release must be above 0")

    def of(self, u_ND: Doubles, y_N: Ints) -> Sums:
        """Return the sums of z over these examples; 0 examples give zeros."""
        count = self.basis.count
        counts_K, first_KB = np.zeros(self.classes), np.zeros((self.classes, count))
        second_P, rest = np.zeros(packed_size(count)), 0.0
        for start in range(0, len(u_ND), CHUNK):
            y = y_N[start : start + CHUNK]
            one_N, parts_NB, products_NP, rest_N = self.levels(u_ND[start : start + CHUNK])
            np.add.at(counts_K, y, one_N)
            np.add.at(first_KB, y, parts_NB)
            second_P += products_NP.sum(axis=0)
            rest += float(rest_N.sum())
        level = self.level
        return Sums(counts_K * level, first_KB * level, second_P * level, rest * level)

    def levels(self, u_ND: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
        """Return the four parts of each example's z, whole levels."""
        v_ND = (u_ND - self.centre) / self.radius
        v_ND = v_ND / np.maximum(np.linalg.norm(v_ND, axis=1), 1.0)[:, None]
        parts_NB = self.basis.project(v_ND)
        outside_N = np.maximum(np.square(v_ND).sum(axis=1) - np.square(parts_NB).sum(axis=1), 0.0)
        rows, columns = np.triu_indices(self.basis.count)
        products_NP = parts_NB[:, rows] * parts_NB[:, columns] * _times(self.basis.count)
        z_NZ = np.concatenate(
            (
                np.full((len(v_ND), 1), COUNT),
                FIRST * parts_NB,
                SECOND * products_NP,
                REST * outside_N[:, None],
            ),
            axis=1,
        )
        z_NZ = _whole(z_NZ / self.level, SLACK / self.level)
        count = self.basis.count
        return z_NZ[:, 0], z_NZ[:, 1 : 1 + count], z_NZ[:, 1 + count : -1], z_NZ[:, -1]


def _whole(z_NZ: Doubles, most: float) -> Doubles:
    """Return rows of whole numbers whose norms are at most `most`."""
    found = np.rint(z_NZ)
    long_N = np.linalg.norm(found, axis=1) > most
    if long_N.any():
        norms = np.linalg.norm(z_NZ[long_N], axis=1)
        found[long_N] = np.trunc(z_NZ[long_N] * np.minimum(1.0, most / norms)[:, None])
    return found


def _times(count: int) -> Doubles:
    """Return how an upper triangle is scaled so that its norm is the matrix's."""
    rows, columns = np.triu_indices(count)
    times_P: Doubles = np.where(rows == columns, 1.0, math.sqrt(2.0))
    return times_P


def over_weights(answered: Sums) -> Sums:
    """Return sums of z over the weights of its parts."""
    count = answered.first_KB.shape[1]
    return Sums(
        answered.counts_K / COUNT,
        answered.first_KB / FIRST,
        answered.second_P / SECOND / _times(count),
        answered.rest / REST,
    )


def deviations(sigma: float, count: int) -> tuple[float, float, Doubles, float]:
    """Return the noise of each part of `over_weights` where that of z's coordinates is `sigma`."""
    return sigma / COUNT, sigma / FIRST, sigma / SECOND / _times(count), sigma / REST
