"""Signed frames between one party and its peers (docs/protocol.md, section 14).

Rules:
- a party signs with its own key and numbers what it signs per receiver; (birth, sequence) grows;
- a certificate is checked once per connection, a signature per frame; federation and receiver are
  compared before the signature, a frame that does not grow is refused as a replay (14.1, 14.5);
- who may say what follows from the role in the certificate (5.1), checked after decoding;
- bodies are opaque here. Where somebody relays a connection they are sealed, and a body in clear is
  refused (17.32); where nobody does, both are taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.ids import EVERYBODY, NO_SESSION, PartyId, SessionId, TaskId
from dreamshare.protocol.border import crypto_border
from dreamshare.protocol.history import FetchHistory
from dreamshare.protocol.messages import (
    CheckIn,
    ControlRequest,
    Declined,
    FetchResult,
    ListDevices,
    ListTasks,
    Message,
    NotNeeded,
    Reply,
    Request,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
    Watch,
)
from dreamshare.protocol.sealing import GROUP_KEY_STAGE, Keyring
from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.envelope import Flag, Frame, Header, sign_frame, verify_frame
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage

_READS = (ListTasks, ListDevices, Watch, FetchResult, FetchHistory)
_UP = (CheckIn, Sa2, Declined, TellDone)
_DOWN = (Sa2, RoundOpening, TellOrder, TaskClosed, NotNeeded, Reply)


@dataclass(frozen=True, slots=True)
class Address:
    """What a frame is about: its task, session and round, as its header says."""

    task: TaskId
    session: SessionId = NO_SESSION
    round: int = 0


class Signer:
    """Signs what one party sends to one peer.

    Args:
        identity: the party's own.
        receiver: the peer's id.
        birth: grows with every start of the party's process.
    """

    def __init__(self, identity: Identity, receiver: PartyId, birth: int) -> None:
        self._identity = identity
        self._receiver = receiver
        self._birth = birth
        self._sequence = 0

    def sign(
        self, address: Address, message: Message, body: bytes, digest: bytes | None = None
    ) -> Frame:
        """Return the signed frame of `body`, the encoded `message`; SHA-256 of it, where known."""
        header = self.draft(address, stage_of(message))
        self.used(header)
        return sign_frame(self._identity.signing, header, body, digest)

    def draft(self, address: Address, stage: int) -> Header:
        """Return the header that the next frame would have; whoever sends it calls `used`."""
        return Header(
            federation=self._identity.federation,
            task=address.task,
            session=address.session,
            round=address.round,
            stage=stage,
            sender=self._identity.id,
            receiver=self._receiver,
            birth=self._birth,
            sequence=self._sequence + 1,
        )

    def is_next(self, header: Header) -> bool:
        """Say whether a draft is still that of the next frame."""
        return (header.birth, header.sequence) == (self._birth, self._sequence + 1)

    def used(self, header: Header) -> None:
        """The frame of this draft is on its way."""
        self._sequence = header.sequence


class Verifier:
    """Checks what one peer sends to one party; it outlives connections.

    Args:
        identity: the party's own.
        certificate: the peer's, already accepted by `accept_certificate`.
    """

    def __init__(self, identity: Identity, certificate: Certificate) -> None:
        self._identity = identity
        self._certificate = certificate
        self._keyring = Keyring(identity)
        self._last = (0, 0)

    @property
    def certificate(self) -> Certificate:
        """The peer's certificate."""
        return self._certificate

    def renew(self, certificate: Certificate) -> None:
        """Go on with another accepted certificate of the same peer.

        Raises:
            PeerProtocolError: UNAUTHENTICATED, it is another peer's.
        """
        if certificate.id != self._certificate.id:
            text = "a renewed certificate names another party"
            raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
        self._certificate = certificate

    def verify(self, frame: Frame, *, relayed: bool = False) -> Header:
        """Return the header of a frame that this peer sent to this party, and not before.

        Args:
            frame: as it came.
            relayed: somebody carries the connection who must not read it: sealed or refused.

        Raises:
            PeerProtocolError: MALFORMED; UNAUTHENTICATED; UNEXPECTED for a repeat or a body in
                clear.
        """
        with crypto_border():
            header = Header.decode(frame.header)
        broadcast = bool(header.flags & Flag.BROADCAST)
        receiver = EVERYBODY if broadcast else self._identity.id
        if (header.federation, header.receiver) != (self._identity.federation, receiver):
            text = "a frame for another federation or receiver"
            raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
        if broadcast and self._certificate.role is not Role.AGGREGATOR:
            text = "a broadcast of somebody who is no aggregator"
            raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
        took = self._keyring.growing(header) if broadcast else None
        with crypto_border():
            verify_frame(frame, self._certificate)
        if not header.flags & Flag.SEALED and (relayed or broadcast):
            text = "a body in clear, on a link that somebody relays"
            raise PeerProtocolError(text, AbortCode.UNEXPECTED)
        if took is not None:
            took()
            return header
        if (header.birth, header.sequence) <= self._last:
            raise PeerProtocolError("a frame that came before", AbortCode.UNEXPECTED)
        self._last = (header.birth, header.sequence)
        return header

    def unseal(self, header: Header, body: bytes) -> bytes | None:
        """Return what the body of a verified frame says; None for a group key, which is kept.

        Raises:
            PeerProtocolError: it does not open, or is no key of an aggregator's.
        """
        said = self._keyring.open(header, body) if header.flags else body
        if header.stage != GROUP_KEY_STAGE:
            return said
        if self._certificate.role is not Role.AGGREGATOR or header.flags != Flag.SEALED:
            raise PeerProtocolError("a group key that is not an aggregator's", AbortCode.UNEXPECTED)
        self._keyring.keep(header, said)
        return None


def accept_certificate(
    identity: Identity, certificate: Certificate, roles: Collection[Role], now: float
) -> None:
    """Check a peer's certificate: issuer, validity, federation, role, revocation (5.1, 5.7).

    Raises:
        PeerProtocolError: UNAUTHENTICATED; the text says what does not hold.
    """
    with crypto_border():
        certificate.verify(identity.authority_key, now)
        identity.revocations.check(certificate)
    if certificate.federation != identity.federation:
        text = "the peer's certificate is another federation's"
        raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)
    if certificate.role not in roles:
        wanted = " or ".join(role.name.lower() for role in roles)
        text = f"the peer's role is {certificate.role.name.lower()}; here talks {wanted}"
        raise PeerProtocolError(text, AbortCode.UNAUTHENTICATED)


def check_role(role: Role, message: Message) -> None:
    """Check that the holder of a certificate of this role may say this (5.1).

    A viewer's request is read, so that it can be refused in words: see `refusal_of_request`.

    Raises:
        PeerProtocolError: UNEXPECTED.
    """
    allowed = {
        Role.DEVICE: isinstance(message, _UP),
        Role.AGGREGATOR: isinstance(message, _DOWN),
        Role.OPERATOR: isinstance(message, Request),
        Role.VIEWER: isinstance(message, Request),
    }[role]
    if not allowed:
        what = type(message.request if isinstance(message, Request) else message).__name__
        text = f"{what} is not for a peer whose role is {role.name.lower()}"
        raise PeerProtocolError(text, AbortCode.UNEXPECTED)


def refusal_of_request(role: Role, request: ControlRequest) -> str:
    """Return why the holder of this role may not ask for this, in words; "" where it may (5.1)."""
    if role is Role.OPERATOR or (role is Role.VIEWER and isinstance(request, _READS)):
        return ""
    what = type(request).__name__.lower()
    return f"a viewer may list, watch and fetch; {what} takes an operator's identity"


def stage_of(message: Message) -> int:
    """Return the header's stage byte: the SA-2 stage, 0 for everything else."""
    match message:
        case Sa2(stage, _):
            return stage
        case RoundOpening():
            return Stage.ROUND_START
    return 0
