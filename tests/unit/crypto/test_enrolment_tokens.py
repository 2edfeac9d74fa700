"""Tokens at the authority: kept as hashes, used by one or several, approved by hand, ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import (
    InvitationTerms,
    Token,
    accept,
    approve,
    examine,
    renew,
    request,
)
from dreamshare_crypto.enrolment_token import token_key_of
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.tls import certificate_hash

NOW = 1_800_000_000.0
DAY_S = 86_400


class Office:
    """An authority with an aggregator."""

    def __init__(self) -> None:
        self.entropy = SeededEntropy(b"tokens")
        self.authority = Authority.create(b"F" * 16, self.entropy, NOW)
        self.authority.issue(Role.AGGREGATOR, "hub", self.entropy, NOW)

    def invite(self, name: str = "kitchen", terms: InvitationTerms | None = None) -> Token:
        ends = ["grpcs://a.example:7444"]
        return self.authority.invite(Role.DEVICE, name, ends, self.entropy, NOW, terms)

    def ask(self, token: Token) -> bytes:
        return request(token, self.entropy).message

    def approve(self, message: bytes, now: float = NOW) -> bytes:
        return approve(self.authority, message, now, self.entropy)


@pytest.fixture
def office() -> Office:
    return Office()


def test_the_authority_keeps_no_token(office: Office, tmp_path: Path) -> None:
    token = office.invite()
    office.authority.save(tmp_path / "authority")
    kept = (tmp_path / "authority").read_text()
    assert token.secret.reveal().hex() not in kept
    assert token_key_of(token.secret).reveal().hex() in kept
    secrets = (token.secret.reveal(), token.token_key.reveal())
    for shown in (repr(token), repr(office.authority.invitations)):
        assert not any(secret.hex() in shown or repr(secret) in shown for secret in secrets)


def test_a_token_pins_the_root_of_the_connection(office: Office) -> None:
    assert office.invite().tls_hash == certificate_hash(office.authority.tls_roots)


def test_one_token_for_several_parties(office: Office) -> None:
    token = office.invite("phone", InvitationTerms(uses=3))
    for number in (1, 2, 3):
        pending = request(token, office.entropy)
        accept(pending, office.approve(pending.message), NOW)
        assert office.authority.issued[-1].name == f"phone-{number}"
    with pytest.raises(AuthenticationError, match="used already"):
        office.approve(office.ask(token))
    later = office.invite("phone", InvitationTerms(uses=2))
    office.approve(office.ask(later))
    assert office.authority.issued[-1].name == "phone-4"


def test_examining_changes_nothing(office: Office) -> None:
    token = office.invite(terms=InvitationTerms(by_hand=True))
    message = office.ask(token)
    before = (office.authority.issued, office.authority.invitations)
    found = examine(office.authority, message, NOW)
    assert (found.name, found.role, found.by_hand, found.reply) == (
        "kitchen", Role.DEVICE, True, b"",
    )  # fmt: skip
    assert (office.authority.issued, office.authority.invitations) == before
    reply = office.approve(message)
    again = examine(office.authority, message, NOW)
    assert (again.reply, again.by_hand) == (reply, False)


def test_a_renewal_needs_no_hand(office: Office) -> None:
    pending = request(office.invite(terms=InvitationTerms(by_hand=True)), office.entropy)
    identity = accept(pending, office.approve(pending.message), NOW)
    again = renew(identity, office.entropy).message
    assert not examine(office.authority, again, NOW + 60 * DAY_S).by_hand


def test_a_withdrawn_token(office: Office) -> None:
    token = office.invite("phone", InvitationTerms(uses=3))
    answered = office.ask(token)
    reply = office.approve(answered)
    assert office.authority.withdraw("phone") == 1
    assert office.authority.withdraw("nobody") == 0
    with pytest.raises(AuthenticationError, match="expired"):
        office.approve(office.ask(token))
    assert office.approve(answered) == reply


def test_forgotten_tokens_are_unknown(office: Office) -> None:
    old = office.invite("old", InvitationTerms(life_s=60))
    new = office.invite("new")
    office.authority.forget_tokens(NOW + 61)
    assert [one.name for one in office.authority.invitations] == ["new"]
    with pytest.raises(AuthenticationError, match="unknown"):
        office.approve(office.ask(old))
    office.approve(office.ask(new))


@pytest.mark.parametrize("terms", [{"life_s": 0}, {"uses": 0}, {"uses": 10_001}])
def test_terms_out_of_range(terms: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        InvitationTerms(**terms)  # type: ignore[arg-type]


def test_a_name_is_checked_when_the_token_is_made(office: Office) -> None:
    with pytest.raises(ParameterError, match="name"):
        office.invite("line\nbreak")
