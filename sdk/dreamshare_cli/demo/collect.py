"""From what both sides counted to the demo's result, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dreamshare.algorithms.base import Draws
from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.errors import ConfigError
from dreamshare.payloads.gallery import Gallery
from dreamshare.protocol.messages import TaskStatus
from dreamshare.updates import PublicArray
from dreamshare_cli.demo.methods import Method
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.reports import DeviceReport
from dreamshare_cli.demo.result import ClientResult, DemoResult, RunResult, confirm


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over.

    Attributes:
        method: that ran.
        status: of its task, whose id names the devices' parts in it.
        seconds: from submitting it to its result.
    """

    method: Method
    status: TaskStatus
    seconds: float


def client_result(
    name: str, report: DeviceReport, runs: Sequence[Ended], *, alive: bool
) -> ClientResult:
    """Return one device's line; what it did not live to report is None."""
    tasks = {run.method.name: run.status.task.hex() for run in runs}
    return ClientResult(
        id=report.id,
        name=name,
        architecture=report.architecture,
        runtime=report.runtime,
        examples=report.examples,
        tested=report.tested,
        parameters=report.parameters,
        independent=_last(report.independent_curve) if alive else None,
        balanced=_last(report.balanced_curve) if alive else None,
        independent_curve=report.independent_curve,
        balanced_curve=report.balanced_curve,
        alive=alive,
        parts={name: report.parts[task] for name, task in tasks.items() if task in report.parts},
    )


def demo_result(
    options: DemoOptions, runs: Sequence[Ended], clients: Sequence[ClientResult], seconds: float
) -> DemoResult:
    """Return the result of runs that are done.

    Raises:
        ConfigError: a survivor has not reported every round.
    """
    return DemoResult(
        clients=tuple(clients),
        runs=tuple(_run_result(run, clients) for run in runs),
        seconds=seconds,
        runtime=options.runtime.value,
        seed=options.seed,
        out=str(options.out),
    )


def gallery_of(method: Method, arrays: Mapping[str, PublicArray]) -> Gallery:
    """Return the pictures of a result with the digit and the row of each; ConfigError for none.

    Rows are the cycles of an algorithm that makes pictures in several; where all are made at once,
    the n-th picture of each digit is in row n.
    """
    algorithm = algorithm_of(method.config)
    gallery = algorithm.gallery_of(arrays) if isinstance(algorithm, Draws) else None
    if gallery is None:
        raise ConfigError(f"the result of {method.name} holds no pictures")
    if method.cyclic:
        return gallery
    rows_N = np.zeros(len(gallery), np.int64)
    for label in np.unique(gallery.labels_N):
        own = gallery.labels_N == label
        rows_N[own] = 1 + np.arange(own.sum())
    return Gallery(gallery.dreams_NCHW, gallery.labels_N, rows_N)


def _run_result(run: Ended, clients: Sequence[ClientResult]) -> RunResult:
    name, status = run.method.name, run.status
    for client in clients:
        learnt, all_of_them = len(client.part(name).curve), len(run.method.lessons)
        if client.alive and learnt != all_of_them:
            raise ConfigError(
                f"{client.name} reported {max(0, learnt - 1)} of {all_of_them - 1} rounds of {name}"
            )
    seen = [c.part(name).sums for c in clients if c.alive]
    return RunResult(
        name=name,
        lessons=run.method.lessons,
        rounds=run.method.rounds,
        aggregations=status.aggregations,
        abandoned=status.abandoned,
        dropped=status.dropped,
        seconds=run.seconds,
        secure_aggregation=confirm(status.secure_aggregation, status.aggregations, seen),
    )


def _last(curve: Sequence[float]) -> float | None:
    return curve[-1] if curve else None
