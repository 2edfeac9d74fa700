"""`dreamshare store`: look at, migrate, back up and restore an aggregator's database.

Exit codes: 0 done and well, 1 something is damaged, 2 an option or file is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The aggregator's database: check, back up, restore.")

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="The aggregator's settings file (TOML).")
]
Federation = Annotated[
    Path, typer.Option("--federation", "-f", help="A development federation's folder.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--store", envvar="DREAMSHARE_STORE", help="The database, instead of the settings'."
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--artefacts", help="Folder of large values, where it is not beside.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line.")]
_FOLDER = Path("federation")


@app.command()
def check(
    config: Config = None,
    federation: Federation = _FOLDER,
    store: Url = None,
    artefacts: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Check version, integrity and every artefact; may run beside the aggregator."""
    from dreamshare_cli.storing import check_it, place_of

    raise typer.Exit(check_it(place_of(config, federation, store, artefacts), as_json))


@app.command()
def migrate(
    config: Config = None,
    federation: Federation = _FOLDER,
    store: Url = None,
    artefacts: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Bring the tables to this program's version (`dreamshare up` does so, too)."""
    from dreamshare_cli.storing import migrate_it, place_of

    raise typer.Exit(migrate_it(place_of(config, federation, store, artefacts), as_json))


@app.command()
def backup(
    into: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    config: Config = None,
    federation: Federation = _FOLDER,
    store: Url = None,
    artefacts: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Copy an SQLite store and its artefacts, whole as of one moment, also while it is in use."""
    from dreamshare_cli.storing import back_it_up, place_of

    raise typer.Exit(back_it_up(place_of(config, federation, store, artefacts), into, as_json))


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The folder that `store backup` made.")],
    config: Config = None,
    federation: Federation = _FOLDER,
    store: Url = None,
    artefacts: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup where there is no store; rounds that were open then are asked again."""
    from dreamshare_cli.storing import place_of, restore_it

    raise typer.Exit(restore_it(place_of(config, federation, store, artefacts), backup, as_json))
