"""One cell of a baseline: what devices reach without an algorithm.

Rules: the same deal, first weights and schedule as the algorithms beside it; nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dreamshare.algorithms.baselines import balanced, centralised, independent
from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data, Learner
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.measuring import validated
from dreamshare_cli.bench.partitions import Dealt
from dreamshare_cli.bench.rows import Round

Train = Callable[[CodreamConfig, Learner, Data, np.random.Generator], Iterator[int]]


def run_alone(
    cell: Cell,
    schedule: CodreamConfig,
    learners: Sequence[Learner],
    dealt: Dealt,
    tell: Callable[[Round], None],
    stopwatch: Callable[[], float],
) -> None:
    """Train every device by itself, cycle by cycle, and tell what they reach.

    Raises:
        ConfigError: the cell runs no baseline.
    """
    train, pooled = _training(cell)
    seconds = [0.0] * len(learners)
    runs = [
        train(
            schedule,
            learner,
            dealt.pooled if pooled else data,
            np.random.default_rng([cell.seed, place, 1]),
        )
        for place, (learner, data) in enumerate(zip(learners, dealt.data, strict=True))
    ]
    for cycle in range(schedule.cycles + 1):
        for place, run in enumerate(runs):
            began = stopwatch()
            next(run)
            seconds[place] += stopwatch() - began
        if cycle % cell.evaluate_every == 0 or cycle == schedule.cycles:
            spent = tuple(round(each, 3) for each in seconds)
            tell(Round(cycle, validated(learners, dealt), compute_s=spent))


def _training(cell: Cell) -> tuple[Train, bool]:
    """Return what trains a device, and whether on everybody's examples."""
    match cell.baseline and cell.baseline.kind:
        case "independent":
            return independent, False
        case "label histogram only":
            return balanced, False
        case "centralised":
            return centralised, True
    raise ConfigError(f"{cell.key} runs no baseline")
