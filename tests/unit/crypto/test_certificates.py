"""Certificates and revocation lists: 218 bytes, the authority's alone, checked in time."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.certificates import (
    CERTIFICATE_BYTES,
    Certificate,
    RevocationList,
    Role,
    authority_key_id,
    device_id,
    fingerprint,
)
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import AgreementKey, IdentityKey

AUTHORITY = IdentityKey.generate(SeededEntropy(b"authority"))
DEVICE = IdentityKey.generate(SeededEntropy(b"device"))
KEM = AgreementKey.generate(SeededEntropy(b"kem"))
FEDERATION = b"F" * 16


def certificate(role: Role = Role.DEVICE, serial: int = 7) -> Certificate:
    return Certificate(
        federation=FEDERATION,
        role=role,
        id=device_id(FEDERATION, DEVICE.public),
        ik=DEVICE.public,
        kem=KEM.public,
        serial=serial,
        not_before=1000,
        not_after=2000,
        issuer_key_id=authority_key_id(AUTHORITY.public),
    ).sign(AUTHORITY)


def revocations(serials: tuple[int, ...] = (3, 5), key: IdentityKey = AUTHORITY) -> RevocationList:
    return RevocationList.issue(key, FEDERATION, 4, 1000, 2000, serials)


def test_layout() -> None:
    raw = certificate().encode()
    assert len(raw) == CERTIFICATE_BYTES == 218
    assert raw[0] == 1
    assert raw[1:17] == FEDERATION
    assert raw[17] == 1
    assert raw[18:34] == hash_parts("sa2/v1/id", FEDERATION, DEVICE.public)[:16]
    assert raw[34:66] == DEVICE.public
    assert raw[66:98] == KEM.public
    assert raw[98:122] == b"".join(n.to_bytes(8, "little") for n in (7, 1000, 2000))
    assert raw[122:154] == authority_key_id(AUTHORITY.public)
    assert raw[154:] == AUTHORITY.sign("sa2/v1/cert", raw[:154])


@pytest.mark.parametrize("role", list(Role))
def test_round_trip(role: Role) -> None:
    one = certificate(role)
    assert Certificate.decode(one.encode()) == one
    one.verify(AUTHORITY.public, 1500)


@pytest.mark.parametrize("now", [1000, 1000.5, 2000])
def test_valid_from_its_first_second_to_its_last(now: float) -> None:
    certificate().verify(AUTHORITY.public, now)


@pytest.mark.parametrize(("now", "text"), [(999.9, "not valid yet"), (2000.1, "expired")])
def test_not_valid_outside(now: float, text: str) -> None:
    with pytest.raises(AuthenticationError, match=text):
        certificate().verify(AUTHORITY.public, now)


@given(st.integers(0, 217), st.integers(1, 255))
def test_no_changed_byte_verifies(at: int, change: int) -> None:
    raw = bytearray(certificate().encode())
    raw[at] ^= change
    with pytest.raises((MalformedError, AuthenticationError)):
        Certificate.decode(bytes(raw)).verify(AUTHORITY.public, 1500)


@given(st.one_of(st.binary(max_size=230), st.binary(min_size=218, max_size=218)))
def test_garbage(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Certificate.decode(raw)


def test_prefix_and_extension() -> None:
    raw = certificate().encode()
    for other in (raw[:-1], raw + b"\0"):
        with pytest.raises(MalformedError):
            Certificate.decode(other)


def test_another_authority_does_not_count() -> None:
    mallory = IdentityKey.generate(SeededEntropy(b"mallory"))
    with pytest.raises(AuthenticationError, match="another authority"):
        certificate().verify(mallory.public, 1500)
    claimed = dataclasses.replace(certificate(), issuer_key_id=authority_key_id(mallory.public))
    with pytest.raises(AuthenticationError):
        claimed.verify(mallory.public, 1500)
    with pytest.raises(ParameterError, match="another issuer"):
        claimed.sign(AUTHORITY)


@pytest.mark.parametrize(
    "change",
    [
        {"federation": b"F" * 15},
        {"role": 0},
        {"role": 5},
        {"id": b""},
        {"ik": bytes(31)},
        {"kem": bytes(32)},
        {"kem": b"\xff" * 32},
        {"not_before": 2001},
        {"issuer_key_id": b"x"},
        {"signature": bytes(63)},
    ],
)
def test_fields_out_of_range(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        dataclasses.replace(certificate(), **change)  # type: ignore[arg-type]


def test_ids_bind_federation_and_key() -> None:
    ids = {
        device_id(FEDERATION, DEVICE.public),
        device_id(b"G" * 16, DEVICE.public),
        device_id(FEDERATION, AUTHORITY.public),
    }
    assert len(ids) == 3
    assert {len(one) for one in ids} == {16}


def test_fingerprints_are_for_people() -> None:
    text = certificate().fingerprint()
    assert text == fingerprint(FEDERATION, DEVICE.public, KEM.public)
    groups = text.split(" ")
    assert [len(group) for group in groups] == [4] * 8
    assert text != fingerprint(
        FEDERATION, DEVICE.public, AgreementKey.generate(SeededEntropy(b"x")).public
    )


class TestRevocations:
    def test_layout_and_round_trip(self) -> None:
        raw = revocations().encode()
        numbers = b"".join(n.to_bytes(8, "little") for n in (4, 1000, 2000))
        serials = (2).to_bytes(4, "little") + b"".join(n.to_bytes(8, "little") for n in (3, 5))
        assert raw[:-64] == FEDERATION + numbers + serials
        assert raw[-64:] == AUTHORITY.sign("sa2/v1/revocation", raw[:-64])
        assert RevocationList.decode(raw) == revocations()
        assert RevocationList.decode(revocations(()).encode()).serials == ()

    def test_issue_sorts_and_drops_repeats(self) -> None:
        assert revocations((9, 2, 9)).serials == (2, 9)

    def test_revokes_what_it_names(self) -> None:
        for serial in (2, 4, 6):
            revocations().check(certificate(serial=serial))
        for serial in (3, 5):
            with pytest.raises(AuthenticationError, match="revoked"):
                revocations().check(certificate(serial=serial))

    def test_is_the_authoritys(self) -> None:
        revocations().verify(AUTHORITY.public, 1500)
        aggregator = IdentityKey.generate(SeededEntropy(b"aggregator"))
        with pytest.raises(AuthenticationError):  # spec test 38, `list_signed_by_aggregator`
            revocations(key=aggregator).verify(AUTHORITY.public, 1500)

    def test_goes_stale_after_grace(self) -> None:
        revocations().verify(AUTHORITY.public, 2000)
        revocations().verify(AUTHORITY.public, 2050, grace_s=50)
        for now, grace in ((2000.5, 0.0), (2051.0, 50.0)):
            with pytest.raises(AuthenticationError, match="stale"):
                revocations().verify(AUTHORITY.public, now, grace)

    @given(st.integers(0, len(revocations().encode()) - 1), st.integers(1, 255))
    def test_no_changed_byte_verifies(self, at: int, change: int) -> None:
        raw = bytearray(revocations().encode())
        raw[at] ^= change
        with pytest.raises((MalformedError, AuthenticationError)):
            RevocationList.decode(bytes(raw)).verify(AUTHORITY.public, 1500)

    @pytest.mark.parametrize("serials", [(5, 3), (3, 3)])
    def test_unsorted_or_repeated_serials(self, serials: tuple[int, int]) -> None:
        raw = bytearray(revocations().encode())
        raw[44:60] = b"".join(n.to_bytes(8, "little") for n in serials)
        with pytest.raises(MalformedError, match="ascend"):
            RevocationList.decode(bytes(raw))

    @given(st.binary(max_size=150))
    def test_garbage(self, raw: bytes) -> None:
        with pytest.raises(MalformedError):
            RevocationList.decode(raw)

    @pytest.mark.parametrize(
        "change",
        [
            {"federation": b""},
            {"this_update": 2001},
            {"signature": b""},
            {"serials": tuple(range(65_537))},
        ],
    )
    def test_fields_out_of_range(self, change: dict[str, object]) -> None:
        with pytest.raises(ParameterError):
            dataclasses.replace(revocations(), **change)  # type: ignore[arg-type]
