"""`dreamshare enrol pending | approve | refuse | export | import`: requests and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamshare_cli.enrol_options import FOLDER, Answers, AsJson, Folder, Requests

if TYPE_CHECKING:
    from dreamshare.wire.enrol import Decision
    from dreamshare_cli.authority_work import AuthorityWork
    from dreamshare_crypto.enrolment_messages import EnrolRequest

Fingerprints = Annotated[
    list[str] | None,
    typer.Argument(help="Fingerprints that the devices show: all of it, or 8 digits or more."),
]
Enrolment = Annotated[
    Path | None,
    typer.Option(
        "--enrolment", help="The aggregator's folder of requests; default: <federation>/enrolment."
    ),
]


def pending(folder: Folder = FOLDER, requests: Requests = None, as_json: AsJson = False) -> None:
    """Show the requests that wait: fingerprint, name and role that the token gives, state."""
    from dreamshare_cli.authority_work import AuthorityWork
    from dreamshare_cli.output import Output

    work = AuthorityWork(folder)
    for one in work.inquiries(_requests(work, requests)):
        name = "-" if one.found is None else one.found.name
        role = "-" if one.found is None else one.found.role.name.lower()
        by_hand = one.found is not None and one.found.by_hand
        state = one.problem or ("waits for a person" if by_hand else "needs no person")
        Output(as_json).show(
            {
                "fingerprint": one.fingerprint,
                "name": name,
                "role": role,
                "by_hand": by_hand,
                "problem": one.problem,
            },
            f"{one.fingerprint}  {role:<10}  {name:<20}  {state}",
        )


def approve(
    fingerprints: Fingerprints = None,
    folder: Folder = FOLDER,
    everything: Annotated[
        bool, typer.Option("--all", help="Approve whatever holds, without comparing.")
    ] = False,
    days: Annotated[int, typer.Option(help="Life of the certificates, 30 to 90 days.")] = 90,
    requests: Requests = None,
    answers: Answers = None,
    as_json: AsJson = False,
) -> None:
    """Certify requests: those named, and those whose token asks for no person.

    What does not hold is refused; what waits for a person and is not named goes on waiting.
    """
    from dreamshare.errors import ConfigError
    from dreamshare_cli.authority_work import AuthorityWork, Inquiry

    work = AuthorityWork(folder)
    named = tuple(fingerprints or ())
    used: set[str] = set()

    def chosen(inquiry: Inquiry) -> bool:
        hits = {words for words in named if inquiry.is_named_by(words)}
        used.update(hits)
        return everything or bool(hits)

    asked = _requests(work, requests)
    for inquiry in work.inquiries(asked):
        chosen(inquiry)
    unknown = [words for words in named if words not in used]
    if unknown:
        raise ConfigError(f"no request has the fingerprint {unknown[0]!r}; see enrol pending")
    _answer(work, work.approve(asked, chosen, days), answers, as_json)


def refuse(
    fingerprints: Annotated[list[str], typer.Argument(help="As the devices show them.")],
    folder: Folder = FOLDER,
    requests: Requests = None,
    answers: Answers = None,
    as_json: AsJson = False,
) -> None:
    """Refuse requests for good; their tokens stay unused (see withdraw)."""
    from dreamshare.errors import ConfigError
    from dreamshare_cli.authority_work import AuthorityWork, refusals

    work = AuthorityWork(folder)
    found = [
        one.request
        for one in work.inquiries(_requests(work, requests))
        if any(one.is_named_by(words) for words in fingerprints)
    ]
    if not found:
        raise ConfigError("no request has such a fingerprint; see enrol pending")
    _answer(work, refusals(found, "the operator refused this request"), answers, as_json)


def export(
    out: Annotated[Path, typer.Option(help="File to write.")],
    folder: Folder = FOLDER,
    enrolment: Enrolment = None,
    as_json: AsJson = False,
) -> None:
    """Write the requests that wait at an aggregator to a file, for an authority elsewhere."""
    from dreamshare.errors import ConfigError
    from dreamshare.wire.enrol import Parcel
    from dreamshare_aggregator.enrolment.queue import RequestQueue
    from dreamshare_cli.authority_work import write_parcel
    from dreamshare_cli.output import Output

    waiting = tuple(RequestQueue(enrolment or folder / "enrolment").waiting())
    if not waiting:
        raise ConfigError("no request waits here")
    parcel = Parcel(waiting[0].federation, tuple(one.encode() for one in waiting))
    write_parcel(out, parcel)
    Output(as_json).show(
        {"requests": len(waiting), "file": str(out)},
        f"{len(waiting)} request(s) in {out}\n"
        f"next, where the authority is: dreamshare enrol approve --requests {out} --answers FILE",
    )


def import_(
    file: Annotated[Path, typer.Argument(help="What `dreamshare enrol approve` wrote.")],
    folder: Folder = FOLDER,
    enrolment: Enrolment = None,
    as_json: AsJson = False,
) -> None:
    """Take the authority's answers and revocation list; a running aggregator hands them on."""
    from dreamshare_aggregator.enrolment.queue import RequestQueue
    from dreamshare_cli.authority_work import read_parcel
    from dreamshare_cli.output import Output

    parcel = read_parcel(file)
    queue = RequestQueue(enrolment or folder / "enrolment")
    for decision in parcel.decisions:
        queue.decide(parcel.federation, decision)
    number = queue.take_revocations(parcel.revocations)
    Output(as_json).show(
        {"decisions": len(parcel.decisions), "revocations": number},
        f"{len(parcel.decisions)} answer(s) taken; revocation list {number}",
    )


def _requests(work: AuthorityWork, file: Path | None) -> tuple[EnrolRequest, ...]:
    from dreamshare_aggregator.enrolment.queue import RequestQueue
    from dreamshare_cli.authority_work import read_parcel, requests_of

    if file is not None:
        return requests_of(read_parcel(file))
    return tuple(RequestQueue(work.folder.enrolment).waiting())


def _answer(
    work: AuthorityWork, decisions: Sequence[Decision], answers: Path | None, as_json: bool
) -> None:
    """Put decisions where the aggregator, or whoever carries the file, finds them."""
    from dreamshare_aggregator.enrolment.queue import RequestQueue
    from dreamshare_cli.authority_work import write_parcel
    from dreamshare_cli.output import Output

    if answers is not None:
        write_parcel(answers, work.parcel(decisions))
    else:
        queue, federation = RequestQueue(work.folder.enrolment), work.parcel(()).federation
        for decision in decisions:
            queue.decide(federation, decision)
    certified = sum(1 for one in decisions if one.reply)
    where = "" if answers is None else f"; {answers} goes to `dreamshare enrol import`"
    Output(as_json).show(
        {"certified": certified, "refused": len(decisions) - certified},
        f"{certified} certified, {len(decisions) - certified} refused{where}",
    )
