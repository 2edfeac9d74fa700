"""Looks at every cell before the first one runs: an hour must not end in a misspelt field.

Rules: data are loaded once, one learner is made for each architecture and asked
  about one example; nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch
from dreamshare.learning.measures import measure
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.drawing import with_drawn
from dreamshare_cli.bench.filling import config_of, schedule_of
from dreamshare_cli.bench.learners import make_learner
from dreamshare_cli.bench.partitions import Dealt, deal
from dreamshare_cli.bench.recipe import Partition


def check_cells(cells: Sequence[Cell]) -> None:
    """Return when every cell can begin.

    Raises:
        ConfigError: data, a deal, a net or a config cannot be had; it names the cell.
    """
    pools = {plan: load_pool(plan) for plan in dict.fromkeys(cell.data for cell in cells)}
    known: dict[tuple[Partition, int], tuple[Dealt, Batch]] = {}
    for cell in cells:
        pool = pools[cell.data]
        try:
            learners = {
                name: make_learner(cell.devices, name, pool.shape, pool.labels, 0, 0)
                for name in dict.fromkeys(cell.architectures)
            }
            place = cell.partition, cell.seed
            if place not in known:
                found = deal(pool, cell.data, cell.partition, cell.devices.count, cell.seed)
                known[place] = found, found.data[0].held_out().first(1)
            for learner in learners.values():
                measure(learner, known[place][1])
            if cell.algorithm is None:
                schedule_of(cell, pool)
            else:
                public = with_drawn(cell, pool, known[place][0]).public
                config_of(cell, pool, public, learners[cell.architectures[0]])
        except ConfigError as error:
            raise ConfigError(f"{cell.key}: {error}") from None
