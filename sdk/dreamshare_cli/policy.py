"""`dreamshare policy`: sign the policy of a fleet, and look at one.

Exit codes: 0 done, 2 a file or option is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="A fleet's policy, which tightens its devices' own.")

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command()
def key(
    out: Annotated[Path, typer.Argument(help="The new key's file, mode 0600.")],
    as_json: AsJson = False,
) -> None:
    """Make a policy key, for fleets whose policies are not the authority's to sign."""
    from dreamshare_cli.policies import make_key, tell

    tell({"policy_key": make_key(out)}, as_json)


@app.command()
def sign(
    text: Annotated[Path, typer.Argument(help="Clauses as in the table [policy], TOML.")],
    version: Annotated[int, typer.Option(help="1 or more; higher than the last one.", min=1)],
    out: Annotated[Path, typer.Option(help="The signed file, for the devices.")],
    federation: Annotated[
        Path, typer.Option("--federation", "-f", help="The folder with authority.key.")
    ] = Path("federation"),
    with_key: Annotated[
        Path | None, typer.Option("--key", help="Sign with this policy key instead.")
    ] = None,
    federation_id: Annotated[
        str, typer.Option(help="With --key, where no folder is: the federation's 32 hex digits.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Sign a policy; devices whose settings name the file take it at their next start."""
    from dreamshare_cli.policies import sign_it, tell

    tell(sign_it(text, version, out, federation, with_key, federation_id), as_json)


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A signed policy.")], as_json: AsJson = False
) -> None:
    """Show what a signed policy says; only a device checks the signature."""
    from dreamshare_cli.policies import shown, tell

    tell(shown(file), as_json)
