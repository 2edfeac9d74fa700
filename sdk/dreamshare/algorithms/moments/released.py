"""The form "clipped" of `moments/1`: one sum with noise that hides every example (ADR 0030).

Shape legend: K classes, D values of an example, B components, P = B(B+1)/2, Q the products of the
lowest of them.

Rules:
- counts, first and second moments are one answer, and one example moves all of it together by at
  most 1 in `MOST` bounds, its class included (`learning.moments.releasing`);
- nothing is left out by how often it occurs, a device's `least_class_count` included: what is there
  from the fifth example on would show the fifth with the weight of five; noise hides it instead;
- a gauge of zeros goes along: what is read there is noise, and says how much there is;
- which examples a device of more than `MOST` answers for depends on their number alone, which is
  not hidden (docs/privacy.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.moments import forms
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import form_of
from dreamshare.algorithms.moments.state import MomentsState, Stage
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.moments import (
    Noisy,
    Release,
    Sums,
    cosines,
    deviations,
    filtered,
    over_weights,
    packed_size,
)
from dreamshare.learning.passes import once
from dreamshare.privacy.wanted import ExampleNoise
from dreamshare.updates import Array, Field, Update

MOST = 2048
"""Most examples of a device: an example's norm is then 256 levels of the encoding, or more."""

BITS = 20
GAUGE = 256
SURE = 4.0
"""A class is there where its count stands so many deviations above zero."""


def fields(config: MomentsConfig) -> tuple[Field, ...]:
    """Return the fields of `release`."""
    count, bound = form_of(config).components, float(_most(config))
    shapes = {
        "counts": (config.classes,),
        "first": (config.classes, count),
        "second": (packed_size(count),),
        "each": (config.classes, packed_size(forms.lowest_of(form_of(config)))),
        "rest": (),
        "gauge": (GAUGE,),
    }
    return tuple(Field(name, shape, bound, BITS) for name, shape in shapes.items())


def noise_of(config: MomentsConfig) -> ExampleNoise:
    """Return the noise that the config promises."""
    return ExampleNoise(1.0 / _most(config), config.epsilon, config.delta, BITS)


def answer(config: MomentsConfig, data: Data, rng: np.random.Generator) -> Update:
    """Return what this device's examples add, rounded by dice of `rng`.

    Raises:
        ConfigError: an example is of a class that the task does not know.
    """
    c = config
    data.class_counts(c.classes)
    release = release_of(c)
    arrays: dict[str, Array] = {field.name: np.zeros(field.shape) for field in fields(c)}
    for x_NCHW, y_N in once(data, _most(c)):
        sums = release.of(c.space.units(x_NCHW), y_N, rng)
        parts: dict[str, Array] = {
            "counts": sums.counts_K,
            "first": sums.first_KB,
            "second": sums.second_P,
            "each": sums.each_KQ,
            "rest": np.array(sums.rest),
        }
        for name, part in parts.items():
            arrays[name] = arrays[name] + part
    return Update(arrays)


def described(
    config: MomentsConfig, state: MomentsState, total: Mapping[str, Array]
) -> MomentsState:
    """Return the state with what the noisy sums tell.

    Raises:
        ConfigError: no class can be told from the noise.
    """
    c, release = config, release_of(config)
    count, values = form_of(c).components, c.space.values
    sigma = float(np.sqrt(np.mean(np.square(total["gauge"], dtype=np.float64))))
    first, second, each = (
        np.asarray(total[name], np.float64) for name in ("first", "second", "each")
    )
    counts_K = np.asarray(total["counts"], np.float64)
    sums = over_weights(Sums(counts_K, first, second, each, float(total["rest"])))
    spectrum_B = np.square(cosines(c.shape, count).scale_B)
    found = filtered(Noisy(sums, sigma, spectrum_B, release.basis.scale_B))
    least = max(float(c.least_examples), SURE * deviations(sigma).count)
    known_K = np.where(sums.counts_K >= least, np.rint(sums.counts_K), 0.0)
    if not known_K.any():
        raise ConfigError(
            f"no class stands out of the noise: it takes {least:.0f} examples in the cohort"
        )
    mean_KB = found.mean_KB * release.basis.scale_B
    mean_KD = release.centre + release.radius * release.basis.spread(mean_KB)
    residual = found.rest * release.radius**2 / max(values - count, 1) if count < values else 0.0
    return replace(
        state,
        stage=Stage.LEARN,
        totals_K=np.rint(np.maximum(sums.counts_K, 0.0)),
        known_K=known_K,
        mean_KD=(np.clip(mean_KD, -1, 1) * (known_K > 0)[:, None]).astype(np.float32),
        covariance_KP=(found.covariance_P[None] * release.radius**2).astype(np.float32),
        apart_KQ=(found.apart_KQ * release.radius**2).astype(np.float32),
        residual_D=np.full(values, residual, np.float32),
        noise=sigma,
    )


def metrics(config: MomentsConfig, state: MomentsState) -> dict[str, float]:
    """Return what a release says of itself: epsilon and delta of an example, noise as measured."""
    return {"epsilon": config.epsilon, "delta": config.delta, "noise": state.noise}


def _most(config: MomentsConfig) -> int:
    return min(config.max_examples, MOST)


def release_of(config: MomentsConfig) -> Release:
    """Return how examples are clipped."""
    c, form = config, form_of(config)
    level = 2.0 * _most(c) / (2**BITS - 1)
    radius = c.radius * float(np.sqrt(c.space.values))
    basis = forms.public_basis(c, form)
    lowest = forms.lowest_of(form)
    return Release(c.classes, basis, c.space.values, 2 * c.centre - 1, radius, level, lowest)
