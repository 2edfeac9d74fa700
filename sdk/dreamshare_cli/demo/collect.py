"""From what both sides counted to the demo's result, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.payloads.gallery import Gallery
from dreamshare.protocol.messages import TaskStatus
from dreamshare.updates import PublicArray
from dreamshare_cli.demo.options import DemoOptions
from dreamshare_cli.demo.reports import DeviceReport
from dreamshare_cli.demo.result import ClientResult, DemoResult, confirm


def client_result(name: str, report: DeviceReport, *, alive: bool) -> ClientResult:
    """Return one device's line; what it did not live to report is None."""
    return ClientResult(
        id=report.id,
        name=name,
        architecture=report.architecture,
        runtime=report.runtime,
        examples=report.examples,
        tested=report.tested,
        parameters=report.parameters,
        before=_at(report.curve, 0),
        independent=_at(report.independent_curve, -1) if alive else None,
        balanced=_at(report.balanced_curve, -1) if alive else None,
        codream=_at(report.curve, -1),
        curve=report.curve,
        independent_curve=report.independent_curve,
        balanced_curve=report.balanced_curve,
        alive=alive,
        bytes_up=report.bytes_up,
        bytes_down=report.bytes_down,
        sums=report.sums,
    )


def demo_result(
    options: DemoOptions, status: TaskStatus, clients: Sequence[ClientResult], seconds: float
) -> DemoResult:
    """Return the result of a task that is done.

    Raises:
        ConfigError: a survivor has not reported every cycle.
    """
    for client in clients:
        if client.alive and len(client.curve) != options.cycles + 1:
            raise ConfigError(
                f"{client.name} reported {len(client.curve) - 1} of {options.cycles} cycles"
            )
    seen = [c.sums for c in clients if c.alive]
    return DemoResult(
        clients=tuple(clients),
        rounds=options.cycles,
        aggregations=status.aggregations,
        abandoned=status.abandoned,
        dropped=status.dropped,
        seconds=seconds,
        secure_aggregation=confirm(status.secure_aggregation, status.aggregations, seen),
        runtime=options.runtime.value,
        seed=options.seed,
        out=str(options.out),
    )


def gallery_of(config: CodreamConfig, arrays: Mapping[str, PublicArray]) -> Gallery:
    """Return the dreams of a result with the digit and the cycle of each; ConfigError for none."""
    gallery = Codream(config).gallery_of(arrays)
    if gallery is None:
        raise ConfigError("the result holds no dreams")
    return gallery


def _at(curve: Sequence[float], place: int) -> float | None:
    return curve[place] if curve else None
