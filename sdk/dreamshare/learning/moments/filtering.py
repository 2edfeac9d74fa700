"""From noisy sums to moments: what lies above the noise, and a public spectrum for what does not.

Shape legend: K classes, B components, P = B(B+1)/2.

Rules:
- everything here is computed from public numbers: it costs no privacy;
- class means are drawn to the mean of all, and that to zero, frequency band by frequency band, by
  as much as the noise takes of the band's energy (a Wiener filter whose signal is estimated);
- of the pooled covariance those directions are kept whose eigenvalue lies above the edge of the
  noise's own spectrum, shortened as a spike in a Wigner matrix is; the rest of the trace is spread
  over all other directions like a public spectrum, one over frequency squared: what is known of
  smooth inputs without looking at any.

Sources: the spike and the edge: Benaych-Georges, Nadakuditi, "The eigenvalues and eigenvectors of
finite, low rank perturbations of large random matrices", Advances in Mathematics 227 (2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.moments.releasing import Sums, deviations
from dreamshare.learning.moments.spaces import Doubles, symmetric, upper

BAND = 1.5
"""Width of a band, in frequencies."""

BANDS = 12
MARGIN = 1.05
"""An eigenvalue counts where it lies this far above the noise's edge."""

FEWEST = 10.0
"""Examples that a class counts as, at least, where a mean is divided by them."""


@dataclass(frozen=True, slots=True)
class Noisy:
    """A release as it was opened.

    Attributes:
        sums: over the weights of their parts, with noise in them.
        sigma: standard deviation of it, of a coordinate of z (`releasing`); >= 0.
        spectrum_B: public guess of the components' variances, any unit, > 0; falls with frequency.
    """

    sums: Sums
    sigma: float
    spectrum_B: Doubles


def filtered(noisy: Noisy) -> tuple[Doubles, Doubles, float]:
    """Return class means (K, B), the pooled covariance within classes (P,), variance outside."""
    sums, count = noisy.sums, noisy.sums.first_KB.shape[1]
    _, of_first, of_second, _ = deviations(noisy.sigma, count)
    known_K = np.maximum(sums.counts_K, FEWEST)
    whole = float(known_K.sum())
    mean_KB = _means(sums.first_KB / known_K[:, None], (of_first / known_K) ** 2, noisy.spectrum_B)
    between_BB = (known_K[:, None] * mean_KB).T @ mean_KB / whole
    raw_BB = symmetric(sums.second_P / whole, count) - between_BB
    edge = 2 * float(of_second[-1]) * np.sqrt(count / 2) / whole  # of a Wigner matrix
    covariance_BB = _covariance(raw_BB, edge, noisy.spectrum_B)
    return mean_KB, upper(covariance_BB), max(sums.rest / whole, 0.0)


def _means(mean_KB: Doubles, noise_K: Doubles, spectrum_B: Doubles) -> Doubles:
    if not noise_K.any():
        return mean_KB
    weight_K = (1 / noise_K) / (1 / noise_K).sum()
    of_all = 1 / float((1 / noise_K).sum())
    found_KB = np.zeros_like(mean_KB)
    all_B = weight_K @ mean_KB
    for chosen_B in _bands(spectrum_B):
        common = all_B[chosen_B]
        energy = max(float(np.square(common).mean()) - of_all, 0.0)
        apart = mean_KB[:, chosen_B] - common
        spread = max(float((np.square(apart).mean(axis=1) - noise_K).mean()), 0.0)
        found_KB[:, chosen_B] = (
            common * (energy / (energy + of_all)) + apart * (spread / (spread + noise_K))[:, None]
        )
    return found_KB


def _bands(spectrum_B: Doubles) -> list[NDArray[np.bool_]]:
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
