"""Where a run of `moments/1` stands.

Shape legend: K classes, D values of an input, B components, P second moments, M pictures,
Q those of the lowest ones of a release, C channels, H height, W width.

Rules: a value, all of it public; a killed service resumes from its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.evaluate import EVALUATE
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import form_of, lowest_of
from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.moments import packed_size
from dreamshare.learning.plain import Trained
from dreamshare.updates import PublicArray

Doubles = NDArray[np.float64]


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    WARM_UP = "warm_up"
    ALONE = "alone"
    RELEASE = "release"
    COUNT = "count"
    SKETCH = "sketch"
    DESCRIBE = "describe"
    LEARN = "learn"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class MomentsState:
    """See the module's rules. What is not known yet is empty, or zeros.

    Attributes:
        stage: what comes next.
        totals_K: examples of each class that devices may sum (rounded masked sum).
        holders_K: how many devices have enough of it.
        known_K: examples that the moments of each class are from; 0 for a class that is left out.
        mean_KD: means in the unit space, as devices are told.
        variance_D: of each value within classes.
        basis_DB: bytes of a basis that was found (`learning.moments.bases`).
        scale_B: its scales.
        covariance_KP: of the components over their scales, as devices are told; one for all classes
            in a release.
        apart_KQ: of a release: what classes' covariances of the lowest components have over it.
        features_KF: means of the form "maps"; no columns in others.
        residual_D: variance outside the basis, as devices are told.
        pictures_MCHW: the set, a byte a value.
        labels_M: its classes.
        student: the aggregator's classifier; empty without one.
        noise: of a release: its standard deviation over what one example moves at most.
        clipped: share of the sums' coordinates that their bounds cut.
        accuracy, loss: of the evaluation.
        alone: accuracy of devices that tried without the set.
    """

    stage: Stage
    totals_K: Doubles
    holders_K: Doubles
    known_K: Doubles
    mean_KD: Floats
    variance_D: Doubles
    basis_DB: NDArray[np.uint8]
    scale_B: Floats
    covariance_KP: Floats
    apart_KQ: Floats
    features_KF: Floats
    residual_D: Floats
    pictures_MCHW: NDArray[np.uint8]
    labels_M: Ints
    student: Trained
    noise: float = 0.0
    clipped: float = 0.0
    accuracy: float = 0.0
    loss: float = 0.0
    alone: float = 0.0


def after_warm_up(config: MomentsConfig) -> Stage:
    """Return what comes when devices have warmed up."""
    if form_of(config).kind == "clipped":
        return Stage.RELEASE
    return Stage.ALONE if config.compare else Stage.COUNT


def first_state(config: MomentsConfig, student: Trained) -> MomentsState:
    """Return the state before anything was asked."""
    classes, values = config.classes, config.space.values
    form = form_of(config)
    matrices = 1 if form.kind == "clipped" else classes
    features = form.components if form.kind == "maps" else 0
    seconds = 0 if features else form.seconds
    return MomentsState(
        stage=Stage.WARM_UP if config.warm_up_epochs else after_warm_up(config),
        totals_K=np.zeros(classes),
        holders_K=np.zeros(classes),
        known_K=np.zeros(classes),
        mean_KD=np.zeros((classes, values), np.float32),
        variance_D=np.zeros(values),
        basis_DB=np.zeros((0, 0), np.uint8),
        scale_B=np.zeros(0, np.float32),
        covariance_KP=np.zeros((matrices, seconds), np.float32),
        apart_KQ=np.zeros((classes, packed_size(lowest_of(form))), np.float32),
        features_KF=np.zeros((classes, features), np.float32),
        residual_D=np.zeros(values, np.float32),
        pictures_MCHW=np.zeros((0, *config.shape), np.uint8),
        labels_M=np.zeros(0, np.int64),
        student=student,
    )


def sums_left(config: MomentsConfig, stage: Stage) -> int:
    """Return how many masked sums a run still needs, the one that is planned included."""
    left = int(config.evaluate)
    if stage in (Stage.LEARN, Stage.EVALUATE, Stage.DONE):
        return left
    if form_of(config).kind == "clipped":
        return left + 1
    if stage is Stage.DESCRIBE:
        return left + 1
    left += 1 + int(form_of(config).columns > 0)
    if stage is Stage.SKETCH:
        return left
    return left + 1 + int(config.compare and stage is not Stage.COUNT)


def asked_with(state: MomentsState) -> dict[str, PublicArray]:
    """Return what is public and goes with what is asked now."""
    if state.stage not in (Stage.SKETCH, Stage.DESCRIBE):
        return {}
    tensors: dict[str, PublicArray] = {"totals": state.totals_K, "holders": state.holders_K}
    if state.stage is Stage.DESCRIBE and state.basis_DB.size:
        tensors |= {"mean": state.mean_KD, "basis": state.basis_DB, "scale": state.scale_B}
    return tensors
