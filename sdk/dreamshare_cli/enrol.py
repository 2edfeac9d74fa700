"""`dreamshare enrol`: the authority of a development federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="The development authority: who may take part. Keys are made on this machine.",
)

Folder = Annotated[
    Path, typer.Option("--federation", "-f", help="The federation's folder.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line.")]
_FOLDER = Path("federation")


@app.command()
def authority(
    folder: Folder = _FOLDER,
    link: Annotated[
        str, typer.Option(help="Where the aggregator will listen.")
    ] = "grpcs://127.0.0.1:7443",
    as_json: AsJson = False,
) -> None:
    """Make a federation: an authority, an aggregator and an operator."""
    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output

    federation = FederationFolder(folder)
    federation.create(link)
    identifier = federation.load_authority().federation.hex()
    Output(as_json).show(
        {"federation": identifier, "folder": str(folder), "link": link},
        f"federation {identifier} is in {folder}\n"
        f"next: dreamshare up --federation {folder}\n"
        f"      dreamshare enrol device NAME --federation {folder}",
    )


@app.command()
def device(
    name: Annotated[str, typer.Argument(help="What people call the device.")],
    folder: Folder = _FOLDER,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; default: <federation>/devices/NAME.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Enrol a device: writes device.key and a commented agent.toml."""
    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output
    from dreamshare_crypto.certificates import Role
    from dreamshare_edge.config import agent_toml

    federation = FederationFolder(folder)
    place = out or federation.device(name)
    identity = federation.issue(Role.DEVICE, name, place / "device.key")
    settings = place / "agent.toml"
    if not settings.exists():
        settings.write_text(agent_toml(link=federation.link(), label=name), encoding="utf-8")
    Output(as_json).show(
        {"device": identity.id.hex(), "name": name, "settings": str(settings)},
        f"device {identity.id.hex()} ({name}) is enrolled\n"
        f"next: name its learner in {settings}, then\n"
        f"      dreamshare agent run --config {settings}",
    )


@app.command()
def operator(
    name: Annotated[str, typer.Argument(help="What people call the operator.")],
    out: Annotated[Path, typer.Option(help="File to write the identity to.")],
    folder: Folder = _FOLDER,
    viewer: Annotated[bool, typer.Option("--viewer", help="May look, not change.")] = False,
    as_json: AsJson = False,
) -> None:
    """Enrol an operator, who may start and cancel tasks, or a viewer, who may only look."""
    from dreamshare_crypto.certificates import Role

    _issue(Role.VIEWER if viewer else Role.OPERATOR, name, out, folder, as_json)


@app.command()
def aggregator(
    name: Annotated[str, typer.Argument(help="What people call the aggregator.")],
    out: Annotated[Path, typer.Option(help="File to write the identity to.")],
    folder: Folder = _FOLDER,
    as_json: AsJson = False,
) -> None:
    """Enrol a further aggregator. Devices that are enrolled later accept it."""
    from dreamshare_crypto.certificates import Role

    _issue(Role.AGGREGATOR, name, out, folder, as_json)


@app.command()
def revoke(
    serial: Annotated[int, typer.Argument(help="Serial of one of the party's certificates.")],
    folder: Folder = _FOLDER,
    as_json: AsJson = False,
) -> None:
    """Revoke a party; the aggregator must be given the new list by starting it again."""
    from dataclasses import replace

    from dreamshare.clock import SystemClock
    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output
    from dreamshare_crypto.identity import Identity

    federation = FederationFolder(folder)
    known = federation.load_authority()
    revocations = known.revoke(serial, SystemClock().now())
    known.save(federation.authority)
    if federation.aggregator.exists():
        identity = Identity.load(federation.aggregator)
        replace(identity, revocations=revocations).save(federation.aggregator)
    Output(as_json).show(
        {"revoked": list(revocations.serials), "number": revocations.number},
        f"revocation list {revocations.number}: {len(revocations.serials)} certificate(s); "
        "start the aggregator again so that it hands the new list out",
    )


@app.command(name="list")
def list_(folder: Folder = _FOLDER, as_json: AsJson = False) -> None:
    """Show every certificate that was given out."""
    from datetime import UTC, datetime

    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output

    known = FederationFolder(folder).load_authority()
    revoked = set(known.revocations.serials)
    for one in known.issued:
        held = one.certificate
        until = datetime.fromtimestamp(held.not_after, UTC).date().isoformat()
        state = "revoked" if held.serial in revoked else f"until {until}"
        Output(as_json).show(
            {
                "serial": held.serial,
                "role": held.role.name.lower(),
                "name": one.name,
                "id": held.id.hex(),
                "not_after": held.not_after,
                "revoked": held.serial in revoked,
            },
            f"{held.serial:>5}  {held.role.name.lower():<10}  {one.name:<20}  "
            f"{held.id.hex()}  {state}",
        )


def _issue(role: int, name: str, out: Path, folder: Path, as_json: bool) -> None:
    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output
    from dreamshare_crypto.certificates import Role

    as_role = Role(role)
    identity = FederationFolder(folder).issue(as_role, name, out)
    kind = as_role.name.lower()
    Output(as_json).show(
        {kind: identity.id.hex(), "name": name, "identity": str(out)},
        f"{kind} {identity.id.hex()} ({name}): {out}",
    )
