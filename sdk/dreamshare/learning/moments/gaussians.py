"""A clamped Gaussian for each class, from its mean, its covariance in a basis, and what is left.

    made = Gaussians(mean_KD, covariance_KBB, residual_D, basis)
    u_ND = made.draw(label=3, count=100, seed=7)         # in [-1, 1]

Shape legend: K classes, D values of an example, B components, N pictures.

Rules:
- the marginals of what is drawn have the means and variances that were summed, although values are
  clamped to their range: the normal behind a clamped value is found first (`clamped`); without that
  pictures with a dark background come out grey;
- the draw does not depend on which of the equivalent bases of one space is used: noise is drawn for
  every value and projected, and the root of a covariance is the symmetric one;
- the first pictures of a class are the same however many are drawn, and whoever draws them from
  the same numbers gets them up to the rounding of floating-point sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.moments.bases import Basis
from dreamshare.learning.moments.clamped import latent_of
from dreamshare.learning.moments.spaces import Doubles

CHUNK = 256
"""Pictures that are drawn together."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    """See the module's docstring.

    Attributes:
        mean_KD: means, in the unit space.
        covariance_KBB: covariances of the basis' components (not over their scales).
        residual_D: variance of each value outside the basis, >= 0.
        basis: of the components.
        rectified: whether the normal behind clamped values is looked for.
    """

    mean_KD: Doubles
    covariance_KBB: Doubles
    residual_D: Doubles
    basis: Basis
    rectified: bool = True

    def __post_init__(self) -> None:
        classes, values = self.mean_KD.shape
        count = self.basis.count
        if self.covariance_KBB.shape != (classes, count, count):
            raise ConfigError(f"{classes} covariances of {count} components are wanted")
        if self.residual_D.shape != (values,) or (self.residual_D < 0).any():
            raise ConfigError(f"{values} variances of 0 or more are wanted")
        if not all(np.isfinite(a).all() for a in (self.mean_KD, self.covariance_KBB)):
            raise ConfigError("means and covariances must be finite")

    def draw(self, label: int, count: int, seed: int) -> Doubles:
        """Return pictures of a class, (N, D) in [-1, 1]."""
        root_BB = _root(self.covariance_KBB[label])
        shared_D = np.square(self.basis.spread(root_BB)).sum(axis=0)
        mean_D, gain_D, own_D = self._latent(self.mean_KD[label], shared_D)
        rng = np.random.default_rng([seed, label])
        made = np.zeros((count, len(mean_D)))
        for start in range(0, count, CHUNK):
            noise_N2D = rng.standard_normal((min(CHUNK, count - start), 2, len(mean_D)))
            parts_NB = self.basis.project(noise_N2D[:, 0]) @ root_BB
            shared_ND = self.basis.spread(parts_NB)
            made[start : start + CHUNK] = mean_D + gain_D * shared_ND + own_D * noise_N2D[:, 1]
        return np.clip(made, -1.0, 1.0)

    def _latent(self, mean_D: Doubles, shared_D: Doubles) -> tuple[Doubles, Doubles, Doubles]:
        """Return mean, gain of the shared part and spread of the own part before the clamp."""
        variance_D = shared_D + self.residual_D
        if not self.rectified:
            return mean_D, np.ones_like(mean_D), np.sqrt(self.residual_D)
        latent = latent_of((mean_D + 1) / 2, np.sqrt(variance_D) / 2)
        wanted_D = shared_D / latent.open**2  # a clamp shrinks covariances by P(open) on each side
        most_D = (2 * latent.spread) ** 2
        used_D = np.minimum(wanted_D, most_D)
        gain_D = np.sqrt(used_D / np.maximum(shared_D, 1e-12))
        return 2 * latent.mean - 1, gain_D, np.sqrt(np.maximum(most_D - used_D, 0.0))


def _root(covariance_BB: Doubles) -> Doubles:
    """Return the symmetric root; what rounding made negative is 0."""
    values_B, vectors_BB = np.linalg.eigh((covariance_BB + covariance_BB.T) / 2)
    root_BB: Doubles = (vectors_BB * np.sqrt(np.maximum(values_B, 0.0))) @ vectors_BB.T
    return root_BB
