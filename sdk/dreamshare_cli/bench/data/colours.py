"""Grey pictures in colours of no meaning, on a background of another colour with texture.

A stand-in for colour images, made by this module: what tells classes apart is still the shape, and
colour and texture are in the way. Not natural images.

    background   one colour, plus smooth noise of its own in each channel
    foreground   another colour, shaded by SHADE[0] + SHADE[1] * grey; it covers min(1, 3 * grey)
    a colour     hue anywhere, saturation 0.4 to 1, value 0.35 to 1

Shape legend: N pictures, H height, W width, G points of the noise's grid on a side.

Rules: a function of the grey pictures and the seed; three channels, values in [-1, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Floats

SATURATION, VALUE = (0.4, 1.0), (0.35, 1.0)
SHADE = (0.35, 0.65)
COVER = 3.0
GRID = 5
TEXTURE = 0.18
"""Standard deviation of the noise on its grid, of values in [0, 1]."""

READ = 512
"""Pictures that are coloured together."""

SHARPNESS = -0.75
"""Of the cubic convolution between the grid's points; what bicubic resizing usually has."""

Doubles = NDArray[np.float64]


def coloured(x_N1HW: Floats, seed: int) -> Floats:
    """Return grey pictures in [-1, 1] in colours, (N, 3, H, W)."""
    rng = np.random.default_rng(seed)
    rows_HG, columns_WG = (_between(size) for size in x_N1HW.shape[2:])
    made_N3HW: Floats = np.zeros((len(x_N1HW), 3, *x_N1HW.shape[2:]), np.float32)
    for start in range(0, len(x_N1HW), READ):
        grey_N1HW = (x_N1HW[start : start + READ].astype(np.float64) + 1) / 2
        count = len(grey_N1HW)
        front_N3, back_N3 = _colours(rng, count), _colours(rng, count)
        noise_N3GG = rng.standard_normal((count, 3, GRID, GRID))
        texture_N3HW = TEXTURE * (rows_HG @ noise_N3GG @ columns_WG.T)
        back_N3HW = back_N3[:, :, None, None] + texture_N3HW
        front_N3HW = front_N3[:, :, None, None] * (SHADE[0] + SHADE[1] * grey_N1HW)
        cover_N1HW = np.minimum(1.0, COVER * grey_N1HW)
        mixed_N3HW = cover_N1HW * front_N3HW + (1 - cover_N1HW) * back_N3HW
        made_N3HW[start : start + READ] = 2 * np.clip(mixed_N3HW, 0.0, 1.0) - 1
    return made_N3HW


def padded(x_NCHW: Floats, size: int) -> Floats:
    """Return pictures with a border of their smallest value, `size` pixels high and wide."""
    rows, columns = (size - each for each in x_NCHW.shape[2:])
    around = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    framed: Floats = np.pad(x_NCHW, ((0, 0), (0, 0), *around), constant_values=-1.0)
    return framed


def _colours(rng: np.random.Generator, count: int) -> Doubles:
    """Return `count` colours as red, green and blue in [0, 1]."""
    hue_N, saturation_N, value_N = (
        rng.uniform(low, high, count) for low, high in ((0.0, 6.0), SATURATION, VALUE)
    )
    # of hue, saturation and value: red is full around hue 0, green around 2, blue around 4
    away_N3 = np.abs((hue_N[:, None] - np.array([0.0, 2.0, 4.0]) + 3.0) % 6.0 - 3.0)
    pure_N3 = np.clip(2.0 - away_N3, 0.0, 1.0)
    rgb_N3: Doubles = value_N[:, None] * (1 - saturation_N[:, None] * (1 - pure_N3))
    return rgb_N3


def _between(size: int) -> Doubles:
    """Return what makes `size` pixels of a grid's points by cubic convolution, (size, G)."""
    weights_HG = np.zeros((size, GRID))
    places = (np.arange(size) + 0.5) * GRID / size - 0.5
    for row, place in enumerate(places.tolist()):
        first = int(np.floor(place))
        for point in range(first - 1, first + 3):
            weights_HG[row, min(max(point, 0), GRID - 1)] += _cubic(abs(place - point))
    return weights_HG


def _cubic(away: float) -> float:
    a = SHARPNESS
    if away <= 1:
        return (a + 2) * away**3 - (a + 3) * away**2 + 1
    return a * (away**3 - 5 * away**2 + 8 * away - 4) if away < 2 else 0.0
