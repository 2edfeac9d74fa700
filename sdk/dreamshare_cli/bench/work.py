"""One cell: from the recipe's words to its lines.

Rules:
- one compute thread, so that a result does not depend on how many processes run beside it; what has
  to be set before numpy is loaded is set by whoever starts the process;
- a place, from 0, tells the processes beside each other apart: of several GPUs each takes its turn;
- lines are told as they come, so that a cell that is killed has shown how far it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dreamshare.engine.batches import Site
from dreamshare.engine.opening import EngineConfig, open_engine
from dreamshare.learning.base import Data, Learner
from dreamshare.learning.objectives import DreamObjective, FitObjective
from dreamshare_cli.bench.alone import run_alone
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.crowd import run_crowd
from dreamshare_cli.bench.crowd_record import crowd_folder
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.data.sources import load_pool
from dreamshare_cli.bench.drawing import with_drawn
from dreamshare_cli.bench.federated import Follower, pictures_of, run_federated
from dreamshare_cli.bench.filling import config_of, schedule_of, starts_equal
from dreamshare_cli.bench.learners import make_learner
from dreamshare_cli.bench.measuring import Student, accuracy, mean_ious, tested
from dreamshare_cli.bench.partitions import deal
from dreamshare_cli.bench.rows import End, Line, Start, to_line
from dreamshare_cli.bench.versions import one_thread, student_of, versions
from dreamshare_cli.demo.first_weights import parameter_count, shapes_of


def run_cell(cell: Cell, tell: Callable[[Line], None], folder: Path | None = None) -> None:
    """Compute a cell; `tell` is given its lines in order.

    Args:
        cell: which.
        tell: is given its lines.
        folder: where a population's cohorts are kept until its end, for a run that goes on.

    Raises:
        ConfigError: data, nets or config cannot be had or do not fit together.
        DreamshareError: the federation failed.
    """
    if cell.crowd:
        asyncio.run(_crowd_here(cell, tell, folder))
        return
    began, cpu = time.monotonic(), time.process_time()
    tell(Start(cell.key, cell.fingerprint, versions(cell.devices)))
    pool = load_pool(cell.data)
    learners = learners_of(cell, pool)
    dealt = deal(pool, cell.data, cell.partition, cell.devices.count, cell.seed)
    dealt = with_drawn(cell, pool, dealt)
    spare = make_learner(cell.devices, cell.architectures[0], pool.shape, pool.labels, 0, 0)
    _awake(spare, dealt.pooled)
    student: Student | None = None
    sums, pictures = 0, None
    metrics: dict[str, float] = {}
    if cell.algorithm is None:
        schedule = schedule_of(cell, pool)
        run_alone(cell, schedule, learners, dealt, tell, time.thread_time)
    else:
        config = config_of(cell, pool, dealt.public, learners[0])
        student = student_of(cell, pool, dealt.public)
        follower = Follower(cell, learners, dealt, student, tell)
        result = run_federated(cell, config, follower, time.thread_time)
        sums, metrics = result.aggregations, dict(result.metrics)
        pictures = pictures_of(config, result.arrays, pool.low, pool.high)
    found = tested(learners, dealt)
    taught = student.learner if student is not None and student.taught else None
    metrics |= mean_ious(learners, taught, dealt)
    tell(
        End(
            test=found.everywhere,
            student=None if taught is None else accuracy(taught, dealt.test),
            own=found.own,
            others=found.others,
            parameters=tuple(parameter_count(shapes_of(learner)) for learner in learners),
            examples=tuple(len(data) for data in dealt.data),
            sums=sums,
            seconds=round(time.monotonic() - began, 1),
            cpu_s=round(time.process_time() - cpu, 1),
            metrics=metrics,
            pictures=pictures,
        )
    )


async def _crowd_here(cell: Cell, tell: Callable[[Line], None], folder: Path | None) -> None:
    async with open_engine(EngineConfig("local", 1)) as engine:
        await run_crowd(cell, engine, tell, folder)


def learners_of(cell: Cell, pool: Pool) -> tuple[Learner, ...]:
    """Return the devices' learners with their first weights; ConfigError where there is none."""
    equal = starts_equal(cell)
    return tuple(
        make_learner(cell.devices, name, pool.shape, pool.labels, cell.seed, 0 if equal else place)
        for place, name in enumerate(cell.architectures)
    )


def write_cell(cell: Cell, path: Path, tell: Callable[[Line], None]) -> None:
    """Compute a cell and write its lines to a new file at `path`; errors as in `run_cell`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:

        def both(line: Line) -> None:
            file.write(to_line(line) + "\n")
            file.flush()
            tell(line)

        run_cell(cell, both, crowd_folder(path))


def told_cell(common: None, text: str, site: Site) -> None:
    """Compute a cell in a process of its own, on any engine; tell its lines as JSON.

    Args:
        common: nothing.
        text: the cell as JSON.
        site: is told the lines.

    Raises:
        DreamshareError: as `run_cell`.
    """
    cell = Cell.from_json(text)
    one_thread(cell.devices, site.place)
    run_cell(cell, lambda line: site.tell(to_line(line)))


def _awake(learner: Learner, data: Data) -> None:
    """Let the framework do once what it does at first, so that no device's seconds hold it."""
    few = next(data.batches(np.random.default_rng(0), 4))
    labels_B = None if few.y_N is None else few.y_N.reshape(-1)
    learner.fit([(few,)], FitObjective())
    learner.input_gradient(few.x_NCHW, DreamObjective(labels_B=labels_B))
