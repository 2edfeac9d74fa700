"""Every decoder of SA-2's messages and records in one place, for tests that go through them all."""

from __future__ import annotations

from collections.abc import Callable

from dreamshare_crypto.secagg.epoch_messages import (
    Advertise,
    Deliver,
    PeerKeys,
    Ready,
    Roster,
    Shares,
)
from dreamshare_crypto.secagg.events import RecordKind, Stage
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.secagg.records import (
    AgreeRecord,
    AnswerRecord,
    ChargeRecord,
    ClosedRecord,
    CommitRecord,
    EndedRecord,
    EpochRecord,
    RecordBody,
    RosterRecord,
    SeedErasedRecord,
    SessionRecord,
    SidRecord,
    VectorRecord,
)
from dreamshare_crypto.secagg.round_messages import MaskedInput, RoundAbort, RoundResult, RoundStart
from dreamshare_crypto.secagg.signed import Signed
from dreamshare_crypto.secagg.survivor_messages import (
    Agree,
    AgreeSet,
    Survivors,
    UnmaskResponse,
)

Message = Signed | PeerKeys | AgreeSet
Decoders = dict[Stage, Callable[[bytes], Message]]

RECORDS: dict[RecordKind, type[RecordBody]] = {
    body.KIND: body
    for body in (
        EpochRecord,
        RosterRecord,
        SidRecord,
        SessionRecord,
        SeedErasedRecord,
        CommitRecord,
        VectorRecord,
        AgreeRecord,
        AnswerRecord,
        ClosedRecord,
        EndedRecord,
        ChargeRecord,
    )
}


def decoders(n: int, rounds: int, words: int) -> Decoders:
    """Return a decoder per stage, for a roster of `n`, R = `rounds`, vectors of `words` words."""
    everybody = frozenset(range(n))
    return {
        Stage.OFFER: EpochOffer.decode,
        Stage.ADVERTISE: lambda raw: Advertise.decode(raw, rounds),
        Stage.ROSTER: Roster.decode,
        Stage.PEER_KEYS: lambda raw: PeerKeys.decode(raw, n - 1, rounds),
        Stage.SHARES: lambda raw: Shares.decode(raw, rounds),
        Stage.DELIVER: lambda raw: Deliver.decode(raw, rounds),
        Stage.READY: lambda raw: Ready.decode(raw, n),
        Stage.ROUND_START: lambda raw: RoundStart.decode(raw, n),
        Stage.MASKED_INPUT: lambda raw: MaskedInput.decode(raw, 8 * words),
        Stage.SURVIVORS: lambda raw: Survivors.decode(raw, n),
        Stage.AGREE: lambda raw: Agree.decode(raw, bytes(32), n, everybody),
        Stage.AGREE_SET: AgreeSet.decode,
        Stage.UNMASK_RESPONSE: lambda raw: UnmaskResponse.decode(raw, n),
        Stage.ROUND_RESULT: lambda raw: RoundResult.decode(raw, n),
        Stage.ROUND_ABORT: RoundAbort.decode,
    }
