"""`dreamshare enrol token | withdraw`: invitations."""

from __future__ import annotations

from typing import Annotated

import typer

from dreamshare_cli.enrol_options import FOLDER, AsJson, Folder


def token(
    name: Annotated[str, typer.Argument(help="What people will call the party.")],
    folder: Folder = FOLDER,
    role: Annotated[str, typer.Option(help="device, operator, viewer or aggregator.")] = "device",
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the party enrols, grpcs://host:port; may be given several times. "
            "Default: where the federation's aggregator takes enrolments."
        ),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address that an aggregator serves under; several times."),
    ] = None,
    hours: Annotated[float, typer.Option(help="Life of the token, hours.")] = 24.0,
    uses: Annotated[
        int, typer.Option(help="How many parties it serves; more than one is for development.")
    ] = 1,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="A person approves, comparing fingerprints.")
    ] = False,
    qr: Annotated[bool, typer.Option("--qr/--no-qr", help="Show a QR code, too.")] = True,
    as_json: AsJson = False,
) -> None:
    """Invite a party: prints a token, a secret that is shown this once."""
    from datetime import UTC, datetime

    from dreamshare.errors import ConfigError
    from dreamshare_cli.authority_work import AuthorityWork
    from dreamshare_cli.output import Output
    from dreamshare_cli.qr import qr_code
    from dreamshare_crypto.certificates import Role
    from dreamshare_crypto.enrolment import InvitationTerms

    if role.upper() not in Role.__members__:
        known = ", ".join(one.name.lower() for one in Role)
        raise ConfigError(f"{role!r} is no role; choose one of {known}")
    work = AuthorityWork(folder)
    endpoints = endpoint or [work.folder.enrol()]
    terms = InvitationTerms(tuple(host or ()), int(hours * 3600), uses, by_hand)
    made = work.invite(Role[role.upper()], name, endpoints, terms)
    text = made.text()
    ends = datetime.fromtimestamp(made.expiry, UTC).strftime("%Y-%m-%d %H:%M")
    verb = "dreamshare agent join" if role == "device" else "dreamshare enrol request"
    serves = "one party" if uses == 1 else f"{uses} parties"
    lines = [
        f"a token for {name} ({role}); it serves {serves} until {ends} UTC and is shown this once:",
        "",
        f"  {verb} {text}",
        "",
    ]
    if qr and not as_json:
        lines.append(qr_code(text))
    Output(as_json).show(
        {
            "token": text,
            "name": name,
            "role": role,
            "expires": made.expiry,
            "uses": uses,
            "by_hand": by_hand,
            "endpoints": list(endpoints),
            "tls_root_sha256": made.tls_hash.hex(),
        },
        "\n".join(lines),
    )


def withdraw(
    name: Annotated[str, typer.Argument(help="The name that the token was made for.")],
    folder: Folder = FOLDER,
    as_json: AsJson = False,
) -> None:
    """End the unused tokens of a name; who enrolled with them stays enrolled (see revoke)."""
    from dreamshare_cli.authority_work import AuthorityWork
    from dreamshare_cli.output import Output

    ended = AuthorityWork(folder).withdraw(name)
    Output(as_json).show({"withdrawn": ended, "name": name}, f"{ended} token(s) of {name} ended")
