"""The UCI optical digits that scikit-learn carries, split as several devices would hold them.

1,797 grey images of 8x8 pixels, handwritten by people; no download. Pixels 0..16 are scaled by
public constants to [-1, 1].

Rules:
- the division into training, validation and test images is fixed and does not depend on any seed:
  every choice of ours was made on the validation images, the test images were looked at once;
- devices share nothing: each training image belongs to one device;
- every device is measured on the same test images, whatever it holds, so that the figure says what
  it knows about all ten digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.data import ArrayData

CLASSES = 10
SHAPE = (1, 8, 8)
LOW, HIGH = -1.0, 1.0
TEST_IMAGES = 500
VALIDATION_IMAGES = 297
DIVISION_SEED = 20_231
SKEW = 0.3
"""Dirichlet concentration of the label split; smaller is more skewed."""

LEAST_SHARE = 0.3
"""Every device holds at least this share of an even split."""


@dataclass(frozen=True, slots=True)
class Digits:
    """The three parts, x float32 (N, 1, 8, 8) and y int64 (N,)."""

    train: Batch
    validation: Batch
    test: Batch


def load() -> Digits:
    """Return the digits in the fixed division: 1,000 to train, 297 to choose, 500 to test."""
    from sklearn.datasets import load_digits  # takes a second: not where constants alone are read

    raw = load_digits()
    x_NCHW = (raw.images.astype(np.float32) / 8.0 - 1.0)[:, None]
    y_N = raw.target.astype(np.int64)
    order = np.random.default_rng(DIVISION_SEED).permutation(len(y_N))
    parts = np.split(order, [TEST_IMAGES, TEST_IMAGES + VALIDATION_IMAGES])
    test, validation, train = (Batch(x_NCHW[part], y_N[part]) for part in parts)
    return Digits(train, validation, test)


def dirichlet_split(
    y_N: NDArray[np.int64],
    devices: int,
    rng: np.random.Generator,
    skew: float = SKEW,
    classes: int = CLASSES,
) -> tuple[NDArray[np.int64], ...]:
    """Return the indices that each device holds.

    Each class is cut into shares drawn from a symmetric Dirichlet distribution; the draw is
    repeated until every device has `LEAST_SHARE` of an even split.

    Raises:
        ConfigError: fewer than one device, a skew that is not positive, or no draw succeeded.
    """
    if devices < 1 or not skew > 0:
        raise ConfigError(f"{devices} devices, skew {skew}: give 1 or more, and a positive skew")
    least = LEAST_SHARE * len(y_N) / devices
    for _ in range(10_000):
        held: list[list[NDArray[np.int64]]] = [[] for _ in range(devices)]
        for label in range(classes):
            members = rng.permutation(np.flatnonzero(y_N == label))
            cuts = np.cumsum(rng.dirichlet(np.full(devices, skew)))[:-1] * len(members)
            for device, part in enumerate(np.split(members, np.rint(cuts).astype(int))):
                held[device].append(part)
        indices = tuple(np.concatenate(parts) for parts in held)
        if min(len(part) for part in indices) >= least:
            return indices
    raise ConfigError(
        f"no split of {len(y_N)} examples among {devices} devices gives each {least:.0f} of them "
        f"at skew {skew}; use fewer devices or a larger skew"
    )


def device_data(device: int, devices: int, seed: int, *, validation: bool = False) -> ArrayData:
    """Return what device `device` (0-based) of `devices` holds, a function of `seed`.

    Its held-out examples are the test images, or the validation images where choices are made.
    """
    if not 0 <= device < devices:
        raise ConfigError(f"device {device} is not among {devices}, counted from 0")
    digits = load()
    if digits.train.y_N is None:
        raise ConfigError("digits without classes cannot be split")
    split = dirichlet_split(digits.train.y_N, devices, np.random.default_rng([seed, devices]))
    own = split[device]
    held_out = digits.validation if validation else digits.test
    return ArrayData(digits.train.x_NCHW[own], digits.train.y_N[own], held_out)
