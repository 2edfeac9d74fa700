"""`dreamshare agent`: enrol, run or examine a device's agent; print its commented settings."""

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
def join(
    token: Annotated[
        str,
        typer.Argument(help="What the operator gave you, a secret; '-' reads it from the input."),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="The device's folder; default: the first free of ./device, ..."),
    ] = None,
    learner: Annotated[
        str | None,
        typer.Option(
            help="What computes: a bundle, NAME.dream; or package.module:function or "
            "file.py:function, which returns a dreamshare_edge.Equipment. Without it: a sample on "
            "made-up examples."
        ),
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(help="What the device is willing to compute; may be given several times."),
    ] = None,
    label: Annotated[str, typer.Option(help="What the operator sees beside the device.")] = "",
    enrol_only: Annotated[
        bool, typer.Option("--enrol-only", help="End when the device is enrolled.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End when the first task is over.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what happens as JSON objects, one a line.")
    ] = False,
) -> None:
    """Enrol this device with a token and take part in rounds until stopped.

    Cut off at any point, the same line goes on where it was. Once enrolled, `dreamshare agent run`
    does the second half.
    """
    import sys

    from dreamshare_cli.output import say
    from dreamshare_edge.joining import JoinOptions, joined
    from dreamshare_edge.service import RunOptions, run_agent

    text = sys.stdin.readline() if token == "-" else token  # noqa: S105 - a dash is no secret
    options = JoinOptions(
        folder, learner, algorithms=tuple(algorithm or ()), label=label, as_json=as_json
    )
    with joined(text, options, say) as settings:
        code = 0
        if not enrol_only:
            code = run_agent(settings, RunOptions(None, as_json, once), say)
    raise typer.Exit(code)


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


@app.command()
def doctor(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The device's settings file (TOML).")
    ] = Path("agent.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with this device and what to do; changes nothing.

    Exit codes: 0 all is well, 1 somebody should look at something, 2 the agent cannot take part.
    """
    from dreamshare_cli.output import say
    from dreamshare_edge.doctor import examine

    found = examine(config)
    found.show(say, as_json)
    raise typer.Exit(int(found.severity))


@app.command()
def keys(
    to: Annotated[
        str, typer.Option("--to", help="'keyring': sealed by the system's keystore; 'file': not.")
    ],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The device's settings file (TOML).")
    ] = Path("agent.toml"),
) -> None:
    """Move the device's keys between a file of mode 0600 and the system's keystore.

    What the store keeps in confidence (keys of open sessions, weights) is sealed and opened with
    them. The agent must not run meanwhile; cut off, the same line goes on.
    """
    from dreamshare.errors import ConfigError
    from dreamshare_crypto.entropy import SystemEntropy
    from dreamshare_edge.config import load_config
    from dreamshare_edge.moving import move_to_file, move_to_keystore

    settings = load_config(config)
    if to == "keyring":
        changed = move_to_keystore(settings.identity, settings.store, SystemEntropy())
    elif to == "file":
        changed = move_to_file(settings.identity, settings.store)
    else:
        raise ConfigError(f"--to is {to!r}; use 'keyring' or 'file'")
    state = "sealed by the system's keystore" if to == "keyring" else "in files of mode 0600"
    print(f"{settings.identity} and the store are {state}" + ("" if changed else ", as they were"))
