"""One release with noise: what an example adds to it, clipped and in whole levels.

    release = Release(classes=10, basis=flattened(cosines((1, 28, 28), 196)), values=784,
                      centre=-0.4, radius=16.8, level=1 / 512)
    answered = release.of(u_ND, y_N, rng)           # of a device's own examples: sums of z
    sums = over_weights(total)                      # of all devices' answers

Shape legend: N examples, D values of an example, K classes, B components, P = B(B+1)/2,
L of the components, Q = L(L+1)/2.

An example u is drawn to u - centre, whose components over the basis' scales and the radius are v,
shortened to norm 1 where they and what lies outside are longer, and adds

    z = ROOM (COUNT at its class, FIRST * v at its class, SECOND * vv', EACH * ww' at its class,
         REST * |what lies outside|^2),   w being the first L of v

Rules:
- |z| <= ROOM whatever the example is: COUNT^2 + FIRST^2 + SECOND^2 + EACH^2 = 1, products count as
  often as they stand in a matrix (off its diagonal times the root of 2), and what lies outside the
  basis can only be there instead of what lies inside;
- scales make fine detail larger beside coarse (`flattened`): noise is alike in every component, and
  a norm that is all brightness would leave it none;
- z is rounded to whole levels, example by example, up or down by dice that keep its mean (most of
  its products are less than a level), and its norm in levels is at most SLACK / level, whatever the
  dice are: what is too long after rounding is shortened and cut (ROOM makes it rare);
- dice depend on an example's place alone, never on values;
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

COUNT, FIRST, REST = 0.15, 0.60, 0.5
SECOND = EACH = math.sqrt((1 - COUNT**2 - FIRST**2) / 2)
"""Chosen on validation examples of Fashion-MNIST, 14x14; see docs/algorithms/moments.md."""

ROOM = 0.98
"""What rounding leaves to a norm, whose square it makes up to a tenth larger."""

SLACK = 1.0 + 1.0 / 64.0
"""Growth by rounding that is allowed; that of the encoding, too (docs/protocol.md 12.2)."""

CHUNK = 64
"""Examples whose products are made together."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over examples, of z or over the weights of its parts.

    Attributes:
        counts_K: examples of each class.
        first_KB: of v by class.
        second_P: of the upper triangle of vv', whatever the class.
        each_KQ: of the upper triangle of ww' by class.
        rest: of what lies outside the basis, squared.
    """

    counts_K: Doubles
    first_KB: Doubles
    second_P: Doubles
    each_KQ: Doubles
    rest: float


@dataclass(frozen=True, slots=True)
class Levels:
    """What examples add, in whole levels; fields as in `Sums`, an example a row."""

    count_N: Doubles
    first_NB: Doubles
    second_NP: Doubles
    each_NQ: Doubles
    rest_N: Doubles


@dataclass(frozen=True, slots=True)
class Release:
    """How examples are clipped; all of it public.

    Attributes:
        classes: K.
        basis: of the components, and how far each is drawn out before lengths are measured.
        values: D.
        centre: subtracted from every value, in the unit space.
        radius: of the ball that examples are shortened to, > 0, unit space.
        level: resolution of a coordinate of z, > 0.
        lowest: L, at most B.
    """

    classes: int
    basis: Basis
    values: int
    centre: float
    radius: float
    level: float
    lowest: int = 0

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.level > 0):
            raise ConfigError("radius and level of a release must be above 0")
        if not 0 <= self.lowest <= self.basis.count:
            raise ConfigError(f"lowest is {self.lowest} of {self.basis.count} components")

    def of(self, u_ND: Doubles, y_N: Ints, rng: np.random.Generator) -> Sums:
        """Return the sums of z over these examples; 0 examples give zeros."""
        count, each = self.basis.count, packed_size(self.lowest)
        counts_K, first_KB = np.zeros(self.classes), np.zeros((self.classes, count))
        second_P, each_KQ, rest = np.zeros(packed_size(count)), np.zeros((self.classes, each)), 0.0
        for start in range(0, len(u_ND), CHUNK):
            y = y_N[start : start + CHUNK]
            found = self.levels(u_ND[start : start + CHUNK], rng)
            np.add.at(counts_K, y, found.count_N)
            np.add.at(first_KB, y, found.first_NB)
            np.add.at(each_KQ, y, found.each_NQ)
            second_P += found.second_NP.sum(axis=0)
            rest += float(found.rest_N.sum())
        level = self.level
        return Sums(
            counts_K * level, first_KB * level, second_P * level, each_KQ * level, rest * level
        )

    def levels(self, u_ND: Doubles, rng: np.random.Generator) -> Levels:
        """Return what each example adds."""
        v_ND = (u_ND - self.centre) / self.radius
        outside_N = np.square(v_ND).sum(axis=1) - np.square(self.basis.project(v_ND)).sum(axis=1)
        parts_NB, outside_N = self.basis.of(v_ND), np.maximum(outside_N, 0.0)
        longer_N = np.maximum(np.square(parts_NB).sum(axis=1) + outside_N, 1.0)
        parts_NB = parts_NB / np.sqrt(longer_N)[:, None]
        z_NZ = np.concatenate(
            (
                np.full((len(v_ND), 1), COUNT),
                FIRST * parts_NB,
                SECOND * _squares(parts_NB),
                EACH * _squares(parts_NB[:, : self.lowest]),
                REST * (outside_N / longer_N)[:, None],
            ),
            axis=1,
        )
        z_NZ = _whole(z_NZ * (ROOM / self.level), SLACK / self.level, rng)
        first, second = 1 + self.basis.count, packed_size(self.basis.count)
        return Levels(
            count_N=z_NZ[:, 0],
            first_NB=z_NZ[:, 1:first],
            second_NP=z_NZ[:, first : first + second],
            each_NQ=z_NZ[:, first + second : -1],
            rest_N=z_NZ[:, -1],
        )


def _squares(parts_NB: Doubles) -> Doubles:
    """Return products of components, as long as the matrix is."""
    count = parts_NB.shape[1]
    rows, columns = np.triu_indices(count)
    products_NP: Doubles = parts_NB[:, rows] * parts_NB[:, columns] * _times(count)
    return products_NP


def _whole(z_NZ: Doubles, most: float, rng: np.random.Generator) -> Doubles:
    """Return rows of whole numbers whose norms are at most `most`."""
    found: Doubles = np.floor(z_NZ + rng.random(z_NZ.shape))
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
    count, lowest = answered.first_KB.shape[1], rows_of(answered.each_KQ.shape[1])
    return Sums(
        answered.counts_K / (ROOM * COUNT),
        answered.first_KB / (ROOM * FIRST),
        answered.second_P / (ROOM * SECOND) / _times(count),
        answered.each_KQ / (ROOM * EACH) / _times(lowest),
        answered.rest / (ROOM * REST),
    )


@dataclass(frozen=True, slots=True)
class Deviations:
    """Noise of each part of `over_weights`; of products, of those on a diagonal.

    Those off it have a root of 2 less.
    """

    count: float
    first: float
    second: float
    each: float


def deviations(sigma: float) -> Deviations:
    """Return the noise of each part where that of z's coordinates is `sigma`."""
    over = sigma / ROOM
    return Deviations(over / COUNT, over / FIRST, over / SECOND, over / EACH)


def rows_of(packed: int) -> int:
    """Inverse of `packed_size`."""
    return (math.isqrt(8 * packed + 1) - 1) // 2
