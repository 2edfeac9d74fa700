"""Time series that are generated: six kinds of signal, each with its own period, phase and noise.

A stand-in for sensors, made by this module and by nobody's machine: what an algorithm reaches on it
says that it can take time series, not how well it does on real ones.

    sine, square, sawtooth, chirp (rising frequency), pulses (short, rare), decaying sine

Rules: a function of the seed; one channel, height 1, width `LENGTH`, values in [-1, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.base import Floats, Ints

CLASSES = 6
LENGTH = 64
NOISE = 0.35
"""Standard deviation of what is added to signals of amplitude 0.4 to 1, before clipping."""


def make_waves(count: int, seed: int) -> tuple[Floats, Ints]:
    """Return `count` examples (N, 1, 1, LENGTH) and their classes, about equally many of each."""
    rng = np.random.default_rng(seed)
    y_N = rng.permutation(np.arange(count, dtype=np.int64) % CLASSES)
    time = np.linspace(0.0, 1.0, LENGTH, endpoint=False)
    turns = rng.uniform(2.0, 6.0, (count, 1)) * time + rng.uniform(0.0, 1.0, (count, 1))
    amplitude = rng.uniform(0.4, 1.0, (count, 1))
    shapes = np.stack([_shape(kind, turns, time) for kind in range(CLASSES)])
    clean = amplitude * shapes[y_N, np.arange(count)]
    noisy = clean + NOISE * rng.standard_normal(clean.shape)
    x_NCHW = np.clip(noisy, -1.0, 1.0).astype(np.float32)[:, None, None, :]
    return x_NCHW, y_N


def _shape(kind: int, turns: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one kind of signal for every row of `turns` (periods since the start, plus phase)."""
    sine: NDArray[np.float64] = np.sin(2 * np.pi * turns)
    within = turns % 1.0
    match kind:
        case 0:
            return sine
        case 1:
            return np.sign(sine)
        case 2:
            return 2.0 * within - 1.0
        case 3:
            return np.asarray(np.sin(2 * np.pi * turns * (0.5 + time)))
        case 4:
            return np.where(within < 0.15, 1.0, -0.2)
        case _:
            return np.asarray(sine * np.exp(-3.0 * time))
