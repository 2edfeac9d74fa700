"""Where a run of `generative/1` stands.

Shape legend: K classes, A words, M pictures, C channels, H height, W width, F frequencies.

Rules: a value, all of it public; a killed service resumes from its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.evaluate import EVALUATE
from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.generators.captions import captioner_of, vocabulary
from dreamshare.learning.plain import Trained
from dreamshare.payloads.slots import Caption

Doubles = NDArray[np.float64]


class Stage(StrEnum):
    """What is wanted next; the names of the steps that travel."""

    WARM_UP = "warm_up"
    COUNT = "count"
    DESCRIBE = "describe"
    DISCLOSE = "disclose"
    LEARN = "learn"
    EVALUATE = EVALUATE
    DONE = "done"


@dataclass(frozen=True, slots=True)
class GenerativeState:
    """See the module's rules.

    Attributes:
        stage: what comes next.
        totals_K: examples of each class in the cohort (rounded masked sum); zeros before.
        holders_K: how many devices have an example of it.
        words_KA: how often each word goes with each class; of width 0 without attributes.
        said: captions that devices disclosed, without who said what.
        unread: places whose captions were lost.
        described_K: described examples of each class; zeros before.
        sums_KCFF: sums of their embeddings.
        squares_KCFF: sums of the squares.
        x_MCHW: the synthetic set, as devices get it; empty before.
        labels_M: its classes.
        student: the aggregator's classifier; empty without one.
        accuracy, loss: of the evaluation.
    """

    stage: Stage
    totals_K: Doubles
    holders_K: Doubles
    words_KA: Doubles
    described_K: Doubles
    sums_KCFF: Doubles
    squares_KCFF: Doubles
    x_MCHW: Floats
    labels_M: Ints
    student: Trained
    accuracy: float = 0.0
    loss: float = 0.0
    said: tuple[Caption, ...] = ()
    unread: int = 0


def words_of(config: GenerativeConfig) -> int:
    """Return A, the size of the vocabulary that devices count."""
    return len(vocabulary(captioner_of(config.captions, config.low, config.high).groups))


def first_state(config: GenerativeConfig, student: Trained) -> GenerativeState:
    """Return the state before anything was asked."""
    c = config
    nothing_K = np.zeros(c.classes)
    nothing_KCFF = np.zeros((c.classes, c.shape[0], c.frequencies, c.frequencies))
    return GenerativeState(
        stage=Stage.WARM_UP,
        totals_K=nothing_K,
        holders_K=nothing_K,
        words_KA=np.zeros((c.classes, words_of(c))),
        described_K=nothing_K,
        sums_KCFF=nothing_KCFF,
        squares_KCFF=nothing_KCFF,
        x_MCHW=np.zeros((0, *c.shape), np.float32),
        labels_M=np.zeros(0, np.int64),
        student=student,
    )


def sums_left(config: GenerativeConfig, stage: Stage) -> int:
    """Return how many masked sums a run still needs, the one that is planned included."""
    left = int(config.evaluate)
    if stage in (Stage.WARM_UP, Stage.COUNT):
        asked = {"none": 0, "counts": 1, "sums": 2}[config.message]
        return left + asked + int(config.captions == "text")
    return left + int(stage in (Stage.DESCRIBE, Stage.DISCLOSE))
