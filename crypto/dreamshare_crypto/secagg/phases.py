"""Where a device stands in the protocol, and which steps are legal (docs/protocol.md section 8).

Rules:
- a phase holds only what its state needs; leaving it drops the rest, secrets first of all;
- `LEGAL` says which phases an input may lead to. Staying in the same phase is always legal: that is
  what a refusal, an exact repeat and a dropped message do;
- every input may end the epoch (its life is over, or the message contradicts an earlier one), so
  `Idle` is in every row of a live phase.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamshare_crypto.secagg.dealing import Held
from dreamshare_crypto.secagg.events import (
    Abandoned,
    Computed,
    ComputeFailed,
    Refuse,
    Stage,
    Ticked,
)
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.round_messages import RoundStart
from dreamshare_crypto.secagg.schedule import EpochKeys
from dreamshare_crypto.secagg.session import Session
from dreamshare_crypto.secagg.survivor_messages import Survivors
from dreamshare_crypto.secagg.vault import Vault


@dataclass(frozen=True, slots=True)
class Idle:
    """No epoch."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """The offer was accepted and answered with `advertise`."""

    offer: EpochOffer
    offer_hash: bytes
    keys: EpochKeys
    advertise: bytes


@dataclass(frozen=True, slots=True)
class Rostered:
    """The roster was accepted; `own` is the device's index in it.

    `reveal` is what a seeder answers the roster with, None for everybody else. In profile K the
    session is not settled until the seed has come.
    """

    session: Session
    own: int
    keys: EpochKeys
    advertise: bytes
    reveal: bytes | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """Shares were dealt.

    Attributes:
        session, own, keys, advertise: as before.
        shown: hash of the PeerKeys message that `shares` answers.
        shares: the Shares message.
        held: what the device keeps of its own sharings, per round.
    """

    session: Session
    own: int
    keys: EpochKeys
    advertise: bytes
    shown: bytes
    shares: bytes
    held: Held = field(repr=False)


@dataclass(frozen=True, slots=True)
class Membership:
    """What a device keeps from the set-up for all rounds of the epoch.

    Attributes:
        session: the public facts.
        own: the device's roster index.
        vault: its sealed secrets.
        advertise, ready: its stored replies.
        delivered: hash of the Deliver message that `ready` answers.
    """

    session: Session
    own: int
    vault: Vault
    advertise: bytes
    delivered: bytes
    ready: bytes


@dataclass(frozen=True, slots=True)
class Commitment:
    """The round a device is bound to: the RoundStart it accepted, rctx, and Hb without draw."""

    start: RoundStart
    context: bytes
    base_hash: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """Shares are in place; no round was accepted yet."""

    member: Membership


@dataclass(frozen=True, slots=True)
class Committed:
    """A round was accepted and its update is being computed.

    Attributes:
        computing: a Compute was ordered and not answered; False after a restart.
        declined: what the device answered when it could not compute.
    """

    member: Membership
    commitment: Commitment
    computing: bool
    declined: Refuse | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The masked vector left: `masked` answers the RoundStart."""

    member: Membership
    commitment: Commitment
    masked: bytes


@dataclass(frozen=True, slots=True)
class Agreed:
    """The device stands by one set of survivors. Nothing is revealed yet.

    `agree` is a witness's signature, which answers it; None for who is no witness (profile K).
    """

    member: Membership
    commitment: Commitment
    masked: bytes
    survivors: Survivors
    agree: bytes | None


@dataclass(frozen=True, slots=True)
class Answered:
    """One share for each active device left in `response`; the round's secrets are gone.

    `agree` is the signature that went before, None in bounded mode (7.5) and for who is no witness.
    """

    member: Membership
    commitment: Commitment
    masked: bytes
    survivors: Survivors
    agree: bytes | None
    response: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The last accepted round is over; `last` binds the membership of the next (13.1)."""

    member: Membership
    last: Commitment


Phase = Idle | Advertised | Rostered | Shared | Ready | Committed | Sent | Agreed | Answered | Done
Live = Ready | Committed | Sent | Agreed | Answered | Done
"""Phases with a membership."""

InRound = Committed | Sent | Agreed | Answered
"""Phases with an open round."""

Input = Stage | type[Computed] | type[ComputeFailed] | type[Ticked] | type[Abandoned]
"""What a row of LEGAL is about: the stage of a received message, or the type of another input."""

_ENDS = frozenset({Idle})
_RENEWED = frozenset({Idle, Advertised})
_STARTED = frozenset({Idle, Committed})
_CLOSED = frozenset({Idle, Done})

LEGAL: Mapping[type[Phase], Mapping[Input, frozenset[type[Phase]]]] = {
    Idle: {Stage.OFFER: frozenset({Advertised})},
    Advertised: {Stage.OFFER: _RENEWED, Stage.ROSTER: frozenset({Idle, Rostered})},
    Rostered: {
        Stage.OFFER: _RENEWED,
        Stage.SEED: frozenset({Idle, Rostered}),
        Stage.PEER_KEYS: frozenset({Idle, Shared}),
    },
    Shared: {Stage.OFFER: _RENEWED, Stage.DELIVER: frozenset({Idle, Ready})},
    Ready: {Stage.OFFER: _RENEWED, Stage.ROUND_START: _STARTED},
    Committed: {
        Stage.OFFER: _RENEWED,
        Stage.ROUND_START: _STARTED,
        Computed: frozenset({Idle, Sent}),
    },
    Sent: {
        Stage.OFFER: _RENEWED,
        Stage.ROUND_START: _STARTED,
        Stage.SURVIVORS: frozenset({Idle, Agreed, Answered}),
        Stage.ROUND_RESULT: _CLOSED,
        Stage.ROUND_ABORT: _CLOSED,
    },
    Agreed: {
        Stage.OFFER: _RENEWED,
        Stage.ROUND_START: _STARTED,
        Stage.AGREE_SET: frozenset({Idle, Answered}),
        Stage.ROUND_RESULT: _CLOSED,
        Stage.ROUND_ABORT: _CLOSED,
    },
    Answered: {
        Stage.OFFER: _RENEWED,
        Stage.ROUND_START: _STARTED,
        Stage.ROUND_RESULT: _CLOSED,
        Stage.ROUND_ABORT: _CLOSED,
    },
    Done: {Stage.OFFER: _RENEWED, Stage.ROUND_START: _STARTED},
}
"""Phase -> input -> phases it may lead to. Any other input ends the epoch or changes nothing."""


def legal_next(phase: Phase, event: Input) -> frozenset[type[Phase]]:
    """Return every phase type that `event` may leave a device of this phase in."""
    return LEGAL[type(phase)].get(event, frozenset()) | _ENDS | {type(phase)}


def offer_of(phase: Phase) -> EpochOffer | None:
    """Return the offer of the phase's epoch."""
    match phase:
        case Idle():
            return None
        case Advertised():
            return phase.offer
        case Rostered() | Shared():
            return phase.session.offer
        case _:
            return phase.member.session.offer


def session_of(phase: Phase) -> Session | None:
    """Return the session of the phase, None before a roster was accepted."""
    match phase:
        case Idle() | Advertised():
            return None
        case Rostered() | Shared():
            return phase.session
        case _:
            return phase.member.session


def advertise_of(phase: Phase) -> bytes:
    """Return the stored answer to the phase's offer, empty when there is no epoch."""
    match phase:
        case Idle():
            return b""
        case Advertised() | Rostered() | Shared():
            return phase.advertise
        case _:
            return phase.member.advertise


def commitment_of(phase: Phase) -> Commitment | None:
    """Return the last round that the device committed to in this session."""
    match phase:
        case Committed() | Sent() | Agreed() | Answered():
            return phase.commitment
        case Done():
            return phase.last
        case _:
            return None
