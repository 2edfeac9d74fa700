"""The `dreamshare` command: its verbs put together, and its errors turned into exit codes.

Rules:
- one file per verb; a verb's libraries are imported when it runs, so that `--help` is quick;
- errors that were raised on purpose end as one line and an exit code (`exits`), never a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dreamshare.errors import DreamshareError
from dreamshare_cli import agent, broker, enrol, history, plan, policy, run, shard, store, up
from dreamshare_cli.bench.command import bench
from dreamshare_cli.demo.command import demo
from dreamshare_cli.exits import Exit, UsageMistake, exit_of
from dreamshare_cli.export import export
from dreamshare_cli.output import complain
from dreamshare_crypto.errors import CryptoError


def build() -> typer.Typer:
    """Return the command with all its verbs."""
    app = typer.Typer(
        rich_markup_mode="markdown",
        name="dreamshare",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Federated learning that shares dreams under secure aggregation.",
        epilog="Exit codes: 0 done, 1 failed, 2 an option, file or identity is wrong, "
        "3 nobody answers, 4 refused, 130 interrupted.",
    )
    app.callback()(_top)
    app.command(name="demo")(demo)
    app.command(name="up")(up.up)
    app.command(name="shard")(shard.shard)
    app.add_typer(agent.app, name="agent")
    app.add_typer(run.app, name="run")
    app.add_typer(enrol.app, name="enrol")
    app.add_typer(broker.app, name="broker")
    app.add_typer(store.app, name="store")
    app.add_typer(policy.app, name="policy")
    app.command(name="history")(history.history)
    app.command(name="plan")(plan.plan)
    app.command(name="export")(export)
    app.command(name="bench")(bench)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from dreamshare import __version__

        print(f"dreamshare {__version__}")
        raise typer.Exit


def _top(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", is_eager=True, callback=_show_version
        ),
    ] = False,
) -> None:
    pass


def execute(arguments: Sequence[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    try:
        code = build()(list(arguments), standalone_mode=False)
    except (DreamshareError, CryptoError) as error:
        complain(str(error))
        return exit_of(error)
    except OSError as error:  # a disk that is full, a store that cannot be written
        complain(str(error))
        return Exit.FAILED
    except typer.Abort:
        return Exit.INTERRUPTED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        if not isinstance(error, UsageMistake):
            raise
        complain(f"{error.format_message()} See `dreamshare --help`.")
        return Exit.USAGE
    return code if isinstance(code, int) else Exit.OK
