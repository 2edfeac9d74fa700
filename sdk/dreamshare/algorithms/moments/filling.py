"""The examples that a device trains on, and how: its own, synthetic ones, mixed.

Shape legend: N examples of a batch, M pictures of the set, K classes.

In the mix "fill" every class is as frequent as every other, and the device's own examples take the
place that they have in the cohort: one of class c is its own with the probability

    (n_own(c) / n(c)) ^ power

and synthetic otherwise. A device that holds a whole class trains on its own examples of it, one
that holds none on synthetic ones.

Rules: what is drawn comes from the device's generator; BatchNorm sees the mixed batch, so that its
running statistics are those of what the net was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.pictures import Pictures
from dreamshare.algorithms.moments.state import Doubles
from dreamshare.algorithms.posteriors import steps_beside
from dreamshare.learning.base import Batch, Data, Ints
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.passes import ByClass


def objective_of(config: MomentsConfig, data: Data) -> FitObjective:
    """Return how a device trains with the set."""
    c = config
    objective = FitObjective(
        optimizer=c.optimizer,
        learning_rate=c.learning_rate,
        weight_decay=c.weight_decay,
        decay_steps=c.fit_steps if c.schedule == "cosine" else 0,
    )
    own_skew = c.mix == "beside" and c.balanced  # the other mixes have no skew of their own
    return objective.balanced(data.class_counts(c.classes)) if own_skew else objective


def steps_of(
    config: MomentsConfig,
    data: Data,
    pictures: Pictures,
    totals_K: Doubles,
    rng: np.random.Generator,
) -> Iterator[tuple[Batch, ...]]:
    """Yield the steps of a config's mix; none where there is nothing to train on."""
    c = config
    if c.mix != "beside":
        own_K = data.class_counts(c.classes)
        shares_K = own_shares(own_K, totals_K, pictures, c.fill_power)
        if c.mix == "synthetic":
            shares_K = np.where(pictures.counts(c.classes) > 0, 0.0, -1.0)
        yield from _filled(config, data, pictures, shares_K, rng)
    elif len(pictures) >= 2:
        x_MCHW = pictures.inputs()
        targets_MK = np.eye(c.classes, dtype=np.float32)[pictures.labels_M]
        yield from steps_beside(
            data, rng, c.local_batch, c.fit_steps, x_MCHW, targets_MK, c.synthetic_batch
        )


def own_shares(own_K: Ints, totals_K: Doubles, pictures: Pictures, power: float) -> Doubles:
    """Return with which probability an example of each class is the device's own; -1 for none.

    Of a class that the set lacks, every example is the device's own.
    """
    drawn_K = pictures.counts(len(own_K)) > 0
    shares_K = np.minimum(own_K / np.maximum(totals_K, 1.0), 1.0) ** power
    alone_K = np.where(own_K > 0, 1.0, -1.0)
    return np.where(drawn_K, np.where(own_K > 0, shares_K, 0.0), alone_K)


def _filled(
    config: MomentsConfig,
    data: Data,
    pictures: Pictures,
    shares_K: Doubles,
    rng: np.random.Generator,
) -> Iterator[tuple[Batch]]:
    c = config
    classes = np.flatnonzero(shares_K >= 0)
    own = ByClass(data, rng, c.local_batch, c.classes)
    places = [np.flatnonzero(pictures.labels_M == label) for label in range(c.classes)]
    for _ in range(c.fit_steps if len(classes) else 0):
        y_N: Ints = classes[rng.integers(0, len(classes), c.batch)].astype(np.int64)
        real_N = rng.random(c.batch) < shares_K[y_N]
        x_NCHW = np.zeros((c.batch, *c.shape), np.float32)
        for place, (label, real) in enumerate(zip(y_N.tolist(), real_N.tolist(), strict=True)):
            drawn = places[label]
            x_CHW = own.take(label) if real else None
            if x_CHW is not None:
                x_NCHW[place] = x_CHW
            elif len(drawn):
                x_NCHW[place] = pictures.input(int(drawn[rng.integers(0, len(drawn))]))
        yield (Batch(x_NCHW, y_N),)
