"""The envelope: header of 128 bytes, signed frames, sealed bodies (spec tests 65 and 66)."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.envelope import (
    EVERYBODY,
    HEADER_BYTES,
    Flag,
    Frame,
    Header,
    open_broadcast,
    open_sealed,
    seal_broadcast,
    seal_to,
    sign_frame,
    verify_frame,
)
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.keys import Secret

NOW = 1_800_000_000.0
ENTROPY = SeededEntropy(b"envelope")
AUTHORITY = Authority.create(b"F" * 16, ENTROPY, NOW)
HUB = AUTHORITY.issue(Role.AGGREGATOR, "hub", ENTROPY, NOW)
ONE = AUTHORITY.issue(Role.DEVICE, "one", ENTROPY, NOW)
TWO = AUTHORITY.issue(Role.DEVICE, "two", ENTROPY, NOW)
STRANGER = Authority.create(b"G" * 16, ENTROPY, NOW).issue(Role.DEVICE, "x", ENTROPY, NOW)
GROUP = Secret(b"g" * 32, "group key")


def header(receiver: bytes = HUB.id) -> Header:
    return Header(
        federation=b"F" * 16,
        task=b"T" * 16,
        session=b"S" * 32,
        round=3,
        stage=9,
        sender=ONE.id,
        receiver=receiver,
        birth=5,
        sequence=6,
        key_id=7,
    )


def test_layout() -> None:
    raw = dataclasses.replace(header(), flags=Flag.SEALED, body_length=260).encode()
    assert len(raw) == HEADER_BYTES == 128
    assert raw[:4] == b"DS\x01\x01"
    assert raw[4:68] == b"F" * 16 + b"T" * 16 + b"S" * 32
    assert raw[68:76] == bytes([3, 0, 0, 0, 9, 0, 7, 0])
    assert raw[76:108] == ONE.id + HUB.id
    assert raw[108:] == bytes([5, *bytes(7), 6, *bytes(7), 4, 1, 0, 0])


HEADERS = st.builds(
    Header,
    federation=st.binary(min_size=16, max_size=16),
    task=st.binary(min_size=16, max_size=16),
    session=st.binary(min_size=32, max_size=32),
    round=st.integers(0, 2**32 - 1),
    stage=st.integers(0, 255),
    sender=st.binary(min_size=16, max_size=16),
    receiver=st.binary(min_size=16, max_size=16),
    birth=st.integers(0, 2**64 - 1),
    sequence=st.integers(0, 2**64 - 1),
    body_length=st.integers(0, 2**32 - 1),
    flags=st.sampled_from([Flag(0), Flag.SEALED, Flag.BROADCAST, Flag.SEALED | Flag.BROADCAST]),
    key_id=st.integers(0, 2**16 - 1),
)


@given(HEADERS)
def test_headers_round_trip(one: Header) -> None:
    assert Header.decode(one.encode()) == one


@given(st.integers(0, 127), st.integers(1, 255))
def test_changed_headers_are_malformed_or_canonical(at: int, change: int) -> None:
    raw = bytearray(header().encode())
    raw[at] ^= change
    try:
        one = Header.decode(bytes(raw))
    except MalformedError:
        assert at in (0, 1, 2, 3, 73)
        return
    assert one.encode() == raw


@pytest.mark.parametrize(
    "raw", [b"", b"DS", bytes(128), header().encode()[:-1], header().encode() + b"\0"]
)
def test_headers_that_are_none(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        Header.decode(raw)


@pytest.mark.parametrize(("at", "value"), [(2, 2), (3, 4), (73, 1)])
def test_unknown_versions_flags_and_reserved_bytes(at: int, value: int) -> None:
    raw = bytearray(header().encode())
    raw[at] = value
    with pytest.raises(MalformedError):
        Header.decode(bytes(raw))


@pytest.mark.parametrize(
    "change", [{"round": 2**32}, {"stage": 256}, {"task": b""}, {"key_id": -1}]
)
def test_values_without_a_place(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        dataclasses.replace(header(), **change).encode()  # type: ignore[arg-type]


class TestFrames:
    def test_signed_over_header_and_body_hash(self) -> None:
        frame = sign_frame(ONE.signing, header(), b"body")
        assert verify_frame(frame, ONE.certificate) == dataclasses.replace(header(), body_length=4)
        signed = frame.header + hashlib.sha256(b"body").digest()
        assert frame.signature == ONE.signing.sign("sa2/v1/envelope", signed)

    def test_header_changed(self) -> None:
        frame = sign_frame(ONE.signing, header(), b"body")
        for at in range(4, 124):
            changed = bytearray(frame.header)
            changed[at] ^= 1
            with pytest.raises((AuthenticationError, MalformedError)):
                verify_frame(dataclasses.replace(frame, header=bytes(changed)), ONE.certificate)

    def test_body_or_signature_changed(self) -> None:
        frame = sign_frame(ONE.signing, header(), b"body")
        with pytest.raises(AuthenticationError):
            verify_frame(dataclasses.replace(frame, body=b"bodY"), ONE.certificate)
        with pytest.raises(AuthenticationError):
            verify_frame(dataclasses.replace(frame, signature=bytes(64)), ONE.certificate)
        for body in (b"", b"bod", b"body2"):
            with pytest.raises(MalformedError, match="bytes"):
                verify_frame(dataclasses.replace(frame, body=body), ONE.certificate)

    @pytest.mark.parametrize("other", [TWO, HUB, STRANGER])
    def test_other_senders(self, other: object) -> None:
        frame = sign_frame(ONE.signing, header(), b"body")
        with pytest.raises(AuthenticationError):
            verify_frame(frame, other.certificate)  # type: ignore[attr-defined]
        forged = sign_frame(other.signing, header(), b"body")  # type: ignore[attr-defined]
        with pytest.raises(AuthenticationError):
            verify_frame(forged, ONE.certificate)

    def test_other_federation(self) -> None:
        elsewhere = dataclasses.replace(header(), federation=b"G" * 16)
        with pytest.raises(AuthenticationError):
            verify_frame(sign_frame(ONE.signing, elsewhere, b""), ONE.certificate)

    def test_a_frame_is_three_byte_strings(self) -> None:
        frame = sign_frame(ONE.signing, header(), b"")
        assert Frame(frame.header, frame.signature, frame.body) == frame


class TestSealedToOne:
    def test_opens_for_the_receiver_alone(self) -> None:
        final, body = seal_to(HUB.certificate.kem, header(), b"plain", ENTROPY)
        assert (final.flags, final.body_length) == (Flag.SEALED, len(body))
        assert len(body) == 32 + 5 + 16
        assert b"plain" not in body
        assert open_sealed(HUB.kem, final, body) == b"plain"
        with pytest.raises(AuthenticationError):
            open_sealed(TWO.kem, final, body)

    def test_survives_signing(self) -> None:
        final, body = seal_to(HUB.certificate.kem, header(), b"plain", ENTROPY)
        frame = sign_frame(ONE.signing, final, body)
        assert open_sealed(HUB.kem, verify_frame(frame, ONE.certificate), frame.body) == b"plain"

    @pytest.mark.parametrize(
        "change",
        [
            {"sender": TWO.id},
            {"receiver": TWO.id},
            {"round": 4},
            {"sequence": 7},
            {"task": bytes(16)},
        ],
    )
    def test_ciphertext_taken_over(self, change: dict[str, object]) -> None:
        """Under another header, re-signed by another sender, it does not open."""
        final, body = seal_to(HUB.certificate.kem, header(), b"plain", ENTROPY)
        with pytest.raises(AuthenticationError):
            open_sealed(HUB.kem, dataclasses.replace(final, **change), body)  # type: ignore[arg-type]

    def test_each_seal_has_its_own_key(self) -> None:
        bodies = [seal_to(HUB.certificate.kem, header(), b"plain", ENTROPY)[1] for _ in range(2)]
        assert bodies[0][:32] != bodies[1][:32]
        assert bodies[0][32:] != bodies[1][32:]

    def test_bad_keys(self) -> None:
        with pytest.raises(MalformedError):
            seal_to(bytes(32), header(), b"plain", ENTROPY)
        final, body = seal_to(HUB.certificate.kem, header(), b"plain", ENTROPY)
        with pytest.raises(MalformedError):
            open_sealed(HUB.kem, final, bytes(32) + body[32:])

    def test_not_sealed_or_too_short(self) -> None:
        final, body = seal_to(HUB.certificate.kem, header(), b"", ENTROPY)
        assert open_sealed(HUB.kem, final, body) == b""
        with pytest.raises(MalformedError):
            open_sealed(HUB.kem, final, body[:-1])
        with pytest.raises(MalformedError):
            open_sealed(HUB.kem, header(), body)

    def test_not_for_everybody(self) -> None:
        with pytest.raises(ParameterError):
            seal_to(HUB.certificate.kem, header(EVERYBODY), b"plain", ENTROPY)


class TestSealedToTheGroup:
    def test_opens_with_the_group_key(self) -> None:
        final, body = seal_broadcast(GROUP, header(EVERYBODY), b"plain", ENTROPY)
        assert final.flags == Flag.SEALED | Flag.BROADCAST
        assert open_broadcast(GROUP, final, body) == b"plain"
        with pytest.raises(AuthenticationError):
            open_broadcast(Secret(b"h" * 32), final, body)
        with pytest.raises(AuthenticationError):
            open_broadcast(GROUP, dataclasses.replace(final, sender=TWO.id), body)

    def test_broadcast_forged_with_group_key(self) -> None:
        """A device has the key, not the aggregator's signature."""
        as_hub = dataclasses.replace(header(EVERYBODY), sender=HUB.id)
        final, body = seal_broadcast(GROUP, as_hub, b"forged", ENTROPY)
        with pytest.raises(AuthenticationError):
            verify_frame(sign_frame(TWO.signing, final, body), HUB.certificate)

    def test_not_sealed_this_way(self) -> None:
        final, body = seal_broadcast(GROUP, header(EVERYBODY), b"", ENTROPY)
        with pytest.raises(MalformedError):
            open_broadcast(GROUP, final, body[:-1])
        with pytest.raises(MalformedError):
            open_sealed(HUB.kem, final, body)
        one, sealed = seal_to(HUB.certificate.kem, header(), b"", ENTROPY)
        with pytest.raises(MalformedError):
            open_broadcast(GROUP, one, sealed)

    def test_only_for_everybody(self) -> None:
        with pytest.raises(ParameterError):
            seal_broadcast(GROUP, header(), b"plain", ENTROPY)
