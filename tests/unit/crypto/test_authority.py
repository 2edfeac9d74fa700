"""The authority: what it issues, what it revokes, and that its file is it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dreamshare_crypto.authority import LIFE_S, Authority
from dreamshare_crypto.certificates import Role, device_id
from dreamshare_crypto.enrolment import accept, approve, request
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, ParameterError

NOW = 1_800_000_000.0
FEDERATION = b"F" * 16


@pytest.fixture
def entropy() -> SeededEntropy:
    return SeededEntropy(b"authority")


@pytest.fixture
def authority(entropy: SeededEntropy) -> Authority:
    return Authority.create(FEDERATION, entropy, NOW)


def test_issues_whole_identities(authority: Authority, entropy: SeededEntropy) -> None:
    hub = authority.issue(Role.AGGREGATOR, "hub", entropy, NOW)
    devices = [authority.issue(Role.DEVICE, f"d{i}", entropy, NOW) for i in range(3)]
    serials = [one.certificate.serial for one in (hub, *devices)]
    assert serials == [1, 2, 3, 4]
    assert len({one.id for one in devices}) == 3
    for one in devices:
        assert one.id == device_id(FEDERATION, one.signing.public)
        assert one.aggregators == (hub.certificate,)
        one.certificate.verify(authority.public_key, NOW)
        with pytest.raises(AuthenticationError):
            one.certificate.verify(authority.public_key, NOW + LIFE_S + 1)


def test_lives_can_be_shorter(authority: Authority, entropy: SeededEntropy) -> None:
    one = authority.issue(Role.OPERATOR, "ops", entropy, NOW, life_s=60)
    assert one.certificate.not_after == int(NOW) + 60
    assert one.certificate.role == Role.OPERATOR


def test_no_file_of_a_party_holds_the_authoritys_keys(
    authority: Authority, entropy: SeededEntropy, tmp_path: Path
) -> None:
    authority.save(tmp_path / "authority")
    held = json.loads((tmp_path / "authority").read_text())
    authority.issue(Role.AGGREGATOR, "hub", entropy, NOW).save(tmp_path / "hub")
    given = (tmp_path / "hub").read_text()
    assert held["key"] not in given
    assert held["tls_key"].splitlines()[1] not in given


@pytest.mark.parametrize("name", ["", "x" * 65, "line\nbreak"])
def test_names_that_are_none(authority: Authority, entropy: SeededEntropy, name: str) -> None:
    with pytest.raises(ParameterError, match="name"):
        authority.issue(Role.DEVICE, name, entropy, NOW)


def test_a_name_is_one_partys_while_it_lives(authority: Authority, entropy: SeededEntropy) -> None:
    first = authority.issue(Role.DEVICE, "kitchen", entropy, NOW)
    with pytest.raises(ParameterError, match="taken"):
        authority.issue(Role.DEVICE, "kitchen", entropy, NOW)
    authority.revoke(first.certificate.serial, NOW)
    second = authority.issue(Role.DEVICE, "kitchen", entropy, NOW)
    assert authority.issue(Role.DEVICE, "kitchen", entropy, NOW + LIFE_S + 1).id != second.id


def test_revoking_takes_every_certificate_of_the_party(
    authority: Authority, entropy: SeededEntropy
) -> None:
    one = authority.issue(Role.DEVICE, "kitchen", entropy, NOW)
    other = authority.issue(Role.DEVICE, "bedroom", entropy, NOW)
    keys = (one.certificate.ik, one.certificate.kem)
    renewed = authority.certify(Role.DEVICE, "kitchen", *keys, NOW).certificate
    before = authority.revocations
    after = authority.revoke(one.certificate.serial, NOW + 10)
    assert after == authority.revocations
    assert after.number == before.number + 1
    assert after.this_update == int(NOW) + 10
    after.verify(authority.public_key, NOW + 10)
    after.check(other.certificate)
    for certificate in (one.certificate, renewed):
        with pytest.raises(AuthenticationError, match="revoked"):
            after.check(certificate)
    third = authority.revoke(other.certificate.serial, NOW + 20)
    assert set(third.serials) == {one.certificate.serial, renewed.serial, other.certificate.serial}


def test_revoking_what_was_never_issued(authority: Authority) -> None:
    with pytest.raises(ParameterError, match="no certificate has the serial 9"):
        authority.revoke(9, NOW)


def test_refreshing_keeps_what_is_revoked(authority: Authority, entropy: SeededEntropy) -> None:
    one = authority.issue(Role.DEVICE, "kitchen", entropy, NOW)
    authority.revoke(one.certificate.serial, NOW)
    fresh = authority.refresh(NOW + LIFE_S)
    assert fresh.serials == (one.certificate.serial,)
    fresh.verify(authority.public_key, NOW + 2 * LIFE_S)


def test_revoked_aggregators_are_not_handed_out(
    authority: Authority, entropy: SeededEntropy
) -> None:
    hub = authority.issue(Role.AGGREGATOR, "hub", entropy, NOW)
    authority.revoke(hub.certificate.serial, NOW)
    spare = authority.issue(Role.AGGREGATOR, "spare", entropy, NOW)
    assert authority.issue(Role.DEVICE, "d", entropy, NOW).aggregators == (spare.certificate,)


def test_the_file_is_the_authority(
    authority: Authority, entropy: SeededEntropy, tmp_path: Path
) -> None:
    path = tmp_path / "authority"
    hub = authority.issue(Role.AGGREGATOR, "hub", entropy, NOW, hosts=("hub.example",))
    open_token = authority.invite(Role.DEVICE, "d1", ["https://a"], entropy, NOW)
    used_token = authority.invite(Role.DEVICE, "d2", ["https://a"], entropy, NOW)
    used = request(used_token, entropy)
    reply = approve(authority, used.message, NOW, entropy)
    authority.revoke(hub.certificate.serial, NOW)
    authority.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Authority.load(path)
    assert again.public_key == authority.public_key
    assert again.revocations == authority.revocations
    assert again.issued == authority.issued
    assert again.invitations == authority.invitations
    assert again.tls_roots == authority.tls_roots
    assert approve(again, used.message, NOW, entropy) == reply
    with pytest.raises(AuthenticationError, match="used already"):
        approve(again, request(used_token, entropy).message, NOW, entropy)
    pending = request(open_token, entropy)
    identity = accept(pending, approve(again, pending.message, NOW, entropy), NOW)
    assert identity.certificate.serial == 3


@pytest.mark.parametrize(
    "change",
    [
        {"format": "dreamshare-identity/1"},
        {"federation": "00"},
        {"key": "00"},
        {"next_serial": -1},
        {"next_serial": True},
        {"revocations": "00"},
        {"issued": [{"name": "x"}]},
        {"issued": ["x"]},
        {"invitations": {}},
        {"unknown": 1},
    ],
)
def test_files_that_are_no_authority(
    authority: Authority, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "authority"
    authority.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ParameterError):
        Authority.load(path)


def test_tokens_of_an_unknown_role(
    authority: Authority, entropy: SeededEntropy, tmp_path: Path
) -> None:
    path = tmp_path / "authority"
    authority.invite(Role.DEVICE, "d", ["https://a"], entropy, NOW)
    authority.save(path)
    fields = json.loads(path.read_text())
    fields["invitations"][0]["role"] = 9
    path.write_text(json.dumps(fields))
    with pytest.raises(ParameterError, match="role"):
        Authority.load(path)


def test_others_may_not_read_it(authority: Authority, tmp_path: Path) -> None:
    authority.save(tmp_path / "authority")
    (tmp_path / "authority").chmod(0o644)
    with pytest.raises(ParameterError, match="others may read"):
        Authority.load(tmp_path / "authority")


def test_federation_ids_have_sixteen_bytes(entropy: SeededEntropy) -> None:
    with pytest.raises(ParameterError, match="16 bytes"):
        Authority.create(b"short", entropy, NOW)
