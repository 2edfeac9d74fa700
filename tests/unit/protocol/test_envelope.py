"""Frames between two parties: signed, addressed, in order, and by those who may say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare.errors import AbortCode, ConfigError, LocalProtocolError, PeerProtocolError
from dreamshare.ids import EVERYBODY, PartyId, SessionId, TaskId
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.envelope import (
    Address,
    Signer,
    Verifier,
    accept_certificate,
    check_role,
    refusal_of_request,
    stage_of,
)
from dreamshare.protocol.history import FetchHistory
from dreamshare.protocol.messages import (
    Cancel,
    CheckIn,
    Cohort,
    ControlRequest,
    FetchResult,
    ListDevices,
    ListTasks,
    Message,
    NotNeeded,
    Pause,
    Reply,
    Request,
    Resume,
    RoundOpening,
    Sa2,
    Submit,
    TaskClosed,
    TaskList,
    TellDone,
    Watch,
)
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.questions import AskTask
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.envelope import Header
from dreamshare_crypto.errors import (
    AuthenticationError,
    IllegalInputError,
    MalformedError,
    ParameterError,
    RefusalCode,
    Refused,
)
from dreamshare_crypto.secagg.events import Stage
from tests.sim.secagg.federation import NOW, Federation

FEDERATION = Federation()
DEVICE = FEDERATION.issue(Role.DEVICE, "device")
AGGREGATOR = FEDERATION.issue(Role.AGGREGATOR, "aggregator")
ADDRESS = Address(TaskId(b"t" * 16), SessionId(b"s" * 32), 5)
MESSAGE = Sa2(Stage.AGREE, b"agree")


def pair(birth: int = 9) -> tuple[Signer, Verifier]:
    """Return a device's signer and the aggregator's verifier for it."""
    signer = Signer(DEVICE, PartyId(AGGREGATOR.id), birth)
    return signer, Verifier(AGGREGATOR, DEVICE.certificate)


def code_of(raised: pytest.ExceptionInfo[PeerProtocolError]) -> AbortCode:
    return raised.value.code


def test_a_frame_says_what_it_is_about() -> None:
    signer, verifier = pair()
    header = verifier.verify(signer.sign(ADDRESS, MESSAGE, b"body"))
    assert header == Header(
        federation=FEDERATION.id,
        task=b"t" * 16,
        session=b"s" * 32,
        round=5,
        stage=Stage.AGREE,
        sender=DEVICE.id,
        receiver=AGGREGATOR.id,
        birth=9,
        sequence=1,
        body_length=4,
    )


def test_sequences_grow_and_repeats_are_refused() -> None:
    signer, verifier = pair()
    first = signer.sign(ADDRESS, MESSAGE, b"one")
    second = signer.sign(ADDRESS, MESSAGE, b"two")
    verifier.verify(second)
    for old in (first, second):
        with pytest.raises(PeerProtocolError, match="came before") as raised:
            verifier.verify(old)
        assert code_of(raised) is AbortCode.UNEXPECTED


def test_an_earlier_birth_is_refused_and_a_later_one_starts_anew() -> None:
    signer, verifier = pair(birth=9)
    for _ in range(3):
        verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))
    later, _ = pair(birth=10)
    assert verifier.verify(later.sign(ADDRESS, MESSAGE, b"x")).sequence == 1
    with pytest.raises(PeerProtocolError):
        verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))


def test_a_changed_body_or_header_is_refused() -> None:
    signer, verifier = pair()
    frame = signer.sign(ADDRESS, MESSAGE, b"body")
    header = bytearray(frame.header)
    header[70] ^= 1  # in the session
    for forged in (replace(frame, body=b"bodz"), replace(frame, header=bytes(header))):
        with pytest.raises(PeerProtocolError) as raised:
            verifier.verify(forged)
        assert code_of(raised) is AbortCode.UNAUTHENTICATED
    verifier.verify(frame)  # a forgery does not move the window


@pytest.mark.parametrize("receiver", [DEVICE.id, EVERYBODY])
def test_a_frame_for_another_receiver_is_refused(receiver: bytes) -> None:
    _, verifier = pair()
    signer = Signer(DEVICE, PartyId(receiver), 9)
    with pytest.raises(PeerProtocolError, match="another federation or receiver"):
        verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))


def test_a_frame_of_another_federation_is_refused() -> None:
    stranger = Federation(b"other", b"federation-00002").issue(Role.DEVICE, "device")
    _, verifier = pair()
    signer = Signer(stranger, PartyId(AGGREGATOR.id), 9)
    with pytest.raises(PeerProtocolError, match="another federation"):
        verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))


def test_a_frame_of_another_sender_is_refused() -> None:
    other = FEDERATION.issue(Role.DEVICE, "other")
    _, verifier = pair()
    frame = Signer(other, PartyId(AGGREGATOR.id), 9).sign(ADDRESS, MESSAGE, b"x")
    with pytest.raises(PeerProtocolError) as raised:
        verifier.verify(frame)
    assert code_of(raised) is AbortCode.UNAUTHENTICATED


def test_garbage_is_malformed() -> None:
    signer, verifier = pair()
    frame = signer.sign(ADDRESS, MESSAGE, b"x")
    with pytest.raises(PeerProtocolError) as raised:
        verifier.verify(replace(frame, header=bytes(128)))
    assert code_of(raised) is AbortCode.MALFORMED


def test_a_renewed_certificate_is_of_the_same_party() -> None:
    signer, verifier = pair()
    verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))
    verifier.renew(DEVICE.certificate)
    with pytest.raises(PeerProtocolError):
        verifier.renew(AGGREGATOR.certificate)
    verifier.verify(signer.sign(ADDRESS, MESSAGE, b"x"))


def test_certificates_are_accepted_by_authority_role_time_and_revocation() -> None:
    accept_certificate(AGGREGATOR, DEVICE.certificate, (Role.DEVICE, Role.OPERATOR), NOW)
    stranger = Federation(b"other", b"federation-00002").issue(Role.DEVICE, "device")
    revoked = replace(AGGREGATOR, revocations=FEDERATION.revoke(2, (DEVICE.certificate.serial,)))
    for identity, certificate, roles, now in (
        (AGGREGATOR, DEVICE.certificate, (Role.AGGREGATOR,), NOW),
        (AGGREGATOR, DEVICE.certificate, (Role.DEVICE,), NOW + 2 * 365 * 86_400),
        (AGGREGATOR, stranger.certificate, (Role.DEVICE,), NOW),
        (revoked, DEVICE.certificate, (Role.DEVICE,), NOW),
    ):
        with pytest.raises(PeerProtocolError) as raised:
            accept_certificate(identity, certificate, roles, now)
        assert code_of(raised) is AbortCode.UNAUTHENTICATED


def request(asked: ControlRequest) -> Request:
    return Request(1, asked)


OPENING = RoundOpening(b"x", RoundPlan("toy/1", "sum", b"{}"))
MAY: tuple[tuple[Message, set[Role]], ...] = (
    (MESSAGE, {Role.DEVICE, Role.AGGREGATOR}),
    (CheckIn(()), {Role.DEVICE}),
    (TellDone(1), {Role.DEVICE}),
    (OPENING, {Role.AGGREGATOR}),
    (TaskClosed("done"), {Role.AGGREGATOR}),
    (Reply(1, TaskList(())), {Role.AGGREGATOR}),
    (request(ListTasks()), {Role.OPERATOR, Role.VIEWER}),
    (request(ListDevices()), {Role.OPERATOR, Role.VIEWER}),
    (request(Cancel(TaskId(b"t" * 16))), {Role.OPERATOR, Role.VIEWER}),
    (NotNeeded(60.0), {Role.AGGREGATOR}),
)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(("message", "roles"), MAY)
def test_who_may_say_what(message: Message, roles: set[Role], role: Role) -> None:
    """5.1: a device signs device messages, an aggregator its own, people send requests."""
    if role in roles:
        check_role(role, message)
    else:
        with pytest.raises(PeerProtocolError) as raised:
            check_role(role, message)
        assert code_of(raised) is AbortCode.UNEXPECTED


def test_the_stage_byte() -> None:
    assert stage_of(MESSAGE) == 11
    assert stage_of(OPENING) == 8
    assert stage_of(CheckIn(())) == 0


@pytest.mark.parametrize(
    ("inside", "outside", "code"),
    [
        (MalformedError("m"), PeerProtocolError, AbortCode.MALFORMED),
        (AuthenticationError("a"), PeerProtocolError, AbortCode.UNAUTHENTICATED),
        (Refused(RefusalCode.O1, "r"), PeerProtocolError, AbortCode.REFUSED),
        (ParameterError("p"), ConfigError, None),
        (IllegalInputError("i"), LocalProtocolError, None),
    ],
)
def test_errors_at_the_border(
    inside: Exception, outside: type[Exception], code: AbortCode | None
) -> None:
    with pytest.raises(outside) as raised, crypto_border():
        raise inside
    assert raised.value.__cause__ is inside
    if isinstance(raised.value, PeerProtocolError):
        assert raised.value.code is code


CHANGES: tuple[ControlRequest, ...] = (
    Submit("toy/1", b"{}", Cohort(3, 3)),
    Cancel(TaskId(b"t" * 16)),
    Pause(TaskId(b"t" * 16)),
    Resume(TaskId(b"t" * 16)),
    AskTask(TaskId(b"t" * 16), "count"),
)
LOOKS: tuple[ControlRequest, ...] = (
    ListTasks(),
    ListDevices(),
    Watch(TaskId(b"t" * 16)),
    FetchResult(TaskId(b"t" * 16)),
    FetchHistory(TaskId(b"t" * 16)),
)


def test_an_operator_may_change_things_and_a_viewer_only_look() -> None:
    for asked in (*CHANGES, *LOOKS):
        assert refusal_of_request(Role.OPERATOR, asked) == ""
    for asked in LOOKS:
        assert refusal_of_request(Role.VIEWER, asked) == ""
    for asked in CHANGES:
        text = refusal_of_request(Role.VIEWER, asked)
        assert text.endswith(f"{type(asked).__name__.lower()} takes an operator's identity")


def test_every_request_is_a_change_or_a_look() -> None:
    assert {type(each) for each in (*CHANGES, *LOOKS)} == set(ControlRequest.__args__)
