"""`dreamshare bench RECIPE` runs an experiment; `dreamshare bench report FILES` writes it up.

Exit codes: 0 done, 1 a cell failed, 2 the recipe, an option or a file is wrong, 130 stopped by
Ctrl-C or SIGTERM, which loses nothing that is finished.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dreamshare.errors import ConfigError


def bench(
    words: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE | report FILES...",
            help="A recipe (TOML) to run; or the word `report` and result files (JSON).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of a run (./bench/NAME), or page of a report (results.md)."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes, one core each; 0: this process. Default: a core each."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Where they are: local (threads), processes, ray (a cluster).")
    ] = "processes",
    address: Annotated[
        str, typer.Option(help="Of a Ray cluster, HOST:PORT; without it one starts here.")
    ] = "",
    devices: Annotated[
        int | None, typer.Option(help="So many devices instead of the recipe's.", min=3)
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Cells whose name holds this, as --list shows it; may be repeated."),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the cells and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines on standard output.")
    ] = False,
) -> None:
    """Compare algorithms on simulated devices: the real machines, masks on, one process a cell.

    A cell is one method, one partition, one seed. Run the same command again to go on where a run
    was stopped: finished cells are kept.
    """
    from dreamshare.engine.opening import EngineConfig, kind_of
    from dreamshare_cli.bench.running import BenchRequest, list_cells, run_bench, run_report

    if words[0] == Path("report"):
        if listed or only or workers is not None or devices is not None:
            raise ConfigError("`bench report` takes files, --out and --json")
        raise typer.Exit(run_report(words[1:], out or Path("results.md"), as_json))
    if len(words) > 1:
        raise ConfigError(
            "`bench` runs one recipe; for result files: dreamshare bench report FILES"
        )
    where = EngineConfig(kind_of(engine), address=address)
    request = BenchRequest(words[0], out, workers, tuple(only or ()), as_json, where, devices)
    raise typer.Exit(list_cells(request) if listed else run_bench(request))
