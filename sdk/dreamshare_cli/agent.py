"""`dreamshare agent`: run a device's agent, or print its commented settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="A device's agent.")


@app.command()
def config() -> None:
    """Print the default settings file, every field explained."""
    from dreamshare.settings import default_text
    from dreamshare_edge.config import AgentConfig

    print(default_text(AgentConfig), end="")


@app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The device's settings file (TOML).")
    ] = Path("agent.toml"),
    link: Annotated[
        str | None, typer.Option(help="Overrides the link of the settings file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print outcomes as JSON objects, one a line.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End when the first task is over.")] = False,
) -> None:
    """Take part in rounds until stopped (Ctrl-C or SIGTERM: everything is flushed, exit code 0)."""
    from dreamshare_cli.output import say
    from dreamshare_edge.service import RunOptions, run_agent

    raise typer.Exit(run_agent(config, RunOptions(link, as_json, once), say))
