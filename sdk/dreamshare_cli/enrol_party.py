"""`dreamshare enrol request | accept | renew`: a party's own side, over a network or by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamshare_cli.enrol_options import AsJson

if TYPE_CHECKING:
    from dreamshare_crypto.enrolment import Pending
    from dreamshare_crypto.identity import Identity
    from dreamshare_edge.certifying import Applicant

IdentityFile = Annotated[
    Path, typer.Option("--identity", help="File of the party's identity, made or replaced.")
]
Out = Annotated[
    Path | None,
    typer.Option(help="Write the request to this file, for the authority, and end."),
]
_DEVICE = Path("device.key")


def request(
    token: Annotated[str, typer.Argument(help="A secret; '-' reads it from the input.")],
    identity: IdentityFile = _DEVICE,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Make a party's keys and ask for its certificate: an operator, an aggregator, a device.

    Over the network it waits for the answer. With --out the request travels as a file, and
    `dreamshare enrol accept` takes the answer. Run again, it goes on where it was.
    """
    import sys

    from dreamshare.driver.enrolling import knock
    from dreamshare.errors import ConfigError
    from dreamshare.transport.doors import door_to
    from dreamshare_crypto.enrolment import Token
    from dreamshare_crypto.errors import MalformedError
    from dreamshare_edge.certifying import Applicant

    if identity.exists():
        raise ConfigError(f"{identity} exists; an identity is never overwritten")
    try:
        text = sys.stdin.readline() if token == "-" else token  # noqa: S105 - no secret
        read = Token.from_text(text)
    except MalformedError as error:
        raise ConfigError(str(error)) from None
    applicant = Applicant(identity)
    pending = applicant.with_token(read)

    async def obtain() -> Identity:
        found = await knock([door_to(url) for url in read.endpoints], read.tls_hash)
        return await applicant.certified(
            pending, [found.door], found.welcome.tls_root, _teller(as_json)
        )

    if out is not None:
        _write(pending, out, as_json)
    else:
        import asyncio

        _show(pending, as_json)
        _keep(applicant, asyncio.run(obtain()), as_json)


def accept(
    answers: Annotated[Path, typer.Argument(help="A file from `dreamshare enrol approve`.")],
    identity: IdentityFile = _DEVICE,
    as_json: AsJson = False,
) -> None:
    """Take the authority's answer to a request that travelled as a file."""
    from dreamshare.errors import ConfigError, Rejected
    from dreamshare_cli.authority_work import read_parcel
    from dreamshare_crypto.enrolment import EnrolRequest
    from dreamshare_edge.certifying import Applicant

    applicant = Applicant(identity)
    pending = applicant.stored()
    if pending is None:
        raise ConfigError(f"nothing was asked for: there is no file {applicant.pending_path}")
    mine = EnrolRequest.decode(pending.message).hash()
    for decision in read_parcel(answers).decisions:
        if decision.request_hash == mine and decision.reply:
            _keep(applicant, applicant.accepted(pending, decision.reply), as_json)
            return
        if decision.request_hash == mine:
            raise Rejected(f"the authority refused the request: {decision.refusal}")
    raise ConfigError(f"{answers} has no answer to the request of {identity}")


def renew(
    identity: IdentityFile = _DEVICE,
    via: Annotated[
        list[str] | None,
        typer.Option(help="Where to ask, grpcs://host:port; may be given several times."),
    ] = None,
    if_due: Annotated[
        bool,
        typer.Option("--if-due", help="Do nothing before two thirds of the certificate's life."),
    ] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Have a certificate renewed; keys and id stay. A running agent does this by itself."""
    from dreamshare.clock import SystemClock
    from dreamshare.errors import ConfigError
    from dreamshare.transport.doors import door_to
    from dreamshare_cli.output import Output
    from dreamshare_edge.certifying import Applicant
    from dreamshare_edge.keystore import load_identity
    from dreamshare_edge.renewing import due_at

    held = load_identity(identity)
    if if_due and SystemClock().now() < due_at(held):
        Output(as_json).show(
            {"event": "not_due", "due": due_at(held)},
            f"{identity} is not due before {_day(due_at(held))}",
        )
        return
    applicant = Applicant(identity)
    doors = [door_to(url) for url in via or ()]
    if not doors and out is None:
        raise ConfigError("name where to ask with --via, or a file with --out")
    pending = applicant.renewal(held)
    if out is not None:
        _write(pending, out, as_json)
    else:
        import asyncio

        work = applicant.certified(pending, doors, held.tls.roots_pem, _teller(as_json))
        _keep(applicant, asyncio.run(work), as_json)


def _teller(as_json: bool) -> Callable[[str], None]:
    from dreamshare_cli.output import Output

    return lambda words: Output(as_json).show({"event": "waiting", "reason": words}, words)


def _show(pending: Pending, as_json: bool) -> None:
    from dreamshare_cli.output import Output
    from dreamshare_edge.certifying import fingerprint_of

    fingerprint = fingerprint_of(pending)
    Output(as_json).show(
        {"event": "enrolling", "fingerprint": fingerprint},
        f"the fingerprint of this request is {fingerprint}",
    )


def _keep(applicant: Applicant, identity: Identity, as_json: bool) -> None:
    from dreamshare_cli.output import Output

    applicant.save(identity)
    role, until = identity.certificate.role.name.lower(), identity.certificate.not_after
    ends = _day(until)
    Output(as_json).show(
        {"event": "enrolled", role: identity.id.hex(), "not_after": until},
        f"{role} {identity.id.hex()} is certified until {ends}: {applicant.path}",
    )


def _day(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _write(pending: Pending, out: Path, as_json: bool) -> None:
    from dreamshare.wire.enrol import Parcel
    from dreamshare_cli.authority_work import write_parcel
    from dreamshare_cli.output import Output
    from dreamshare_crypto.enrolment import EnrolRequest
    from dreamshare_edge.certifying import fingerprint_of

    federation = EnrolRequest.decode(pending.message).federation
    write_parcel(out, Parcel(federation, (pending.message,)))
    fingerprint = fingerprint_of(pending)
    Output(as_json).show(
        {"event": "written", "fingerprint": fingerprint, "file": str(out)},
        f"the request is in {out}; its fingerprint is {fingerprint}\n"
        f"next, where the authority is: dreamshare enrol approve --requests {out} --answers FILE",
    )
