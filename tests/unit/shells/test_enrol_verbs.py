"""The verbs of `dreamshare enrol`, in process: tokens, hands, files between machines."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dreamshare_aggregator.enrolment.queue import RequestQueue
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import RevocationList
from dreamshare_crypto.enrolment import EnrolRequest, Token
from dreamshare_crypto.identity import Identity
from dreamshare_edge.certifying import Applicant, fingerprint_of


class Place:
    """A laptop with an authority, an aggregator's machine and a device's, in three folders."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.laptop, self.hub, self.phone = path / "laptop", path / "hub", path / "phone"
        self.phone.mkdir()
        self._capsys = capsys
        self.run("authority")

    def run(self, verb: str, *arguments: str, code: Exit = Exit.OK) -> list[dict[str, object]]:
        """Run a verb with --json; return the objects that it printed."""
        own = () if verb in ("request", "accept", "renew") else ("-f", str(self.laptop))
        assert execute(["enrol", verb, *arguments, *own, "--json"]) == code
        printed = self._capsys.readouterr()
        self.error = printed.err
        return [json.loads(line) for line in printed.out.splitlines()]

    def token(self, *arguments: str) -> str:
        return str(self.run("token", "phone", *arguments)[0]["token"])

    def ask(self, token: str) -> tuple[str, EnrolRequest]:
        """Make the phone's request; return its fingerprint."""
        pending = Applicant(self.phone / "device.key").with_token(Token.from_text(token))
        return fingerprint_of(pending), EnrolRequest.decode(pending.message)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def test_a_token_is_shown_once_with_its_code(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["enrol", "token", "phone", "-f", str(place.laptop)]) == Exit.OK
    printed = capsys.readouterr().out
    assert "dreamshare agent join dreamshare-token-1:" in printed
    assert printed.count("█") > 100
    word = next(w for w in printed.split() if w.startswith("dreamshare-token-1:"))
    token = Token.from_text(word)
    authority = FederationFolder(place.laptop).load_authority()
    assert (token.federation, token.tls_hash) == (authority.federation, authority.tls_hash)
    assert token.endpoints == ("grpcs://127.0.0.1:7444",)
    kept = (place.laptop / "authority.key").read_text()
    assert token.secret.reveal().hex() not in kept


def test_requests_and_answers_travel_as_files(place: Place, tmp_path: Path) -> None:
    """The authority is never online: a device, a relay and a laptop exchange three files."""
    asked, answered = tmp_path / "asked", tmp_path / "answered"
    key = str(place.phone / "device.key")
    (written,) = place.run("request", place.token(), "--identity", key, "--out", str(asked))
    approved = place.run("approve", "--requests", str(asked), "--answers", str(answered))
    assert approved == [{"certified": 1, "refused": 0}]
    (enrolled,) = place.run("accept", str(answered), "--identity", key)
    identity = Identity.load(key)
    assert (enrolled["event"], enrolled["device"]) == ("enrolled", identity.id.hex())
    assert written["fingerprint"] == identity.certificate.fingerprint()
    for private in (place.phone / "device.key", asked, answered):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    (not_due,) = place.run("renew", "--if-due", "--identity", key, "--out", str(asked))
    assert not_due["event"] == "not_due"
    place.run("renew", "--identity", key, "--out", str(asked))
    place.run("approve", "--requests", str(asked), "--answers", str(answered), "--days", "30")
    place.run("accept", str(answered), "--identity", key)
    renewed = Identity.load(key)
    assert (renewed.id, renewed.certificate.serial) == (
        identity.id,
        identity.certificate.serial + 1,
    )
    assert renewed.certificate.not_after < identity.certificate.not_after


def test_a_person_approves_by_fingerprint(place: Place) -> None:
    fingerprint, request = place.ask(place.token("--by-hand"))
    queue = RequestQueue(place.laptop / "enrolment")
    assert queue.put(request, "somewhere", 0.0) is None
    (waiting,) = place.run("pending")
    assert (waiting["fingerprint"], waiting["by_hand"]) == (fingerprint, True)
    assert place.run("approve") == [{"certified": 0, "refused": 0}]
    assert queue.put(request, "somewhere", 0.0) is None
    place.run("approve", "0" * 32, code=Exit.USAGE)
    assert "no request has the fingerprint" in place.error
    assert place.run("approve", fingerprint[:9])[0]["certified"] == 1
    decision = queue.put(request, "somewhere", 0.0)
    assert decision is not None
    assert decision.reply
    assert place.run("pending") == []


def test_a_person_refuses(place: Place) -> None:
    fingerprint, request = place.ask(place.token("--by-hand"))
    queue = RequestQueue(place.laptop / "enrolment")
    queue.put(request, "somewhere", 0.0)
    place.run("refuse", fingerprint)
    decision = queue.put(request, "somewhere", 0.0)
    assert decision is not None
    assert "refused" in decision.refusal


def test_answers_cross_to_an_aggregator_elsewhere(place: Place, tmp_path: Path) -> None:
    _, request = place.ask(place.token())
    queue = RequestQueue(place.hub)
    queue.put(request, "somewhere", 0.0)
    there, back = str(tmp_path / "there"), str(tmp_path / "back")
    place.run("export", "--out", there, "--enrolment", str(place.hub))
    place.run("approve", "--requests", there, "--answers", back)
    (taken,) = place.run("import", back, "--enrolment", str(place.hub))
    assert taken == {"decisions": 1, "revocations": 1}
    decision = queue.put(request, "somewhere", 0.0)
    assert decision is not None
    identity = Applicant(place.phone / "device.key").stored()
    assert identity is not None
    Applicant(place.phone / "device.key").accepted(identity, decision.reply)
    place.run("export", "--out", there, "--enrolment", str(place.hub), code=Exit.USAGE)


def test_revocation_lists_only_grow(place: Place, tmp_path: Path) -> None:
    older, newer = str(tmp_path / "older"), str(tmp_path / "newer")
    place.run("revocations", "--out", older)
    (revoked,) = place.run("revoke", "operator", "--out", newer)
    assert revoked["number"] == 3
    for file in (newer, older):
        assert place.run("import", file, "--enrolment", str(place.hub))[0]["revocations"] == 3
    kept = RevocationList.decode((place.hub / "revocations").read_bytes())
    assert (kept.number, list(kept.serials)) == (3, revoked["revoked"])


def test_withdrawn_tokens_serve_nobody(place: Place) -> None:
    _, request = place.ask(place.token())
    place.run("withdraw", "phone")
    RequestQueue(place.laptop / "enrolment").put(request, "somewhere", 0.0)
    assert place.run("approve", "--all") == [{"certified": 0, "refused": 1}]
    place.run("withdraw", "nobody", code=Exit.USAGE)
    (listed,) = place.run("list", "--tokens")
    assert (listed["name"], listed["used"], listed["expires"]) == ("phone", 0, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["token", "x", "--role", "king"], "is no role"),
        (["token", "x", "--uses", "0"], "1 to 10000 parties"),
        (["token", "x", "--hours", "0"], "1 second or more"),
        (["approve", "--days", "400"], "30 to 90 days"),
        (["approve", "--requests", "nowhere"], "cannot read nowhere"),
        (["revoke", "nobody"], "no certificate has the serial or name 'nobody'"),
    ],
)
def test_mistakes_are_one_line(place: Place, arguments: list[str], message: str) -> None:
    place.run(*arguments, code=Exit.USAGE)
    assert message in place.error
    assert place.error.count("\n") == 1
