"""Every SA-2 message under one name; they are defined with the section that they belong to."""

from __future__ import annotations

from dreamshare_crypto.secagg.epoch_messages import (
    Advertise,
    Deliver,
    PeerKeys,
    Ready,
    Roster,
    RosterEntry,
    Shares,
)
from dreamshare_crypto.secagg.offer import Deadlines, EpochOffer, TemplateStep
from dreamshare_crypto.secagg.round_messages import MaskedInput, RoundAbort, RoundResult, RoundStart
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from dreamshare_crypto.secagg.survivor_messages import Agree, AgreeSet, Survivors, UnmaskResponse

__all__ = [
    "EpochOffer",
    "TemplateStep",
    "Deadlines",
    "Advertise",
    "RosterEntry",
    "Roster",
    "Reveal",
    "Seed",
    "PeerKeys",
    "Shares",
    "Deliver",
    "Ready",
    "RoundStart",
    "MaskedInput",
    "Survivors",
    "Agree",
    "AgreeSet",
    "UnmaskResponse",
    "RoundResult",
    "RoundAbort",
]
