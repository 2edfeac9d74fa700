"""Attacks on sums by class: which image went in, and was this one among them.

Shape legend: N examples of the class, D values of an example, R reference examples, M pictures.

Rules:
- an attacker has the sums as whoever opens them has, a reference population of the same class that
  holds none of the examples, and knows how many there are;
- second moments leave a rotation of the examples open: `turned` looks for one under which all of
  them are images (within their range), by alternating projections. Independent components need the
  examples themselves, which nobody has; what is left of that idea is this search;
- a score is larger for members; how good it is is the area under its curve (`area`) and the share
  of members that is found where one in a hundred others is accused (`found_at`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

TURNS = 150
"""Projections from one start."""

STARTS = 12
SAME = 0.25
"""An image counts as recovered where the error is below this share of its distance to the mean."""

RIDGE = 1e-3
"""Variance that is added to every value of a reference covariance, unit space."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sums of a class say.

    Attributes:
        mean_D: of its examples.
        covariance_DD: of them; None where products were not summed.
    """

    mean_D: Doubles
    covariance_DD: Doubles | None


def turned(
    seen: Seen, count: int, rng: np.random.Generator, starts: int = STARTS, turns: int = TURNS
) -> Doubles:
    """Return `count` images in [-1, 1] that have this mean and covariance, (N, D).

    The best of `starts`: the one that leaves the range least.
    """
    if seen.covariance_DD is None or count < 2:
        return np.clip(np.tile(seen.mean_D, (count, 1)), -1.0, 1.0)
    values_D, vectors_DD = np.linalg.eigh(seen.covariance_DD)
    rank = min(count - 1, len(values_D))
    largest = np.argsort(values_D)[::-1][:rank]
    spread = np.sqrt(np.maximum(values_D[largest], 1e-9))
    axes_DJ = vectors_DD[:, largest]
    simplex_NJ = _simplex(count)
    best, least = np.zeros((count, len(values_D))), np.inf
    for _ in range(starts):
        turn_JJ = _orthonormal(rng.normal(size=(count - 1, rank)))
        for _ in range(turns):
            made_ND = seen.mean_D + np.sqrt(count) * (simplex_NJ @ turn_JJ * spread) @ axes_DJ.T
            held_ND = np.clip(made_ND, -1.0, 1.0)
            parts_NJ = (held_ND - seen.mean_D) @ axes_DJ / spread
            turn_JJ = _orthonormal(simplex_NJ.T @ parts_NJ)
        outside = float(np.square(made_ND - held_ND).sum())
        if outside < least:
            best, least = held_ND, outside
    return best


def recovered(made_MD: Doubles, true_ND: Doubles) -> float:
    """Return the share of true images that some made one equals but for `SAME`."""
    if not len(made_MD):
        return 0.0
    error_N = nearest(true_ND, made_MD)
    apart_N = np.linalg.norm(true_ND - true_ND.mean(axis=0), axis=1)
    return float((error_N < SAME * np.maximum(apart_N, 1e-9)).mean())


def nearest(from_ND: Doubles, to_MD: Doubles) -> Doubles:
    """Return the distance of each to the nearest of the others, (N,)."""
    squares_NM = (
        np.square(from_ND).sum(axis=1)[:, None]
        + np.square(to_MD).sum(axis=1)
        - 2 * from_ND @ to_MD.T
    )
    distances_N: Doubles = np.sqrt(np.maximum(squares_NM.min(axis=1), 0.0))
    return distances_N


@dataclass(frozen=True, slots=True)
class Reference:
    """A population of the same class, as a Gaussian."""

    mean_D: Doubles
    whiten_DD: Doubles

    @classmethod
    def of(cls, x_RD: Doubles) -> Reference:
        """Return the one of these examples."""
        covariance_DD = np.cov(x_RD.T, bias=True) + RIDGE * np.eye(x_RD.shape[1])
        values_D, vectors_DD = np.linalg.eigh(covariance_DD)
        return cls(x_RD.mean(axis=0), (vectors_DD / np.sqrt(values_D)) @ vectors_DD.T)

    def likelihood_ratio(self, seen: Seen, x_ND: Doubles, shrink: float) -> Doubles:
        """Return log p(x | the sums' Gaussian) - log p(x | reference), to constants, (N,).

        Args:
            seen: the sums.
            x_ND: candidates.
            shrink: share of the reference in the class's covariance, above 0 and at most 1.
        """
        w_ND = (x_ND - self.mean_D) @ self.whiten_DD
        mean_D = (seen.mean_D - self.mean_D) @ self.whiten_DD
        one_DD = np.eye(len(mean_D))
        covariance_DD = one_DD
        if seen.covariance_DD is not None:
            own_DD = self.whiten_DD @ seen.covariance_DD @ self.whiten_DD
            covariance_DD = shrink * one_DD + (1 - shrink) * own_DD
        apart_ND = w_ND - mean_D
        fits_N: Doubles = np.square(w_ND).sum(axis=1) - np.einsum(
            "nd,nd->n", apart_ND, np.linalg.solve(covariance_DD, apart_ND.T).T
        )
        return fits_N / 2

    def score(self, seen: Seen, x_ND: Doubles) -> Doubles:
        """Return how the sums lean towards each candidate: the first order of that ratio, (N,)."""
        w_ND = (x_ND - self.mean_D) @ self.whiten_DD
        mean_D = (seen.mean_D - self.mean_D) @ self.whiten_DD
        leaning_N: Doubles = w_ND @ mean_D
        if seen.covariance_DD is not None:
            excess_DD = self.whiten_DD @ seen.covariance_DD @ self.whiten_DD - np.eye(len(mean_D))
            leaning_N = leaning_N + np.einsum("nd,de,ne->n", w_ND, excess_DD, w_ND) / 2
        return leaning_N


def area(member_N: Doubles, other_R: Doubles) -> float:
    """Return how often a member's score is above another's, ties as a half: 0.5 is chance."""
    above = (member_N[:, None] > other_R).mean() + 0.5 * (member_N[:, None] == other_R).mean()
    return float(above)


def found_at(member_N: Doubles, other_R: Doubles, accused: float = 0.01) -> float:
    """Return the share of members above the score that this share of the others passes."""
    return float((member_N > np.quantile(other_R, 1 - accused)).mean())


def _simplex(count: int) -> Doubles:
    """Return an orthonormal basis of what sums to zero over `count` examples, (N, N-1)."""
    centred = np.eye(count) - 1 / count
    vectors, _, _ = np.linalg.svd(centred)
    simplex_NJ: Doubles = vectors[:, : count - 1]
    return simplex_NJ


def _orthonormal(matrix: Doubles) -> Doubles:
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    nearest_one: Doubles = left @ right
    return nearest_one
