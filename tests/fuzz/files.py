"""Targets: enrolment messages and the files that a party keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.errors import ConfigError
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import Pending, accept, approve, request
from dreamshare_crypto.enrolment_messages import EnrolReply, EnrolRequest
from dreamshare_crypto.enrolment_token import Token
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_edge.log import AppendLog, DamagedLog
from tests.fuzz.target import Target, canonical, refusing
from tests.sim.secagg.federation import FEDERATION, NOW

REFUSED = (MalformedError, AuthenticationError)


@cache
def _folder() -> Path:
    """A folder of this process; in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def _written(raw: bytes) -> Path:
    path = _folder() / "file"
    path.unlink(missing_ok=True)
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(raw)
    return path


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An authority that invited one device, and the device's request."""

    authority: Authority
    token: Token
    pending: Pending
    reply: bytes


@cache
def enrolment() -> Enrolment:
    """Return an enrolment before the authority's answer, and what the answer would be."""
    entropy = SeededEntropy(b"enrolment")
    authority = Authority.create(FEDERATION, entropy, NOW)
    authority.issue(Role.AGGREGATOR, "aggregator", entropy, NOW)
    token = authority.invite(Role.DEVICE, "device", ["https://authority"], entropy, NOW)
    pending = request(token, entropy)
    reply = approve(twin(authority), pending.message, NOW, SeededEntropy(b"reply"))
    return Enrolment(authority, token, pending, reply)


def twin(authority: Authority) -> Authority:
    """Return a copy that keeps books of its own."""
    other = copy(authority)
    other._issued = list(authority._issued)
    other._invitations = dict(authority._invitations)
    return other


def _approve(raw: bytes) -> None:
    """A request as it is, and with a mac and a signature that hold, whatever it says."""
    known = enrolment()
    asked = EnrolRequest.decode(raw).seal(known.pending.token_key, known.pending.signing)
    for message in (raw, asked.encode()):
        with suppress(*REFUSED):
            approve(twin(known.authority), message, NOW, SeededEntropy(b"reply"))


def _accept(raw: bytes) -> None:
    """A reply as it is, and as the authority would seal it, whatever it says."""
    known = enrolment()
    nonce = EnrolRequest.decode(known.pending.message).device_nonce
    reply = EnrolReply.decode(raw).seal(nonce, known.pending.token_key, known.authority._key)
    for message in (raw, reply.encode()):
        with suppress(*REFUSED):
            accept(known.pending, message, NOW)


def _saved(save: Callable[[Path], None]) -> bytes:
    path = _written(b"")
    save(path)
    return path.read_bytes()


def _identity() -> Sequence[bytes]:
    known = enrolment()
    return [_saved(accept(known.pending, known.reply, NOW).save)]


def _log(raw: bytes) -> None:
    """A journal reads back the whole records that it holds, and the same ones a second time."""
    path = _written(raw)
    try:
        log = AppendLog.open(path)
    except DamagedLog:
        return
    first = list(log.read())
    log.append(b"one more", sync=False)
    log.close()
    again = AppendLog.open(path)
    if list(again.read()) != [*first, b"one more"]:
        raise AssertionError("a journal lost or changed a record")
    again.close()


def _journal() -> Sequence[bytes]:
    path = _folder() / "journal"
    path.unlink(missing_ok=True)
    log = AppendLog.open(path)
    for payload in (b"", b"first", bytes(300)):
        log.append(payload, sync=False)
    log.close()
    return [path.read_bytes()]


def _arrays() -> Sequence[bytes]:
    return [encode_arrays({"a": np.zeros((2, 3), "<f4"), "b": np.ones((), "<i8")})]


TARGETS: tuple[Target, ...] = (
    Target(
        "token",
        canonical(Token.decode, Token.encode, MalformedError),
        lambda: [enrolment().token.encode()],
    ),
    Target(
        "token-text",
        refusing(lambda raw: Token.from_text(raw.decode("latin-1")), MalformedError),
        lambda: [enrolment().token.text().encode()],
    ),
    Target(
        "enrol-request",
        canonical(EnrolRequest.decode, EnrolRequest.encode, MalformedError),
        lambda: [enrolment().pending.message],
    ),
    Target(
        "enrol-reply",
        canonical(EnrolReply.decode, EnrolReply.encode, MalformedError),
        lambda: [enrolment().reply],
    ),
    Target(
        "enrol-approve", refusing(_approve, MalformedError), lambda: [enrolment().pending.message]
    ),
    Target("enrol-accept", refusing(_accept, MalformedError), lambda: [enrolment().reply]),
    Target(
        "file-identity",
        refusing(lambda raw: Identity.load(_written(raw)), ParameterError),
        _identity,
    ),
    Target(
        "file-pending",
        refusing(lambda raw: Pending.load(_written(raw)), ParameterError),
        lambda: [_saved(enrolment().pending.save)],
    ),
    Target(
        "file-authority",
        refusing(lambda raw: Authority.load(_written(raw)), ParameterError),
        lambda: [_saved(enrolment().authority.save)],
    ),
    Target("file-journal", _log, _journal),
    Target("file-arrays", refusing(decode_arrays, ConfigError), _arrays),
)
