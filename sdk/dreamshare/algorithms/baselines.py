"""What a device reaches without the others: the rows that CoDream is compared with.

    independent   its own data, ordinary cross-entropy
    balanced      the same with balanced softmax: uses the label histogram and nothing else
    centralised   all data in one place (an upper bound; no device could do it)

Rules:
- pure functions of (learner state, data, generator): nothing is sent;
- the numbers of optimiser steps, batch sizes and rates are those of the CoDream run that the row
  stands beside; only the distilled dreams are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.codream.acquiring import acquire_alone, warm_up
from dreamshare.learning.base import Data, Learner


def independent(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Iterator[int]:
    """Train `learner` on `data` alone; yield 0 after the warm-up, then each cycle's number.

    The caller measures whatever it wants at each yield; the work happens in between.
    """
    alone = replace(config, balanced=False)
    yield from _phases(alone, learner, data, rng)


def balanced(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Iterator[int]:
    """As `independent`, with balanced softmax on the device's own label histogram."""
    yield from _phases(replace(config, balanced=True), learner, data, rng)


def centralised(
    config: CodreamConfig, learner: Learner, pooled: Data, rng: np.random.Generator
) -> Iterator[int]:
    """As `independent` on everybody's data pooled: one learner takes a device's steps."""
    yield from independent(config, learner, pooled, rng)


def _phases(
    config: CodreamConfig, learner: Learner, data: Data, rng: np.random.Generator
) -> Iterator[int]:
    warm_up(config, learner, data, rng)
    yield 0
    for cycle in range(1, config.cycles + 1):
        acquire_alone(config, learner, data, rng)
        yield cycle
