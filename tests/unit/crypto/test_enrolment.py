"""Enrolment, both ends: tokens serve once, relays can change nothing (spec test 64), renewal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.certificates import Certificate, RevocationList, Role, authority_key_id
from dreamshare_crypto.enrolment import (
    Authority,
    EnrolReply,
    EnrolRequest,
    InvitationTerms,
    Pending,
    Token,
    accept,
    approve,
    renew,
    request,
)
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import IdentityKey
from dreamshare_crypto.tls import TlsAuthority, leaf_key, public_key_of

NOW = 1_800_000_000.0
DAY = 86_400


class Office:
    """An authority with an aggregator, and a token for one device."""

    def __init__(self, seed: bytes = b"office") -> None:
        self.entropy = SeededEntropy(seed)
        self.authority = Authority.create(seed.ljust(16, b"."), self.entropy, NOW)
        self.hub = self.authority.issue(Role.AGGREGATOR, "hub", self.entropy, NOW)
        self.token = self.invite("kitchen")

    def invite(self, name: str, role: Role = Role.DEVICE) -> Token:
        return self.authority.invite(role, name, ["https://a.example/enrol"], self.entropy, NOW)

    def approve(self, message: bytes, now: float = NOW) -> bytes:
        return approve(self.authority, message, now, self.entropy)

    def enrol(self) -> Identity:
        pending = request(self.token, self.entropy)
        return accept(pending, self.approve(pending.message), NOW)


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_device_enrols(office: Office) -> None:
    token = Token.from_text(office.token.text())
    pending = request(token, office.entropy)
    identity = accept(pending, office.approve(pending.message), NOW)
    identity.certificate.verify(office.authority.public_key, NOW)
    assert identity.certificate.role == Role.DEVICE
    assert identity.signing.secret() == pending.signing.secret()
    assert identity.aggregators == (office.hub.certificate,)
    assert identity.authority_key == office.authority.public_key
    assert identity.revocations == office.authority.revocations
    assert leaf_key(identity.tls.chain_pem) == public_key_of(identity.tls.key_pem)
    assert EnrolRequest.decode(pending.message).fingerprint() == identity.certificate.fingerprint()
    assert [one.name for one in office.authority.issued] == ["hub", "kitchen"]


def test_the_token_decides_role_and_hosts(office: Office) -> None:
    terms = InvitationTerms(hosts=("two.example",))
    token = office.authority.invite(
        Role.AGGREGATOR, "second", ["https://a"], office.entropy, NOW, terms
    )
    pending = request(token, office.entropy)
    identity = accept(pending, office.approve(pending.message), NOW)
    assert identity.certificate.role == Role.AGGREGATOR
    assert identity.certificate in identity.aggregators
    assert office.authority.issued[-1].hosts == ("localhost", "127.0.0.1", "::1", "two.example")


def test_the_very_same_request_gets_the_very_same_reply(office: Office) -> None:
    pending = request(office.token, office.entropy)
    reply = office.approve(pending.message)
    assert office.approve(pending.message, NOW + 5 * DAY) == reply
    assert len(office.authority.issued) == 2


def test_token_used_twice(office: Office) -> None:
    office.enrol()
    with pytest.raises(AuthenticationError, match="used already"):
        office.approve(request(office.token, office.entropy).message)


def test_token_expired(office: Office) -> None:
    message = request(office.token, office.entropy).message
    office.approve(message, office.token.expiry)
    late = Office(b"late")
    with pytest.raises(AuthenticationError, match="expired"):
        late.approve(request(late.token, late.entropy).message, late.token.expiry + 1)


def test_csr_swapped_by_relay(office: Office) -> None:
    """Other ik, kem or TLS request under the same mac: the token's key is needed to change them."""
    sent = EnrolRequest.decode(request(office.token, office.entropy).message)
    mallory = IdentityKey.generate(office.entropy)
    other = EnrolRequest.decode(request(office.token, office.entropy).message)
    for change in ({"ik": mallory.public}, {"kem": other.kem}, {"tls_csr": other.tls_csr}):
        swapped = dataclasses.replace(sent, **change)  # type: ignore[arg-type]
        unsigned = swapped.encode()[:-64]
        for forged in (
            swapped,
            dataclasses.replace(swapped, signature=mallory.sign("sa2/v1/enrol", unsigned)),
        ):
            with pytest.raises(AuthenticationError):
                office.approve(forged.encode())
    assert len(office.authority.issued) == 1


def test_possession_is_proven(office: Office) -> None:
    """A good mac does not stand for the identity key."""
    sent = EnrolRequest.decode(request(office.token, office.entropy).message)
    stolen = dataclasses.replace(sent, ik=office.hub.signing.public)
    with pytest.raises(AuthenticationError, match="signature"):
        office.approve(
            stolen.seal(office.token.token_key, IdentityKey.generate(office.entropy)).encode()
        )


def test_one_identity_key_has_one_id(office: Office) -> None:
    pending = request(office.token, office.entropy)
    office.approve(pending.message)
    second = office.invite("bedroom")
    again = dataclasses.replace(EnrolRequest.decode(pending.message), token_id=second.token_id)
    with pytest.raises(AuthenticationError, match="enrolled already"):
        office.approve(again.seal(second.token_key, pending.signing).encode())


def test_unknown_token_and_other_federation(office: Office) -> None:
    stranger = Office(b"stranger")
    with pytest.raises(AuthenticationError, match="another federation"):
        office.approve(request(stranger.token, office.entropy).message)
    forged = dataclasses.replace(office.token, token_id=b"unknown".ljust(16))
    with pytest.raises(AuthenticationError, match="unknown"):
        office.approve(request(forged, office.entropy).message)


def test_reply_other_authority(office: Office) -> None:
    """The relay answers with an authority of its own, even one that knows the token's key."""
    pending = request(office.token, office.entropy)
    asked = EnrolRequest.decode(pending.message)
    good = EnrolReply.decode(office.approve(pending.message))
    rogue = IdentityKey.generate(office.entropy)
    certificate = dataclasses.replace(
        good.certificate, issuer_key_id=authority_key_id(rogue.public)
    ).sign(rogue)
    forged = dataclasses.replace(good, authority_key=rogue.public, certificate=certificate)
    sealed = forged.seal(asked.device_nonce, pending.token_key, rogue)
    with pytest.raises(AuthenticationError, match="another authority"):
        accept(pending, sealed.encode(), NOW)


def test_reply_without_mac(office: Office) -> None:
    pending = request(office.token, office.entropy)
    reply = EnrolReply.decode(office.approve(pending.message))
    with pytest.raises(AuthenticationError, match="token"):
        accept(pending, dataclasses.replace(reply, mac=bytes(32)).encode(), NOW)


class TestCarelessAuthority:
    """Replies that the pinned authority did sign, for this very token, and that are wrong (5.5)."""

    @pytest.fixture
    def key(self) -> IdentityKey:
        return IdentityKey.generate(SeededEntropy(b"careless"))

    @pytest.fixture
    def office(self, key: IdentityKey) -> Office:
        office = Office()
        first = RevocationList.issue(
            key, office.authority.federation, 1, int(NOW), int(NOW) + DAY, ()
        )
        tls = TlsAuthority.create(b"F" * 16, office.entropy, int(NOW), int(NOW) + DAY)
        office.authority = Authority(office.authority.federation, key, tls, first)
        office.token = office.invite("kitchen")
        return office

    def refused(self, office: Office, key: IdentityKey, **change: object) -> str:
        pending = request(office.token, office.entropy)
        reply = EnrolReply.decode(office.approve(pending.message))
        names = {f.name for f in dataclasses.fields(Certificate)}
        inner = {k: v for k, v in change.items() if k in names}
        outer = {k: v for k, v in change.items() if k not in names}
        certificate = dataclasses.replace(reply.certificate, **inner).sign(key)
        wrong = dataclasses.replace(reply, certificate=certificate, **outer)
        nonce = EnrolRequest.decode(pending.message).device_nonce
        with pytest.raises(AuthenticationError) as caught:
            accept(pending, wrong.seal(nonce, pending.token_key, key).encode(), NOW)
        return str(caught.value)

    def test_other_federation(self, office: Office, key: IdentityKey) -> None:
        assert "another federation" in self.refused(office, key, federation=b"G" * 16)

    @pytest.mark.parametrize("field", ["ik", "kem"])
    def test_other_keys(self, office: Office, key: IdentityKey, field: str) -> None:
        assert "other keys" in self.refused(office, key, **{field: (9).to_bytes(32, "little")})

    def test_tls_for_another_key(self, office: Office, key: IdentityKey) -> None:
        other = Office(b"other").hub.tls.chain_pem
        assert "not for our key" in self.refused(office, key, tls_chain=other)

    def test_an_aggregator_that_is_none(self, office: Office, key: IdentityKey) -> None:
        device = office.authority.issue(Role.DEVICE, "d", office.entropy, NOW).certificate
        assert "inconsistent" in self.refused(office, key, aggregators=(device,))

    def test_an_aggregator_that_is_revoked(self, office: Office, key: IdentityKey) -> None:
        hub = office.authority.issue(Role.AGGREGATOR, "h", office.entropy, NOW).certificate
        office.authority.revoke(hub.serial, NOW)
        assert "revoked" in self.refused(office, key, aggregators=(hub,))

    def test_a_stale_revocation_list(self, office: Office, key: IdentityKey) -> None:
        old = RevocationList.issue(key, office.authority.federation, 1, 0, int(NOW) - 1, ())
        assert "stale" in self.refused(office, key, revocations=old)


def test_reply_to_another_request(office: Office) -> None:
    first = request(office.token, office.entropy)
    office.approve(first.message)
    other = dataclasses.replace(first, message=request(office.token, office.entropy).message)
    with pytest.raises(AuthenticationError):
        accept(other, office.authority.issued[-1].reply, NOW)


def test_changed_replies(office: Office) -> None:
    pending = request(office.token, office.entropy)
    reply = office.approve(pending.message)
    for at in range(0, len(reply), 7):
        changed = bytearray(reply)
        changed[at] ^= 0x10
        with pytest.raises((AuthenticationError, MalformedError)):
            accept(pending, bytes(changed), NOW)


def test_a_reply_that_expired_on_the_way(office: Office) -> None:
    pending = request(office.token, office.entropy)
    with pytest.raises(AuthenticationError, match="expired"):
        accept(pending, office.approve(pending.message), NOW + 91 * DAY)


def test_without_tls(office: Office) -> None:
    pending = request(office.token, office.entropy)
    asked = dataclasses.replace(EnrolRequest.decode(pending.message), tls_csr=b"")
    message = asked.seal(office.token.token_key, pending.signing).encode()
    plain = dataclasses.replace(pending, message=message)
    identity = accept(plain, office.approve(message), NOW)
    assert (identity.tls.chain_pem, len(identity.tls.key_pem)) == (b"", 0)


def test_pending_survives_a_restart(office: Office, tmp_path: Path) -> None:
    pending = request(office.token, office.entropy)
    pending.save(tmp_path / "pending")
    again = Pending.load(tmp_path / "pending")
    identity = accept(again, office.approve(again.message), NOW)
    assert identity.signing.secret() == pending.signing.secret()
    identity.save(tmp_path / "pending")
    with pytest.raises(ParameterError, match="not a dreamshare-enrolment/1"):
        Pending.load(tmp_path / "pending")


class TestRenewal:
    def test_keeps_id_and_keys(self, office: Office) -> None:
        old = office.enrol()
        later = NOW + 60 * DAY
        pending = renew(old, office.entropy)
        new = accept(pending, office.approve(pending.message, later), later)
        assert (new.id, new.certificate.ik, new.certificate.kem) == (
            old.id, old.certificate.ik, old.certificate.kem,
        )  # fmt: skip
        assert new.certificate.serial != old.certificate.serial
        assert new.certificate.not_after == int(later) + 90 * DAY
        assert new.tls.key_pem != old.tls.key_pem
        assert leaf_key(new.tls.chain_pem) == public_key_of(new.tls.key_pem)

    def test_pending_survives_a_restart(self, office: Office, tmp_path: Path) -> None:
        renew(office.enrol(), office.entropy).save(tmp_path / "p")
        pending = Pending.load(tmp_path / "p")
        assert accept(pending, office.approve(pending.message), NOW).id

    def test_needs_a_live_certificate(self, office: Office) -> None:
        old = office.enrol()
        pending = renew(old, office.entropy)
        with pytest.raises(AuthenticationError, match="no live certificate"):
            office.approve(pending.message, NOW + 91 * DAY)
        office.authority.revoke(old.certificate.serial, NOW)
        with pytest.raises(AuthenticationError, match="no live certificate"):
            office.approve(pending.message)

    def test_needs_the_old_key(self, office: Office) -> None:
        old = office.enrol()
        sent = EnrolRequest.decode(renew(old, office.entropy).message)
        with pytest.raises(AuthenticationError, match="signature"):
            office.approve(sent.seal(None, IdentityKey.generate(office.entropy)).encode())

    def test_carries_no_mac(self, office: Office) -> None:
        sent = EnrolRequest.decode(renew(office.enrol(), office.entropy).message)
        with pytest.raises(AuthenticationError, match="mac"):
            office.approve(dataclasses.replace(sent, mac=b"m" * 32).encode())

    def test_rests_on_the_authoritys_signature(self, office: Office) -> None:
        """No token key is left: roots swapped by the relay are noticed all the same."""
        pending = renew(office.enrol(), office.entropy)
        reply = EnrolReply.decode(office.approve(pending.message))
        swapped = dataclasses.replace(reply, tls_roots=Office(b"rogue").authority.tls_roots)
        with pytest.raises(AuthenticationError, match="signature"):
            accept(pending, swapped.encode(), NOW)


class TestMessages:
    def test_token_text(self, office: Office) -> None:
        text = office.token.text()
        assert Token.from_text(f"  {text}\n") == office.token
        assert office.token.secret.reveal().hex() not in repr(office.token)
        for broken in ("", text[:-4], text + "AAAA", text.replace("-1:", "-2:"), text[:30] + "!"):
            with pytest.raises(MalformedError):
                Token.from_text(broken)

    def test_tokens_with_an_endpoint_that_is_no_text(self, office: Office) -> None:
        raw = office.token.encode().replace(b"https", b"\xff" * 5)
        with pytest.raises(MalformedError):
            Token.decode(raw)

    def test_tokens_out_of_range(self, office: Office) -> None:
        endpoints = ((), ("",), ("x" * 256,), ("x",) * 9)
        for change in ({"token_id": bytes(16)}, *({"endpoints": one} for one in endpoints)):
            with pytest.raises(ParameterError):
                dataclasses.replace(office.token, **change)  # type: ignore[arg-type]

    @given(st.binary(max_size=400))
    def test_garbage(self, raw: bytes) -> None:
        for decode in (Token.decode, EnrolRequest.decode, EnrolReply.decode):
            with pytest.raises(MalformedError):
                decode(raw)

    def test_round_trips(self, office: Office) -> None:
        pending = request(office.token, office.entropy)
        raw = office.approve(pending.message)
        assert EnrolReply.decode(raw).encode() == raw
        assert EnrolRequest.decode(pending.message).encode() == pending.message
        assert Token.decode(office.token.encode()) == office.token
        for longer in (raw, pending.message):
            with pytest.raises(MalformedError):
                (EnrolReply if longer is raw else EnrolRequest).decode(longer + b"\0")
