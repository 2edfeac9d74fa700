"""`dreamshare up`: run the aggregator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The aggregator's settings file (TOML).")
    ] = None,
    federation: Annotated[
        Path, typer.Option("--federation", "-f", help="A development federation; made if absent.")
    ] = Path("federation"),
    listen: Annotated[
        str | None, typer.Option(help="grpcs://host:port to listen on; port 0 takes a free one.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Database, e.g. sqlite:///rounds.db.")] = None,
    capture: Annotated[
        Path | None,
        typer.Option(help="For debugging: write everything that is received to this new file."),
    ] = None,
    uvloop: Annotated[
        bool | None,
        typer.Option(
            "--uvloop/--no-uvloop", help="Run on uvloop where it is installed.", show_default="on"
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(help="http://host:port of the live page; port 0 takes a free one, '' none."),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(help="Place so many shards, on this machine unless the settings say where."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events as JSON objects, one a line.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Look at everything that a start needs, start nothing, and end."
        ),
    ] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the default settings file and end.")
    ] = False,
) -> None:
    """Run the aggregator until stopped (Ctrl-C or SIGTERM: everything is flushed, exit code 0).

    With nothing else given it makes a development federation in ./federation (an authority, an
    aggregator, an operator), says how devices join, and shows what it does on a live page of this
    machine. `--check` exits with 2 where a start would fail, and says why; it may run beside the
    aggregator.
    """
    from dreamshare_cli.settling import UpOptions
    from dreamshare_cli.upping import check_it, print_default, run_up

    if print_config:
        print_default()
        return
    options = UpOptions(config, federation, listen, store, capture, uvloop, web, shards, as_json)
    raise typer.Exit(check_it(options) if check else run_up(options))
