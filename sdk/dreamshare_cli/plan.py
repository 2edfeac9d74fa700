"""`dreamshare plan`: what a fleet takes, by unit costs of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plan(
    devices: Annotated[float, typer.Option(help="Devices in a round, e.g. 1e6.")],
    dim: Annotated[int, typer.Option(help="Coordinates of a vector.")],
    bits: Annotated[int, typer.Option(help="Bits of a coordinate, 8 to 20.")] = 16,
    dropout: Annotated[float, typer.Option(help="Part that vanishes before it sends.")] = 0.0,
    cohort: Annotated[int, typer.Option(help="Largest cohort: 128, or up to 10,000.")] = 128,
    payload: Annotated[float, typer.Option(help="Bytes that a round sends each device.")] = 0.0,
    shards: Annotated[int, typer.Option(help="Processes that take vectors; 0: find out.")] = 0,
    seconds: Annotated[float, typer.Option(help="That a round may take the aggregator.")] = 60.0,
    uplink: Annotated[float, typer.Option(help="A device's bytes a second.")] = 1e6,
    network: Annotated[float, typer.Option(help="The aggregator's bytes a second.")] = 1.25e9,
    units: Annotated[
        Path | None,
        typer.Option(help="File of unit costs; measured and kept in the user's cache otherwise."),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure the unit costs again, some seconds.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a fleet takes: cohorts, shards, cores, memory, bytes, seconds, and what is tight.

    Counted from what the protocol asks for, times unit costs that are measured on this machine
    once. What devices compute is not in it.
    """
    from dreamshare_cli.planning.model import Fleet
    from dreamshare_cli.planning.show import run_plan

    fleet = Fleet(
        int(devices), dim, bits, dropout, cohort, int(payload), shards, seconds, uplink, network
    )
    raise typer.Exit(run_plan(fleet, units, calibrate=calibrate, as_json=as_json))
