"""`dreamshare demo`: options in, exit code out.

Rules:
- options are checked before anything that takes time is imported;
- with `--json` standard output holds one JSON object and nothing else; people read standard error;
- SIGINT and SIGTERM stop every process, say how far the run came, and end with 130.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dreamshare.errors import ConfigError
from dreamshare_cli.demo.chosen import AlgorithmChoice
from dreamshare_cli.demo.runtimes import RuntimeChoice, choose, importable

NEEDED = ("sklearn", "matplotlib", "grpc", "sqlalchemy", "aiosqlite")


def demo(
    devices: Annotated[
        int, typer.Option(help="Devices to start, 3 to 16; each is a process with its own net.")
    ] = 4,
    drop: Annotated[
        bool, typer.Option("--drop", help="Kill one device in mid-run; needs four devices.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on standard output.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the split, the nets and what is drawn.")] = 0,
    cycles: Annotated[
        int,
        typer.Option(help="CoDream cycles: dream, label, learn; 1 to 50. Elsewhere as many steps."),
    ] = 5,
    algorithm: Annotated[
        AlgorithmChoice, typer.Option(help="What to run, one after another on the same devices.")
    ] = AlgorithmChoice.ALL,
    out: Annotated[
        Path | None, typer.Option(help="New folder for everything; default ./demo-<time>.")
    ] = None,
    runtime: Annotated[
        RuntimeChoice | None,
        typer.Option(
            help="What devices compute with; torch where it is installed, else onnx. Mixed: every "
            "other device the other one."
        ),
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(help="For debugging: everything that the aggregator receives, as a new file."),
    ] = None,
) -> None:
    """Watch devices get better by sharing moments, and dreams, under secure aggregation.

    Starts one aggregator and some agents as processes on this machine, each agent with an
    architecture and handwritten digits of its own, and writes a report at the end.
    """
    from datetime import datetime

    from dreamshare_cli.demo.options import DemoOptions

    began = datetime.now().astimezone()
    folder = out or Path(began.strftime("demo-%Y%m%d-%H%M%S"))
    options = DemoOptions(folder, devices, drop, seed, cycles, capture, choose(runtime), algorithm)
    missing = [name for name in NEEDED if not importable(name)]
    if missing:
        raise ConfigError(
            f"the demo needs {', '.join(missing)}; install it with: pip install 'dreamshare[demo]'"
        )

    from dreamshare_cli.demo.running import run_demo

    raise typer.Exit(run_demo(options, as_json=as_json, began=began.timestamp()))
