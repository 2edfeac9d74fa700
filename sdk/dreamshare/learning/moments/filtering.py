"""From noisy sums to moments: what lies above the noise, and a public spectrum for what does not.

Shape legend: K classes, B components, P = B(B+1)/2, L of the components, Q = L(L+1)/2.

Rules:
- everything here is computed from public numbers: it costs no privacy;
- class means are drawn to the mean of all, and that to zero, frequency band by frequency band, by
  as much as the noise takes of the band's energy (a Wiener filter whose signal is estimated);
- of the pooled covariance those directions are kept whose eigenvalue lies above the edge of the
  noise's own spectrum, shortened as a spike in a Wigner matrix is; the rest of the trace is spread
  over all other directions like a public spectrum, one over frequency squared: what is known of
  smooth inputs without looking at any;
- what a class's own covariance of the first L components has over the pooled one is kept as far as
  it stands out of its noise, block by block of two bands.

Sources: the spike and the edge: Benaych-Georges, Nadakuditi, "The eigenvalues and eigenvectors of
finite, low rank perturbations of large random matrices", Advances in Mathematics 227 (2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.moments.releasing import Sums, deviations, rows_of
from dreamshare.learning.moments.spaces import Doubles, symmetric, upper

Mask = NDArray[np.bool_]

BAND = 1.5
"""Width of a band, in frequencies."""

BANDS = 12
MARGIN = 1.05
"""An eigenvalue counts where it lies this far above the noise's edge."""

TINY = 1e-30

FEWEST = 10.0
"""Examples that a class counts as, at least, where a mean is divided by them."""


@dataclass(frozen=True, slots=True)
class Noisy:
    """A release as it was opened.

    Attributes:
        sums: over the weights of their parts, with noise in them.
        sigma: standard deviation of it, of a coordinate of z (`releasing`); >= 0.
        spectrum_B: public guess of the components' variances, any unit, > 0; falls with frequency.
        scale_B: what components were divided by.
    """

    sums: Sums
    sigma: float
    spectrum_B: Doubles
    scale_B: Doubles


@dataclass(frozen=True, slots=True)
class Filtered:
    """What is left of a release, components over their scales.

    Attributes:
        mean_KB: means of the classes.
        covariance_P: pooled, within classes.
        apart_KQ: what those of the classes have over it, of the first L components.
        rest: variance outside the components.
    """

    mean_KB: Doubles
    covariance_P: Doubles
    apart_KQ: Doubles
    rest: float


def filtered(noisy: Noisy) -> Filtered:
    """Return what stands out of the noise."""
    sums, count = noisy.sums, noisy.sums.first_KB.shape[1]
    of = deviations(noisy.sigma)
    known_K = np.maximum(sums.counts_K, FEWEST)
    whole = float(known_K.sum())
    bands_RB = _bands(noisy.spectrum_B)
    mean_KB = _means(sums.first_KB / known_K[:, None], (of.first / known_K) ** 2, bands_RB)
    between_BB = (known_K[:, None] * mean_KB).T @ mean_KB / whole
    raw_BB = symmetric(sums.second_P / whole, count) - between_BB
    edge = of.second * math.sqrt(2 * count) / whole  # of a Wigner matrix: 2 * deviation * root
    covariance_BB = _covariance(raw_BB, edge, noisy.spectrum_B / np.square(noisy.scale_B))
    lowest = rows_of(sums.each_KQ.shape[1])
    square_KLL = symmetric(sums.each_KQ / known_K[:, None], lowest)
    mean_KL = mean_KB[:, :lowest]
    apart_KLL = square_KLL - mean_KL[:, :, None] * mean_KL[:, None]
    apart_KLL = apart_KLL - covariance_BB[:lowest, :lowest]
    apart_KLL = _apart(apart_KLL, (of.each / known_K) ** 2, [band[:lowest] for band in bands_RB])
    rest = max(sums.rest / whole, 0.0)
    return Filtered(mean_KB, upper(covariance_BB), upper(apart_KLL), rest)


def _means(mean_KB: Doubles, noise_K: Doubles, bands_RB: list[Mask]) -> Doubles:
    if not noise_K.any():
        return mean_KB
    weight_K = (1 / noise_K) / (1 / noise_K).sum()
    of_all = 1 / float((1 / noise_K).sum())
    found_KB = np.zeros_like(mean_KB)
    all_B = weight_K @ mean_KB
    for chosen_B in bands_RB:
        common = all_B[chosen_B]
        energy = max(float(np.square(common).mean()) - of_all, 0.0)
        apart = mean_KB[:, chosen_B] - common
        spread = max(float((np.square(apart).mean(axis=1) - noise_K).mean()), 0.0)
        found_KB[:, chosen_B] = (
            common * (energy / (energy + of_all)) + apart * (spread / (spread + noise_K))[:, None]
        )
    return found_KB


def _apart(apart_KLL: Doubles, noise_K: Doubles, bands_RL: list[Mask]) -> Doubles:
    """Return the differences, each block as far as it is more than noise."""
    found_KLL = np.zeros_like(apart_KLL)
    diagonal_LL = np.eye(apart_KLL.shape[1], dtype=bool)
    for one_L, other_L in product(bands_RL, bands_RL):
        block_LL = np.outer(one_L, other_L)
        for chosen_LL, share in ((block_LL & diagonal_LL, 1.0), (block_LL & ~diagonal_LL, 0.5)):
            if not chosen_LL.any():
                continue
            here_KN, noise_K1 = apart_KLL[:, chosen_LL], share * noise_K[:, None]
            spread = max(float((np.square(here_KN) - noise_K1).mean()), 0.0)
            found_KLL[:, chosen_LL] = here_KN * spread / np.maximum(spread + noise_K1, TINY)
    return found_KLL


def _bands(spectrum_B: Doubles) -> list[Mask]:
    """Return the components of each band, as masks; the public spectrum says their frequency."""
    frequency_B = np.sqrt(np.maximum(spectrum_B.max() / spectrum_B - 1.0, 0.0))
    band_B = np.minimum((frequency_B / BAND).astype(np.int64), BANDS)
    return [band_B == band for band in np.unique(band_B)]


def _covariance(raw_BB: Doubles, edge: float, spectrum_B: Doubles) -> Doubles:
    """Return a positive matrix with the trace of the raw one."""
    values_B, vectors_BB = np.linalg.eigh((raw_BB + raw_BB.T) / 2)
    above_B = values_B > max(MARGIN * edge, 0.0)
    kept_B = np.where(above_B, np.sqrt(np.maximum(values_B**2 - edge**2, 0.0)), 0.0)
    kept_BB: Doubles = (vectors_BB * kept_B) @ vectors_BB.T
    left = float(np.trace(raw_BB)) - float(kept_B.sum())
    if above_B.all() or left <= 0:
        return kept_BB
    others_BB = np.eye(len(raw_BB)) - vectors_BB[:, above_B] @ vectors_BB[:, above_B].T
    rest_BB = (others_BB * spectrum_B) @ others_BB
    rest_BB *= left / max(float(np.trace(rest_BB)), 1e-12)
    whole_BB: Doubles = kept_BB + rest_BB
    return whole_BB
