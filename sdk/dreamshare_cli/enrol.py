"""`dreamshare enrol`: the authority, its certificates, and how parties come by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamshare_cli import enrol_party, enrol_requests, enrol_tokens
from dreamshare_cli.enrol_options import FOLDER, AsJson, Folder

if TYPE_CHECKING:
    from dreamshare_cli.authority_work import AuthorityWork

app = typer.Typer(
    no_args_is_help=True,
    help="The authority: who may take part. Tokens for parties that make their own keys; device, "
    "operator and aggregator make them here, for development.",
)

app.command()(enrol_tokens.token)
app.command()(enrol_tokens.withdraw)
app.command()(enrol_requests.pending)
app.command()(enrol_requests.approve)
app.command()(enrol_requests.refuse)
app.command()(enrol_requests.export)
app.command(name="import")(enrol_requests.import_)
app.command()(enrol_party.request)
app.command()(enrol_party.accept)
app.command()(enrol_party.renew)


@app.command()
def authority(
    folder: Folder = FOLDER,
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
    folder: Folder = FOLDER,
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
    folder: Folder = FOLDER,
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
    folder: Folder = FOLDER,
    as_json: AsJson = False,
) -> None:
    """Enrol a further aggregator, of the same federation."""
    from dreamshare_crypto.certificates import Role

    _issue(Role.AGGREGATOR, name, out, folder, as_json)


@app.command()
def revoke(
    who: Annotated[str, typer.Argument(help="Serial, name or id of the party.")],
    folder: Folder = FOLDER,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write too, for `dreamshare enrol import` elsewhere."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a party, all its certificates; a running aggregator sends it away at once."""
    from dreamshare_cli.authority_work import AuthorityWork

    _publish(AuthorityWork(folder), who, out, as_json)


@app.command()
def revocations(
    folder: Folder = FOLDER,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write too, for `dreamshare enrol import` elsewhere."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign the next revocation list with nobody new on it: due every 90 days."""
    from dreamshare_cli.authority_work import AuthorityWork

    _publish(AuthorityWork(folder), None, out, as_json)


@app.command(name="list")
def list_(
    folder: Folder = FOLDER,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show tokens, not certificates.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every certificate that was given out, or what is remembered of every token."""
    from datetime import UTC, datetime

    from dreamshare_cli.federation import FederationFolder
    from dreamshare_cli.output import Output

    known = FederationFolder(folder).load_authority()
    revoked = set(known.revocations.serials)
    for token in known.invitations if tokens else ():
        ends = datetime.fromtimestamp(token.expiry, UTC).strftime("%Y-%m-%d %H:%M")
        role, used = token.role.name.lower(), len(token.used_by)
        Output(as_json).show(
            {
                "name": token.name,
                "role": role,
                "expires": token.expiry,
                "uses": token.uses,
                "used": used,
                "by_hand": token.by_hand,
            },
            f"{role:<10}  {token.name:<20}  used {used} of {token.uses}, until {ends} UTC",
        )
    for one in known.issued if not tokens else ():
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


def _publish(work: AuthorityWork, who: str | None, out: Path | None, as_json: bool) -> None:
    from dreamshare_cli.authority_work import write_parcel
    from dreamshare_cli.output import Output

    newest = work.refresh() if who is None else work.revoke(who)
    if out is not None:
        write_parcel(out, work.parcel(()))
    Output(as_json).show(
        {"revoked": list(newest.serials), "number": newest.number},
        f"revocation list {newest.number}: {len(newest.serials)} certificate(s); an aggregator on "
        f"{work.folder.folder} picks it up while it runs"
        + ("" if out is None else f", others import {out}"),
    )
