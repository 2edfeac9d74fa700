"""The phases of both round machines, and which input may lead where.

Rules:
- a phase is a frozen dataclass that holds only what that phase needs; leaving it drops that;
- `PARTICIPANT_LEGAL` and `COORDINATOR_LEGAL` are literals from (phase type, input type) to the
  phases that may follow; a message counts as its own type, not as `Heard` or `HeardFrom`;
- a pair that is not in the table is illegal: a message of the peer raises PeerProtocolError, an
  input of our own LocalProtocolError, and neither changes anything;
- set-up, agreement and unmasking are phases of the secure-aggregation machines (docs/protocol.md,
  section 8); here a session is only used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dreamshare.errors import AbortCode, LocalProtocolError, PeerProtocolError
from dreamshare.ids import PartyId
from dreamshare.protocol.events import (
    Abandoned,
    Acknowledging,
    Asked,
    Computed,
    ComputeFailed,
    Connected,
    CoordinatorInput,
    Departed,
    Finished,
    Heard,
    HeardFrom,
    Held,
    Interrupted,
    Joined,
    LearnFailed,
    Learnt,
    ParticipantInput,
    Released,
    SendTo,
    Ticked,
    Told,
)
from dreamshare.protocol.messages import (
    Declined,
    DownMessage,
    RoundOpening,
    Sa2,
    TaskClosed,
    TellDone,
    TellOrder,
)
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Field, Update
from dreamshare_crypto.secagg.events import Send, Stage
from dreamshare_crypto.secagg.shard_messages import FromShard

if TYPE_CHECKING:  # the aggregator's half of the protocol: devices, too, read these phases
    from dreamshare_crypto.secagg.server import SecaggServer

# ---- participant ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pending:
    """A computation that still runs although its round is over; its result may serve the next."""

    payload_hash: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """An update that is ready before a round wants it, because the last round was given up."""

    payload_hash: bytes
    update: Update


@dataclass(frozen=True, slots=True)
class Resting:
    """No round of this task wants anything of the device's learner."""

    slot: Pending | Prepared | None = None


@dataclass(frozen=True, slots=True)
class Computing:
    """A round is committed to, and its update is being computed.

    Attributes:
        closed: the round ended without this device; its update is too late.
    """

    round: int
    payload_hash: bytes
    fields: tuple[Field, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Answering:
    """The masked input is out; the secure-aggregation machine does the rest."""

    round: int
    slot: Prepared


@dataclass(frozen=True, slots=True)
class Learning:
    """The device learns from a Tell; a round that opens meanwhile waits in `held`."""

    number: int
    tell_hash: bytes
    step: str
    held: RoundOpening | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The task is over, or its owner left it."""


ParticipantPhase = Resting | Computing | Answering | Learning | Gone

PARTICIPANT_LEGAL: Mapping[tuple[type, type], frozenset[type]] = {
    (Resting, Connected): frozenset({Resting}),
    (Resting, Sa2): frozenset({Resting}),
    (Resting, RoundOpening): frozenset({Resting, Computing, Answering}),
    (Resting, TellOrder): frozenset({Resting, Learning}),
    (Resting, TaskClosed): frozenset({Gone}),
    (Resting, Computed): frozenset({Resting}),
    (Resting, ComputeFailed): frozenset({Resting}),
    (Resting, Interrupted): frozenset({Resting}),
    (Resting, Ticked): frozenset({Resting}),
    (Resting, Abandoned): frozenset({Gone}),
    (Computing, Connected): frozenset({Computing}),
    (Computing, Sa2): frozenset({Computing, Resting}),
    (Computing, RoundOpening): frozenset({Computing, Answering, Resting}),
    (Computing, TellOrder): frozenset({Computing, Learning}),
    (Computing, TaskClosed): frozenset({Gone}),
    (Computing, Computed): frozenset({Computing, Answering, Resting}),
    (Computing, ComputeFailed): frozenset({Computing, Resting}),
    (Computing, Interrupted): frozenset({Resting}),
    (Computing, Ticked): frozenset({Computing, Resting}),
    (Computing, Abandoned): frozenset({Gone}),
    (Answering, Connected): frozenset({Answering}),
    (Answering, Sa2): frozenset({Answering, Resting}),
    (Answering, RoundOpening): frozenset({Answering, Computing, Resting}),
    (Answering, TellOrder): frozenset({Answering, Learning}),
    (Answering, TaskClosed): frozenset({Gone}),
    (Answering, Computed): frozenset({Answering}),
    (Answering, ComputeFailed): frozenset({Answering}),
    (Answering, Interrupted): frozenset({Answering}),
    (Answering, Ticked): frozenset({Answering, Resting}),
    (Answering, Abandoned): frozenset({Gone}),
    (Learning, Connected): frozenset({Learning}),
    (Learning, Sa2): frozenset({Learning}),
    (Learning, RoundOpening): frozenset({Learning}),
    (Learning, TellOrder): frozenset({Learning}),
    (Learning, TaskClosed): frozenset({Gone}),
    (Learning, Computed): frozenset({Learning}),
    (Learning, ComputeFailed): frozenset({Learning}),
    (Learning, Learnt): frozenset({Resting, Computing}),
    (Learning, LearnFailed): frozenset({Resting}),
    (Learning, Interrupted): frozenset({Resting}),
    (Learning, Ticked): frozenset({Learning}),
    (Learning, Abandoned): frozenset({Gone}),
    (Gone, Connected): frozenset({Gone}),
    (Gone, Sa2): frozenset({Gone}),
    (Gone, RoundOpening): frozenset({Gone}),
    (Gone, TellOrder): frozenset({Gone}),
    (Gone, TaskClosed): frozenset({Gone}),
    (Gone, Computed): frozenset({Gone}),
    (Gone, ComputeFailed): frozenset({Gone}),
    (Gone, Interrupted): frozenset({Gone}),
    (Gone, Ticked): frozenset({Gone}),
    (Gone, Abandoned): frozenset({Gone}),
}

# ---- coordinator ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gathering:
    """No epoch. `until`: when the grace for more devices ends; None while too few are here."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class SettingUp:
    """An epoch is being set up. `disturbed`: a device came or went, so failing proves nothing."""

    server: SecaggServer
    disturbed: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The epoch stands and no order is open."""

    server: SecaggServer


@dataclass(frozen=True, slots=True)
class Summing:
    """Round `round` is open for `plan`, draw and last Tell included."""

    server: SecaggServer
    plan: RoundPlan
    round: int


@dataclass(frozen=True, slots=True)
class Telling:
    """Devices fetch and learn Tells: a new one, or old ones before the next round opens.

    Attributes:
        server: the epoch that goes on afterwards, or None where none stands yet.
        sent_to: who was told.
        waiting: who has not acknowledged yet.
        until: when the machine stops waiting.
    """

    server: SecaggServer | None
    sent_to: frozenset[PartyId]
    waiting: frozenset[PartyId]
    until: float


@dataclass(frozen=True, slots=True)
class Over:
    """The task is over."""

    outcome: str


CoordinatorPhase = Gathering | SettingUp | Ready | Summing | Telling | Over

COORDINATOR_LEGAL: Mapping[tuple[type, type], frozenset[type]] = {
    (Gathering, Joined): frozenset({Gathering, SettingUp, Telling}),
    (Gathering, Departed): frozenset({Gathering}),
    (Gathering, Sa2): frozenset({Gathering}),
    (Gathering, Declined): frozenset({Gathering}),
    (Gathering, TellDone): frozenset({Gathering}),
    (Gathering, Asked): frozenset({Gathering, SettingUp, Ready, Summing, Telling, Over}),
    (Gathering, Told): frozenset({Gathering, SettingUp, Ready, Telling}),
    (Gathering, Ticked): frozenset({Gathering, SettingUp, Telling}),
    (Gathering, Held): frozenset({Gathering}),
    (Gathering, Released): frozenset({Gathering, SettingUp, Telling}),
    (Gathering, Acknowledging): frozenset({Gathering}),
    (Gathering, FromShard): frozenset({Gathering}),
    (Gathering, Finished): frozenset({Over}),
    (SettingUp, Joined): frozenset({SettingUp}),
    (SettingUp, Departed): frozenset({SettingUp, Gathering, Summing, Telling, Over}),
    (SettingUp, Sa2): frozenset({SettingUp, Gathering, Summing, Telling, Over}),
    (SettingUp, Declined): frozenset({SettingUp, Gathering, Summing, Telling, Over}),
    (SettingUp, TellDone): frozenset({SettingUp}),
    (SettingUp, Ticked): frozenset({SettingUp, Gathering, Summing, Telling, Over}),
    (SettingUp, Held): frozenset({SettingUp}),
    (SettingUp, Released): frozenset({SettingUp}),
    (SettingUp, Acknowledging): frozenset({SettingUp}),
    (SettingUp, FromShard): frozenset({SettingUp}),
    (SettingUp, Finished): frozenset({Over}),
    (Ready, Joined): frozenset({Ready, Summing, Telling, SettingUp, Gathering}),
    (Ready, Departed): frozenset({Ready, Summing, Telling, SettingUp, Gathering}),
    (Ready, Sa2): frozenset({Ready}),
    (Ready, Declined): frozenset({Ready}),
    (Ready, TellDone): frozenset({Ready}),
    (Ready, Asked): frozenset({Ready, Summing, Telling, SettingUp, Gathering}),
    (Ready, Told): frozenset({Telling, Ready}),
    (Ready, Ticked): frozenset({Ready, Summing, Telling, SettingUp, Gathering}),
    (Ready, Acknowledging): frozenset({Ready}),
    (Ready, FromShard): frozenset({Ready}),
    (Ready, Held): frozenset({Ready}),
    (Ready, Released): frozenset({Ready, Summing, Telling, SettingUp, Gathering}),
    (Ready, Finished): frozenset({Over}),
    (Summing, Joined): frozenset({Summing}),
    (Summing, Departed): frozenset({Summing, Ready, Gathering, SettingUp, Telling, Over}),
    (Summing, Sa2): frozenset({Summing, Ready, Gathering, SettingUp, Telling, Over}),
    (Summing, Declined): frozenset({Summing, Ready, Gathering, SettingUp, Telling, Over}),
    (Summing, TellDone): frozenset({Summing}),
    (Summing, Ticked): frozenset({Summing, Ready, Gathering, SettingUp, Telling, Over}),
    (Summing, Held): frozenset({Summing, Ready, Gathering}),
    (Summing, Released): frozenset({Summing}),
    (Summing, Acknowledging): frozenset({Summing}),
    (Summing, FromShard): frozenset({Summing, Ready, Gathering, SettingUp, Telling, Over}),
    (Summing, Finished): frozenset({Over}),
    (Telling, Joined): frozenset({Telling}),
    (Telling, Departed): frozenset({Telling, Ready, Gathering, Summing, SettingUp}),
    (Telling, Sa2): frozenset({Telling}),
    (Telling, Declined): frozenset({Telling, Ready, Gathering, Summing, SettingUp}),
    (Telling, TellDone): frozenset({Telling, Ready, Gathering, Summing, SettingUp}),
    (Telling, Ticked): frozenset({Telling, Ready, Gathering, Summing, SettingUp}),
    (Telling, Held): frozenset({Telling}),
    (Telling, Released): frozenset({Telling}),
    (Telling, Acknowledging): frozenset({Telling}),
    (Telling, FromShard): frozenset({Telling}),
    (Telling, Finished): frozenset({Over}),
    (Over, Joined): frozenset({Over}),
    (Over, Departed): frozenset({Over}),
    (Over, Sa2): frozenset({Over}),
    (Over, Declined): frozenset({Over}),
    (Over, TellDone): frozenset({Over}),
    (Over, Ticked): frozenset({Over}),
    (Over, Held): frozenset({Over}),
    (Over, Released): frozenset({Over}),
    (Over, Acknowledging): frozenset({Over}),
    (Over, FromShard): frozenset({Over}),
    (Over, Finished): frozenset({Over}),
}


def server_of(phase: CoordinatorPhase) -> SecaggServer | None:
    """Return the machine of the epoch that stands or is set up; None outside one."""
    match phase:
        case SettingUp(server) | Ready(server) | Summing(server) | Telling(server):
            return server
    return None


def sending(effect: Send, phase: CoordinatorPhase) -> SendTo:
    """Return what carries a message of the machine: a RoundStart goes with the round's plan."""
    message: DownMessage = Sa2(effect.stage, effect.body)
    if effect.stage is Stage.ROUND_START and isinstance(phase, Summing):
        message = RoundOpening(effect.body, phase.plan)
    return SendTo(tuple(PartyId(device) for device in effect.to), message)


def disturbed(phase: CoordinatorPhase) -> CoordinatorPhase:
    """Return the phase after a device came or went."""
    return replace(phase, disturbed=True) if isinstance(phase, SettingUp) else phase


def input_type(event: ParticipantInput | CoordinatorInput) -> type:
    """Return the type under which the tables know an input."""
    return type(event.message) if isinstance(event, Heard | HeardFrom) else type(event)


def check_legal(
    table: Mapping[tuple[type, type], frozenset[type]],
    phase: ParticipantPhase | CoordinatorPhase,
    event: ParticipantInput | CoordinatorInput,
) -> None:
    """Raise where the table has no place for this input in this phase.

    Raises:
        PeerProtocolError: a peer sent it (UNEXPECTED).
        LocalProtocolError: our own code gave it.
    """
    kind = input_type(event)
    if (type(phase), kind) in table:
        return
    text = f"{kind.__name__} has no place while {type(phase).__name__.lower()}"
    if isinstance(event, Heard | HeardFrom):
        raise PeerProtocolError(text, AbortCode.UNEXPECTED)
    raise LocalProtocolError(text)
