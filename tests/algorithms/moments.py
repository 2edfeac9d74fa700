"""Crews and configs for tests of `moments/1`, on a toy's blobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dreamshare.algorithms.moments import MomentsConfig, synthesis
from dreamshare.algorithms.moments.forms import form_of
from dreamshare.learning.base import Learner
from dreamshare.learning.data import ArrayData
from dreamshare.learning.moments import Gaussians, pixels
from tests.algorithms.oracle import Device
from tests.algorithms.toy import SHAPE, ToyLearner, toy_data

LOW, HIGH = -2.0, 3.0
FORMS = {
    "pixels": {"form": "pixels"},
    "basis": {"form": "basis", "components": 3},
    "dct": {"form": "dct", "components": 3},
}


def moments(**changes) -> MomentsConfig:
    base = {
        "shape": SHAPE,
        "classes": 3,
        "low": LOW,
        "high": HIGH,
        "images": 60,
        "shrinkage": 0.0,
        "max_examples": 256,
        "warm_up_epochs": 1,
        "warm_up_rate": 0.1,
        "fit_steps": 10,
        "local_batch": 8,
        "batch": 32,
        "synthetic_batch": 16,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    return MomentsConfig(**(base | changes))


def owners(
    learner: Callable[[int], Learner] = ToyLearner,
    counts: Sequence[tuple[int, ...]] = ((30, 12, 0), (9, 30, 12), (0, 9, 30)),
) -> list[Device]:
    return [
        Device(learner(i + 5), toy_data(i, each), np.random.default_rng(i))
        for i, each in enumerate(counts)
    ]


def owned(data: Sequence[ArrayData]) -> list[Device]:
    return [Device(ToyLearner(i), each, np.random.default_rng(i)) for i, each in enumerate(data)]


class Guarded(ArrayData):
    """Data whose owner sets the least count of a class."""

    least_class_count = 1


def pooled(config: MomentsConfig, x_NCHW: np.ndarray, y_N: np.ndarray, basis=None) -> Gaussians:
    """The Gaussians of the pooled examples: one process, textbook formulas, no sums of devices."""
    u_ND = config.space.units(x_NCHW)
    basis = basis or pixels(u_ND.shape[1])
    labels = range(config.classes)
    mean_KD = np.stack([u_ND[y_N == label].mean(axis=0) for label in labels])
    within_ND = u_ND - mean_KD[y_N]
    parts_NB = basis.project(within_ND)
    covariance_KBB = np.stack([np.cov(parts_NB[y_N == k].T, bias=True) for k in labels])
    outside_ND = within_ND - basis.spread(parts_NB)
    residual_D = np.square(within_ND).mean(axis=0) - np.square(within_ND - outside_ND).mean(axis=0)
    return Gaussians(mean_KD, covariance_KBB, np.maximum(residual_D, 0.0), basis)


def told_gaussians(config: MomentsConfig, result) -> Gaussians:
    """What a run's public result makes."""
    tensors = {name: result[name] for name in ("totals", "mean", "covariance")}
    for name in ("residual", "basis", "scale"):
        if name in result:
            tensors[name] = result[name]
    assert form_of(config).components == synthesis.gaussians_of(config, tensors).basis.count
    return synthesis.gaussians_of(config, tensors)
