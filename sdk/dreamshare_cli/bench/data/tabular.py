"""Tables: one of tissue samples that scikit-learn brings along, two that are generated.

    measurements   means, and their exponentials: two looks of a class, correlated, of any scale
    events         small counts
    flags          0 or 1

The generated one is a stand-in for records of machines or shops: what an algorithm reaches on it
says that it can take columns of unlike scales, not how well it does on anybody's. The other one is
made to be misread: its two classes have the same mean and the same covariance (`make_parity`).

Rules:
- an example is a row, shape (F, 1, 1): a column is a channel, so that a net can scale it;
- what a column can hold at most is declared beside it, as whoever announces a task has to do, and a
  device maps that range onto [-1, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from dreamshare.learning.base import Floats, Ints

CLASSES = 6
MEASURES, GROWTHS, EVENTS, FLAGS = 8, 4, 4, 4
HIDDEN = 6
"""Numbers behind a row."""

MARKS, STRAY = 3, 3
"""Columns of `make_parity`: those that decide together, those that say nothing."""

MARK, BLUR = 0.6, 0.15

MOST_EVENTS = 12.0
NOISE = 0.8
LONGEST = 4.0
"""Standard deviations at which a declared range ends."""

Doubles = NDArray[np.float64]


def tissue() -> tuple[Floats, Ints]:
    """Return the 569 rows of Wisconsin's breast cancer data, and their classes.

    The ranges are those that the data's own description publishes: each column's ends.
    """
    x_NF, y_N = load_breast_cancer(return_X_y=True)
    return _rows(x_NF, x_NF.min(axis=0), x_NF.max(axis=0)), y_N.astype(np.int64)


def make_parity(count: int, seed: int) -> tuple[Floats, Ints]:
    """Return `count` rows whose class says whether an even number of three marks is low.

    Any two marks are as often alike as unlike in either class, so that no mean and no covariance
    tells the classes apart: what learns from second moments alone must fail here.
    """
    rng = np.random.default_rng([seed, 2])
    signs_NF = rng.choice([-1.0, 1.0], (count, MARKS + STRAY))
    y_N = (signs_NF[:, :MARKS].prod(axis=1) > 0).astype(np.int64)
    x_NF = MARK * signs_NF + BLUR * rng.standard_normal(signs_NF.shape)
    ends_F = np.ones(MARKS + STRAY)
    return _rows(x_NF, -ends_F, ends_F), y_N


def make_table(count: int, seed: int) -> tuple[Floats, Ints]:
    """Return `count` generated rows, about equally many of each class, and their classes."""
    world = np.random.default_rng([seed, 0])
    centres_K2Z = world.normal(0.0, 1.0, (CLASSES, 2, HIDDEN))
    turn_KZZ = world.normal(0.0, 0.5, (CLASSES, HIDDEN, HIDDEN))
    columns = MEASURES + GROWTHS + EVENTS + FLAGS
    mix_ZF = world.normal(0.0, HIDDEN**-0.5, (HIDDEN, columns))
    rng = np.random.default_rng([seed, 1])
    y_N = rng.permutation(np.arange(count, dtype=np.int64) % CLASSES)
    look_N = rng.integers(0, 2, count)
    z_NZ = centres_K2Z[y_N, look_N] + np.einsum(
        "nz,nzy->ny", rng.standard_normal((count, HIDDEN)), turn_KZZ[y_N]
    )
    s_NF = z_NZ @ mix_ZF + NOISE * rng.standard_normal((count, columns))
    measures, growths, events, flags = np.split(
        s_NF, np.cumsum([MEASURES, GROWTHS, EVENTS]).tolist(), axis=1
    )
    scales = 10.0 ** np.linspace(-2, 5, MEASURES)
    found_NF = np.concatenate(
        [
            scales * (measures + 2.0),
            np.exp(growths),
            rng.poisson(np.exp(events / 2)),
            flags > 0,
        ],
        axis=1,
    )
    far = np.exp(LONGEST / 2)
    low_F = np.concatenate([scales * (2.0 - LONGEST), np.zeros(columns - MEASURES)])
    high_F = np.concatenate(
        [scales * (2.0 + LONGEST), np.repeat([far, MOST_EVENTS, 1.0], [GROWTHS, EVENTS, FLAGS])]
    )
    return _rows(found_NF, low_F, high_F), y_N


def _rows(x_NF: Doubles, low_F: Doubles, high_F: Doubles) -> Floats:
    share_NF = np.clip((x_NF - low_F) / (high_F - low_F), 0.0, 1.0)
    rows: Floats = (2 * share_NF - 1).astype(np.float32)[:, :, None, None]
    return rows
