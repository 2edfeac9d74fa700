"""The envelope of every message between parties (docs/protocol.md, section 14).

Rules:
- a header of 128 bytes names both ends; the sender signs it with the hash of the body that travels;
- a body may be sealed to one receiver (14.2) or to a session's group key (14.3); the header is the
  associated data, so that a ciphertext serves no other sender or receiver;
- receivers compare federation, task and receiver with their own before anything else (14.1); the
  growth of (birth, sequence) is theirs to watch too (14.5);
- SA-2 messages carry signatures of their own, and only those are evidence (14.4).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import IntFlag

from dreamshare_crypto.aead import NONCE_BYTES, TAG_BYTES, open_box, seal
from dreamshare_crypto.certificates import Certificate
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.kdf import derive
from dreamshare_crypto.keys import AgreementKey, IdentityKey, verify_signature
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import OUTSIDE
from dreamshare_crypto.transcript import Reader, Writer

HEADER_BYTES = 128
VERSION = 1
EVERYBODY = b"\xff" * 16
"""The receiver of a broadcast."""

SEAL_OVERHEAD = 32 + TAG_BYTES
"""Bytes that sealing adds to a body, either way."""

_MAGIC = b"DS"
_LABEL = "sa2/v1/envelope"
_SALT_BYTES = 32
_ZERO_NONCE = bytes(NONCE_BYTES)  # every seal key is derived for one message


class Flag(IntFlag):
    """Header flags; other bits must be zero."""

    SEALED = 1
    BROADCAST = 2


@dataclass(frozen=True, slots=True)
class Header:
    """Who sends what to whom (14.1).

    Attributes:
        federation: 16 bytes.
        task: 16 bytes; zero outside a task.
        session: sid, 32 bytes; zero before there is one.
        round: of the session, u32; 0 outside a round.
        stage: kind of the message, u8: `secagg.events.Stage`, or a number of the caller's.
        sender: 16 bytes.
        receiver: 16 bytes, or `EVERYBODY`.
        birth: grows with every start of the sender, u64 (14.5).
        sequence: grows with every message of one birth and direction, u64 (14.5).
        body_length: bytes of the body that travels, u32; set by the functions that sign and seal.
        flags: `Flag`s; set by the functions that seal.
        key_id: which group key, u16; 0 if none.
    """

    federation: bytes
    task: bytes
    session: bytes
    round: int
    stage: int
    sender: bytes
    receiver: bytes
    birth: int
    sequence: int
    body_length: int = 0
    flags: Flag = Flag(0)
    key_id: int = 0

    def encode(self) -> bytes:
        """Return the 128 bytes; ParameterError when a field does not fit its place."""
        return (
            Writer()
            .raw(_MAGIC)
            .u8(VERSION)
            .u8(self.flags)
            .raw(self.federation, 16)
            .raw(self.task, 16)
            .raw(self.session, 32)
            .u32(self.round)
            .u8(self.stage)
            .u8(0)
            .u16(self.key_id)
            .raw(self.sender, 16)
            .raw(self.receiver, 16)
            .u64(self.birth)
            .u64(self.sequence)
            .u32(self.body_length)
            .finish()
        )

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """Read 128 bytes; MalformedError on anything that is no header of this version."""
        reader = Reader(raw)
        if reader.raw(2) != _MAGIC:
            raise MalformedError("an envelope does not begin with 'DS'")
        version, flags = reader.u8(), reader.u8()
        if version != VERSION:
            raise MalformedError(f"envelope version {version} is unknown")
        if flags & ~int(Flag.SEALED | Flag.BROADCAST):  # ~ of a Flag knows no unknown bits
            raise MalformedError("an envelope has unknown flags")
        federation, task, session = reader.raw(16), reader.raw(16), reader.raw(32)
        number, stage, reserved = reader.u32(), reader.u8(), reader.u8()
        if reserved:
            raise MalformedError("a reserved byte of an envelope is not zero")
        header = cls(
            federation=federation,
            task=task,
            session=session,
            round=number,
            stage=stage,
            key_id=reader.u16(),
            sender=reader.raw(16),
            receiver=reader.raw(16),
            birth=reader.u64(),
            sequence=reader.u64(),
            body_length=reader.u32(),
            flags=Flag(flags),
        )
        reader.end()
        return header


@dataclass(frozen=True, slots=True)
class Frame:
    """What travels: header and signature, and the body that the header's signature covers.

    Attributes:
        header: 128 bytes.
        signature: 64 bytes, the sender's over header and SHA-256 of body.
        body: as it travels, sealed or not.
    """

    header: bytes
    signature: bytes
    body: bytes


def sign_frame(key: IdentityKey, header: Header, body: bytes, digest: bytes | None = None) -> Frame:
    """Return the frame of `body`; its length is put into the header (14.1).

    `digest` is SHA-256 of `body`, where it is known: one body may go to many receivers.
    """
    encoded = replace(header, body_length=len(body)).encode()
    hashed = hashlib.sha256(body).digest() if digest is None else digest
    return Frame(encoded, key.sign(_LABEL, encoded + hashed), body)


def verify_frame(frame: Frame, certificate: Certificate) -> Header:
    """Check that the holder of `certificate` sent exactly this frame; return its header (14.1).

    The certificate itself, and what the header says about task, session, receiver, birth and
    sequence, are the caller's to check.

    Raises:
        MalformedError: the header cannot be read, or the body has another length than it says.
        AuthenticationError: another sender or federation, or the signature does not hold.
    """
    header = Header.decode(frame.header)
    if header.body_length != len(frame.body):
        raise MalformedError(f"a body has {len(frame.body)} bytes, not {header.body_length}")
    if (header.sender, header.federation) != (certificate.id, certificate.federation):
        raise AuthenticationError("an envelope does not name the holder of the certificate")
    signed = frame.header + hashlib.sha256(frame.body).digest()
    verify_signature(certificate.ik, _LABEL, signed, frame.signature)
    return header


def seal_to(
    receiver_kem: bytes, header: Header, plaintext: bytes, entropy: Entropy
) -> tuple[Header, bytes]:
    """Seal `plaintext` to one receiver (14.2).

    Args:
        receiver_kem: X25519 key of the receiver's certificate.
        header: of the frame; its receiver is the holder of `receiver_kem`.
        plaintext: the body.
        entropy: 32 bytes are drawn for the ephemeral key.

    Returns:
        The header with flag and length set, and the body to sign and send with it.

    Raises:
        MalformedError: `receiver_kem` is not an acceptable key (2.5).
    """
    if header.receiver == EVERYBODY:
        raise ParameterError("a broadcast is not sealed to one receiver; use seal_broadcast")
    ephemeral = AgreementKey.generate(entropy)
    final = replace(header, flags=Flag.SEALED, body_length=len(plaintext) + SEAL_OVERHEAD)
    aad = final.encode()
    key = _seal_key(ephemeral.exchange(receiver_kem), ephemeral.public, receiver_kem, aad)
    return final, ephemeral.public + seal(key, _ZERO_NONCE, plaintext, aad, OUTSIDE)


def open_sealed(kem: AgreementKey, header: Header, body: bytes) -> bytes:
    """Open a body that `seal_to` sealed to `kem`, under the header it came with (14.2).

    Raises:
        MalformedError: the header says otherwise, or the body is too short or its key bad.
        AuthenticationError: the body does not open.
    """
    if header.flags != Flag.SEALED or len(body) < SEAL_OVERHEAD:
        raise MalformedError("a body is not sealed to one receiver")
    public, box = body[:32], body[32:]
    aad = header.encode()
    key = _seal_key(kem.exchange(public), public, kem.public, aad)
    return open_box(key, _ZERO_NONCE, box, aad, OUTSIDE)


def seal_broadcast(
    group_key: Secret, header: Header, plaintext: bytes, entropy: Entropy
) -> tuple[Header, bytes]:
    """Seal `plaintext` to everybody who has the session's group key (14.3).

    Hides from a broker only: every member can open it, and could seal; origin is the signature.

    Args:
        group_key: 32 bytes, drawn per session.
        header: of the frame; its receiver is `EVERYBODY` and its key_id names the group key.
        plaintext: the body.
        entropy: 32 bytes are drawn for the salt.

    Returns:
        The header with flags and length set, and the body to sign and send with it.
    """
    if header.receiver != EVERYBODY:
        raise ParameterError("only a broadcast is sealed to the group; use seal_to")
    flags = Flag.SEALED | Flag.BROADCAST
    final = replace(header, flags=flags, body_length=len(plaintext) + SEAL_OVERHEAD)
    aad, salt = final.encode(), entropy.draw(_SALT_BYTES)
    key = derive(group_key, salt, 32, "sa2/v1/broadcast", aad)
    return final, salt + seal(key, _ZERO_NONCE, plaintext, aad, OUTSIDE)


def open_broadcast(group_key: Secret, header: Header, body: bytes) -> bytes:
    """Open a body that `seal_broadcast` sealed, under the header it came with (14.3).

    Raises:
        MalformedError: the header says otherwise, or the body is too short.
        AuthenticationError: the body does not open.
    """
    if header.flags != Flag.SEALED | Flag.BROADCAST or len(body) < SEAL_OVERHEAD:
        raise MalformedError("a body is not sealed to a group")
    aad = header.encode()
    key = derive(group_key, body[:_SALT_BYTES], 32, "sa2/v1/broadcast", aad)
    return open_box(key, _ZERO_NONCE, body[_SALT_BYTES:], aad, OUTSIDE)


def _seal_key(shared: Secret, public: bytes, receiver_kem: bytes, aad: bytes) -> Secret:
    return derive(shared, public + receiver_kem, 32, "sa2/v1/seal", aad)
