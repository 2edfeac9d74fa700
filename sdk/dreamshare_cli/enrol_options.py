"""Options that several verbs of `dreamshare enrol` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Option("--federation", "-f", help="The federation's folder.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line.")]
Requests = Annotated[
    Path | None,
    typer.Option(help="A file from `dreamshare enrol export` instead of the federation's queue."),
]
Answers = Annotated[
    Path | None,
    typer.Option(help="With --requests: the file to write, for `dreamshare enrol import`."),
]
FOLDER = Path("federation")
