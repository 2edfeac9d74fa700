"""Features of public random maps, and pictures that have given means of them.

    maps = feature_maps((1, 28, 28), count=32, seed=7)
    maps.of(u_ND)                                     # (N, F), on a device; no net of anybody
    match(maps, wanted_KF, per_class=10, steps=200, rate=0.1, seed=7)

Shape legend: N examples, D values of an example, F features, K classes, M pictures, G of one map.

A map is two convolutions with random weights from a public seed, with what is positive kept and a
fifth of what is not, averaged over a grid of 3x3 fields: at most 144 features, whatever the size
of an input. Each is centred and scaled by what it has on public pictures of noise, as smooth as
pictures are; so a feature is of size 1 about.

Rules:
- everything is a function of shape, count and seed, up to the rounding of floating-point sums;
- a feature beyond `FARTHEST` is cut, on devices and in no gradient: means of it are bounded.

Source: matching distributions by random embeddings: Zhao, Bilen, "Dataset condensation with
distribution matching", WACV 2023. Theirs are fresh nets for every step; these are few and fixed,
since their sums are taken once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.learning.moments.bases import cosines
from dreamshare.learning.moments.spaces import Doubles
from dreamshare.learning.plain import Trained, adam
from dreamshare.learning.plain.layers import Convolution, Gridded, Leaky, Shaped
from dreamshare.learning.plain.nets import Chain

MAP_STREAM, PICTURE_STREAM = 2**32 + 11, 2**32 + 12
"""Keep the maps' random numbers, and those of first pictures, apart from others."""

WIDTH, GRID = 16, 3
HALVED_FROM = 16
"""Pixels; smaller inputs keep their size in the first convolution."""

FARTHEST = 8.0
NOISE = 256
NOISE_COMPONENTS = 196
AT_ONCE = 4
"""Maps of one step of matching."""

CHUNK = 64


@dataclass(frozen=True, slots=True)
class FeatureMaps:
    """See the module's docstring.

    Attributes:
        shape: (C, H, W) of an input.
        net: layers of every map.
        weights: of each map.
        centre_MG, scale_MG: what features of a map are centred and divided by.
    """

    shape: tuple[int, int, int]
    net: Chain
    weights: tuple[Mapping[str, Floats], ...]
    centre_MG: Floats
    scale_MG: Floats

    @property
    def count(self) -> int:
        """F."""
        return self.centre_MG.size

    def of(self, u_ND: Doubles) -> Doubles:
        """Return features (N, F) in [-FARTHEST, FARTHEST]."""
        found_NF = np.empty((len(u_ND), self.count))
        for start in range(0, len(u_ND), CHUNK):
            rows = slice(start, start + CHUNK)
            x_NCHW = u_ND[rows].reshape(-1, *self.shape).astype(np.float32)
            parts = [self.net.forward(each, x_NCHW)[0] for each in self.weights]
            centred = (np.stack(parts, axis=1) - self.centre_MG) / self.scale_MG
            found_NF[rows] = centred.reshape(len(x_NCHW), -1)
        return np.clip(found_NF, -FARTHEST, FARTHEST)


def size_of_map(shape: tuple[int, int, int]) -> int:
    """Return how many features a map has."""
    return WIDTH * _grid(shape)[0] * _grid(shape)[1]


def feature_maps(shape: tuple[int, int, int], count: int, seed: int) -> FeatureMaps:
    """Return `count` public maps; raises ConfigError for fewer than 1."""
    if count < 1:
        raise ConfigError(f"{count} maps; at least 1")
    rows, columns = _grid(shape)
    step = 2 if min(shape[1:]) >= HALVED_FROM else 1
    net = Chain(
        (
            Convolution(shape[0], WIDTH, step),
            Leaky(),
            Convolution(WIDTH, WIDTH),
            Leaky(),
            Gridded(rows, columns),
            Shaped((-1,)),
        ),
        images_in=True,
    )
    rng = np.random.default_rng([seed, MAP_STREAM])
    weights = tuple(net.start(rng) for _ in range(count))
    x_NCHW = _noise(shape, NOISE, rng)
    parts = np.stack([net.forward(each, x_NCHW)[0] for each in weights])
    scale_MG = np.maximum(parts.std(axis=1), 1e-3).astype(np.float32)
    return FeatureMaps(shape, net, weights, parts.mean(axis=1).astype(np.float32), scale_MG)


def match(
    maps: FeatureMaps, wanted_KF: Doubles, per_class: int, steps: int, rate: float, seed: int
) -> Doubles:
    """Return pictures (K, per_class, D), in [-1, 1], whose features have about these means.

    Args:
        maps: whose means are wanted.
        wanted_KF: mean features of each class.
        per_class: pictures of a class.
        steps: of Adam, with `AT_ONCE` maps each; the rate falls along a half cosine.
        rate: of its first step, in the unit space.
        seed: of the first pictures, and of which maps a step takes.
    """
    classes, rng = len(wanted_KF), np.random.default_rng([seed, PICTURE_STREAM])
    first = _noise(maps.shape, classes * per_class, rng)
    wanted_KMG = wanted_KF.reshape(classes, len(maps.weights), -1).astype(np.float32)
    made = Trained.start({"x": first})
    for step in range(steps):
        x_NCHW, back = made.values["x"], np.zeros_like(first)
        order = rng.permutation(len(maps.weights))[:AT_ONCE]
        for place in order.tolist():
            parts_NG, pull = maps.net.forward(maps.weights[place], x_NCHW)
            centred_NG = (parts_NG - maps.centre_MG[place]) / maps.scale_MG[place]
            mean_KG = centred_NG.reshape(classes, per_class, -1).mean(axis=1)
            apart_KG = (mean_KG - wanted_KMG[:, place]) / maps.scale_MG[place]
            back += pull(np.repeat(apart_KG, per_class, axis=0).astype(np.float32))[0]
        slower = rate * (1 + np.cos(np.pi * step / steps)) / 2
        made = adam(made, {"x": back}, slower, betas=(0.5, 0.9))
        made = Trained({"x": np.clip(made.values["x"], -1, 1)}, made.first, made.second, made.taken)
    found: Doubles = made.values["x"].reshape(classes, per_class, -1).astype(np.float64)
    return found


def _grid(shape: tuple[int, int, int]) -> tuple[int, int]:
    return min(GRID, shape[1]), min(GRID, shape[2])


def _noise(shape: tuple[int, int, int], count: int, rng: np.random.Generator) -> Floats:
    """Return pictures of noise (count, C, H, W) that is as smooth as pictures are."""
    channels, height, width = shape
    basis = cosines(shape, min(channels * height * width, NOISE_COMPONENTS))
    parts = rng.standard_normal((count, basis.count)) * basis.scale_B
    u_ND = basis.spread(parts)
    u_ND *= 0.5 / np.sqrt(np.square(u_ND).mean())
    x_NCHW: Floats = np.clip(u_ND, -1, 1).reshape(count, *shape).astype(np.float32)
    return x_NCHW
