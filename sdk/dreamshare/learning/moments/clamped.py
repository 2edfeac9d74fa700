"""Normal variables clamped to [0, 1]: which normal has, once clamped, a given mean and spread.

Shape legend: D values, any shape: everything here is elementwise.

With z ~ N(m, s^2), a = -m / s, b = (1 - m) / s and d = P(0 < z < 1):

    E clamp(z)    = m d + s (phi(a) - phi(b)) + P(z >= 1)
    E clamp(z)^2  = (m^2 + s^2) d + s (m phi(a) - (m + 1) phi(b)) + P(z >= 1)

Rules:
- solved for m and log s by damped Gauss-Newton steps, a fixed number of them: the same numbers in
  give the same out on every machine, up to the rounding of floating-point sums;
- a value that hardly spreads is left as it is: nothing is clamped that does not move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dreamshare.learning.moments.spaces import Doubles

STEPS = 60
LEAST_SPREAD = 1e-3
"""Below this a value counts as constant, in the unit [0, 1]."""

LEAST_OPEN = 0.15
"""Floor of P(0 < z < 1) where covariances are divided by it (measured on Fashion-MNIST)."""

_FARTHEST, _WIDEST = 2.0, 1.0
"""How far m may lie outside, and how large s may be: beyond, all lies in a tail."""

_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True, slots=True)
class Latent:
    """Normal variables behind clamped ones.

    Attributes:
        mean, spread: m and s.
        open: P(0 < z < 1), at least `LEAST_OPEN`.
    """

    mean: Doubles
    spread: Doubles
    open: Doubles


@dataclass(frozen=True, slots=True)
class _Clamped:
    """Mean and spread of clamp(z), and their derivatives by m and by log s."""

    mean: Doubles
    spread: Doubles
    open: Doubles
    slope: tuple[Doubles, Doubles, Doubles, Doubles]


def latent_of(mean: Doubles, spread: Doubles) -> Latent:
    """Return the normal variables whose clamped values have these means and spreads in [0, 1]."""
    mean = np.clip(mean, 0.0, 1.0)
    spread = np.minimum(spread, 0.999 * np.sqrt(mean * (1 - mean)))  # no variable spreads more
    moving = spread >= LEAST_SPREAD
    wanted_mean, wanted_spread = np.where(moving, mean, 0.5), np.where(moving, spread, 0.1)
    m, log_s = wanted_mean.copy(), np.log(wanted_spread)
    damping = np.full(m.shape, 1e-3)
    now = _clamped(m, np.exp(log_s))
    error = _error(now, wanted_mean, wanted_spread)
    for _ in range(STEPS):
        step_m, step_s = _step(now, wanted_mean, wanted_spread, damping)
        next_m = np.clip(m + step_m, -_FARTHEST, 1 + _FARTHEST)
        next_s = np.clip(log_s + step_s, math.log(LEAST_SPREAD), math.log(_WIDEST))
        then = _clamped(next_m, np.exp(next_s))
        better = _error(then, wanted_mean, wanted_spread) < error
        m, log_s = np.where(better, next_m, m), np.where(better, next_s, log_s)
        damping = np.clip(np.where(better, damping / 4, damping * 4), 1e-9, 1e9)
        now = _clamped(m, np.exp(log_s))
        error = _error(now, wanted_mean, wanted_spread)
    return Latent(
        np.where(moving, m, mean),
        np.where(moving, np.exp(log_s), spread),
        np.where(moving, np.maximum(now.open, LEAST_OPEN), 1.0),
    )


def clamped_moments(mean: Doubles, spread: Doubles) -> tuple[Doubles, Doubles]:
    """Return mean and spread of clamp(z, 0, 1) for z ~ N(mean, spread^2), spread > 0."""
    found = _clamped(mean, spread)
    return found.mean, found.spread


def _clamped(m: Doubles, s: Doubles) -> _Clamped:
    a, b = -m / s, (1 - m) / s
    phi_a, phi_b = (np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) for z in (a, b))
    above = 1.0 - _below(b)
    inside = np.maximum(_below(b) - _below(a), 0.0)
    mean = m * inside + s * (phi_a - phi_b) + above
    square = (m**2 + s**2) * inside + s * (m * phi_a - (m + 1) * phi_b) + above
    spread = np.sqrt(np.maximum(square - mean**2, 1e-12))
    mean_by_s = s * (phi_a - phi_b)
    square_by_m = 2 * (m * inside + s * (phi_a - phi_b))
    square_by_s = 2 * s * (m * (phi_a - phi_b) + s * (inside + a * phi_a - b * phi_b))
    by_m = (square_by_m - 2 * mean * inside) / (2 * spread)
    by_s = (square_by_s - 2 * mean * mean_by_s) / (2 * spread)
    return _Clamped(mean, spread, inside, (inside, mean_by_s, by_m, by_s))


def _below(z: Doubles) -> Doubles:
    """Return P(N(0, 1) < z)."""
    halves = np.asarray(_erf(z / math.sqrt(2)), dtype=np.float64)
    return 0.5 + 0.5 * halves


def _error(found: _Clamped, mean: Doubles, spread: Doubles) -> Doubles:
    error: Doubles = (found.mean - mean) ** 2 + (found.spread - spread) ** 2
    return error


def _step(
    found: _Clamped, mean: Doubles, spread: Doubles, damping: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the damped Gauss-Newton step of m and of log s."""
    one_m, one_s, other_m, other_s = found.slope
    first, second = mean - found.mean, spread - found.spread
    right_m = one_m * first + other_m * second
    right_s = one_s * first + other_s * second
    mm = one_m**2 + other_m**2
    ss = one_s**2 + other_s**2
    ms = one_m * one_s + other_m * other_s
    mm, ss = mm * (1 + damping) + 1e-12, ss * (1 + damping) + 1e-12
    inverse = 1.0 / np.maximum(mm * ss - ms**2, 1e-24)
    return (ss * right_m - ms * right_s) * inverse, (mm * right_s - ms * right_m) * inverse
