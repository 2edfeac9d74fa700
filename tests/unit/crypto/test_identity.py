"""Identity files: private, whole, strict; and parts that do not belong together."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from pathlib import Path

import pytest

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import RevocationList, Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import AgreementKey, IdentityKey

NOW = 1_800_000_000.0
ENTROPY = SeededEntropy(b"identity")
AUTHORITY = Authority.create(b"F" * 16, ENTROPY, NOW)
AGGREGATOR = AUTHORITY.issue(Role.AGGREGATOR, "hub", ENTROPY, NOW)
DEVICE = AUTHORITY.issue(Role.DEVICE, "kitchen", ENTROPY, NOW)
OTHER = Authority.create(b"G" * 16, ENTROPY, NOW)

# One key that is the authority of two federations: its list for the other one.
TWICE = IdentityKey.generate(SeededEntropy(b"identity"))
ELSEWHERE = RevocationList.issue(TWICE, b"H" * 16, 1, int(NOW), int(NOW) + 60, ())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "device.key"
    DEVICE.save(file)
    return file


@pytest.mark.parametrize("identity", [DEVICE, AGGREGATOR])
def test_round_trip(identity: Identity, tmp_path: Path) -> None:
    identity.save(tmp_path / "x")
    again = Identity.load(str(tmp_path / "x"))
    assert again.signing.secret() == identity.signing.secret()
    assert again.kem.secret() == identity.kem.secret()
    for field in ("certificate", "authority_key", "aggregators", "revocations", "tls"):
        assert getattr(again, field) == getattr(identity, field)
    assert (again.id, again.federation) == (identity.certificate.id, b"F" * 16)


def test_only_the_owner_may_read(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ParameterError, match="chmod 600"):
            Identity.load(path)
    path.chmod(0o400)
    assert Identity.load(path).id == DEVICE.id


def test_saving_replaces_atomically(path: Path) -> None:
    before = path.stat().st_ino
    old = path.open("rb")
    AGGREGATOR.save(path)
    assert path.stat().st_ino != before
    assert json.loads(old.read())["id"] == DEVICE.id.hex()
    old.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["device.key"]


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot write"):
        DEVICE.save(tmp_path / "missing" / "x")


def test_a_leftover_of_a_killed_process_is_no_obstacle(path: Path) -> None:
    leftover = path.with_name(f".device.key.{os.getpid()}.new")
    leftover.write_text("half")
    DEVICE.save(path)
    assert Identity.load(path).id == DEVICE.id
    assert not leftover.exists()


def test_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="dreamshare enrol"):
        Identity.load(tmp_path / "nothing")
    with pytest.raises(ParameterError, match="cannot read"):
        Identity.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "dreamshare-identity/2"},
        {"format": 1},
        {"signing": "zz"},
        {"signing": "00" * 31},
        {"certificate": "00" * 218},
        {"certificate": None},
        {"id": "00" * 16},
        {"aggregators": "00"},
        {"aggregators": [1]},
        {"revocations": ""},
        {"extra": "field"},
        {"kem": AGGREGATOR.kem.secret().reveal().hex()},
        {"authority_key": OTHER.public_key.hex()},
        {"certificate": AGGREGATOR.certificate.encode().hex()},
        {"aggregators": [DEVICE.certificate.encode().hex()]},
        {"revocations": OTHER.revocations.encode().hex()},
    ],
)
def test_files_that_are_not_whole(path: Path, change: dict[str, object]) -> None:
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | change))
    with pytest.raises(ParameterError):
        Identity.load(path)


def test_every_field_is_needed(path: Path) -> None:
    fields = json.loads(path.read_text())
    for name in fields:
        path.write_text(json.dumps({k: v for k, v in fields.items() if k != name}))
        with pytest.raises(ParameterError, match=f"'{name}' is missing"):
            Identity.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00", "[" * 100_000])
def test_files_that_are_not_ours(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ParameterError):
        Identity.load(path)


def test_errors_hold_no_secret(path: Path) -> None:
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"kem": fields["signing"]}))
    with pytest.raises(ParameterError) as caught:
        Identity.load(path)
    assert fields["signing"] not in str(caught.value)
    assert fields["signing"] not in repr(DEVICE)
    assert "PRIVATE" not in repr(DEVICE)


@pytest.mark.parametrize(
    "change",
    [
        {"signing": IdentityKey.generate(ENTROPY)},
        {"kem": AgreementKey.generate(ENTROPY)},
        {"certificate": AGGREGATOR.certificate},
        {"authority_key": OTHER.public_key},
        {"aggregators": (DEVICE.certificate,)},
        {"revocations": OTHER.revocations},
        {"revocations": ELSEWHERE},
        {"certificate": dataclasses.replace(DEVICE.certificate, serial=99)},
    ],
)
def test_parts_belong_together(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        dataclasses.replace(DEVICE, **change)  # type: ignore[arg-type]


def test_the_list_is_the_federations() -> None:
    """`ELSEWHERE` is validly signed by the very key that DEVICE pins, for another federation."""
    ELSEWHERE.verify(DEVICE.authority_key, NOW)


def test_files_too_large_to_be_ours(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(ParameterError, match="too large"):
        Identity.load(path)
