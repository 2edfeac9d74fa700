"""`dreamshare history`: the rounds of a task, as the aggregator has them.

Exit codes: 0 shown, 2 an option is wrong or there is no such task, 3 nobody answers, 4 refused.
"""

from __future__ import annotations

from typing import Annotated

import typer

from dreamshare_cli.run import FOLDER as _FOLDER
from dreamshare_cli.run import PATIENCE as _PATIENCE
from dreamshare_cli.run import AsJson, Federation, Link, Patience, Task, Who


def history(
    task: Task,
    after: Annotated[
        int, typer.Option(help="Begin after the round of this number.", min=0, max=2**62)
    ] = 0,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Read this database itself instead of asking the aggregator."),
    ] = None,
    federation: Federation = _FOLDER,
    link: Link = None,
    identity: Who = None,
    patience: Patience = _PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Show a task's rounds that are over, also long past: sizes, bytes, why one was abandoned."""
    from dreamshare_cli.operating import Where
    from dreamshare_cli.recounting import ask_history, read_history

    if store is not None:
        read_history(store, task, after, as_json)
    else:
        ask_history(Where(federation, link, identity, patience), task, after, as_json)
