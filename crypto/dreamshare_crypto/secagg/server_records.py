"""The bodies of the aggregator's journal records (docs/protocol.md 9.8).

Rules:
- what is recorded is what was accepted, and where a stage ended: reading it back through the same
  code gives the state after the last record;
- a vector is in no record: the running sum of those that came is, with the bitmap of whose they
  are, once for each group that is acknowledged together. It is never more to write than the vectors
  of the group, and one sum is all that is kept;
- everything here is public or was sent to the aggregator; decoding damage raises MalformedError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Self

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.secagg.events import (
    AbortReason,
    EndReason,
    FaultReason,
    Record,
    RecordKind,
    Stage,
)
from dreamshare_crypto.secagg.records import RecordBody
from dreamshare_crypto.secagg.round_messages import MOST_MEMBERS
from dreamshare_crypto.transcript import Reader, Writer

_MOST = 2**32 - 1

SET_UP = frozenset(
    {
        RecordKind.SERVER_ASKED,
        RecordKind.SERVER_TOOK,
        RecordKind.SERVER_BOXES,
        RecordKind.SERVER_MOVED,
        RecordKind.SERVER_READY,
    }
)
"""Records of an epoch's set-up."""

ROUND = frozenset(
    {
        RecordKind.SERVER_ROUND,
        RecordKind.SERVER_HEARD,
        RecordKind.SERVER_SUM,
        RecordKind.SERVER_FIXED,
        RecordKind.SERVER_AGREED,
    }
)
"""Records of a round that nobody needs once its sum was merged or another round is open."""

SUPERSEDES: Mapping[RecordKind, frozenset[RecordKind]] = MappingProxyType(
    {
        RecordKind.SERVER_EPOCH: SET_UP
        | ROUND
        | {RecordKind.SERVER_EPOCH, RecordKind.SERVER_ENDED},
        RecordKind.SERVER_READY: frozenset({RecordKind.SERVER_BOXES}),
        RecordKind.SERVER_ROUND: ROUND,
        RecordKind.SERVER_SUM: frozenset({RecordKind.SERVER_SUM}),
    }
)
"""By kind, the kinds of which a record of it makes all earlier ones of the task superfluous."""


@dataclass(frozen=True, slots=True)
class AskedRecord(RecordBody):
    """Who was offered the epoch of the record before this one."""

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_ASKED

    candidates: tuple[bytes, ...]

    def encode(self) -> bytes:
        return Writer().list(self.candidates, lambda w, device: w.raw(device, 16)).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.list(lambda r: r.raw(16), _MOST))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class TookRecord:
    """A device's first message of a stage was accepted.

    Attributes:
        stage: which message.
        device: who sent it.
        taken_at: Unix microseconds; certificates were looked at then.
        body: the message; of a MaskedInput what was signed of it, without the vector.
    """

    stage: Stage
    device: bytes
    taken_at: int
    body: bytes

    @property
    def kind(self) -> RecordKind:
        """Boxes and rounds are kept for a shorter time than the rest."""
        match self.stage:
            case Stage.ADVERTISE | Stage.REVEAL | Stage.READY:
                return RecordKind.SERVER_TOOK
            case Stage.SHARES:
                return RecordKind.SERVER_BOXES
            case _:
                return RecordKind.SERVER_HEARD

    def record(self) -> Record:
        """Return the journal record."""
        return Record(self.kind, self.encode())

    def encode(self) -> bytes:
        """Return the canonical bytes of the body."""
        head = Writer().u8(self.stage).raw(self.device, 16).u64(self.taken_at)
        return head.raw(self.body).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        stage, device, taken_at = reader.u8(), reader.raw(16), reader.u64()
        if stage not in tuple(Stage):
            raise MalformedError(f"unknown stage {stage} of a message")
        return cls(Stage(stage), device, taken_at, reader.raw(reader.remaining))


@dataclass(frozen=True, slots=True)
class MovedRecord:
    """A stage of the set-up is over; nobody is read in it any more.

    Attributes:
        stage: the message that it took.
    """

    stage: Stage

    @property
    def kind(self) -> RecordKind:
        """The last one of an epoch makes its boxes superfluous."""
        last = self.stage is Stage.READY
        return RecordKind.SERVER_READY if last else RecordKind.SERVER_MOVED

    def record(self) -> Record:
        """Return the journal record."""
        return Record(self.kind, self.encode())

    def encode(self) -> bytes:
        """Return the canonical bytes of the body."""
        return Writer().u8(self.stage).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        stage = reader.u8()
        reader.end()
        if stage not in tuple(Stage):
            raise MalformedError(f"unknown stage {stage} of a set-up")
        return cls(Stage(stage))


@dataclass(frozen=True, slots=True)
class RoundRecord(RecordBody):
    """A round is open.

    Attributes:
        reveal_ms: milliseconds for agreeing and for each attempt at unmasking.
        start: the signed RoundStart.
    """

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_ROUND

    reveal_ms: int
    start: bytes

    def encode(self) -> bytes:
        return Writer().u64(self.reveal_ms).raw(self.start).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        return cls(reader.u64(), reader.raw(reader.remaining))


@dataclass(frozen=True, slots=True)
class SumRecord(RecordBody):
    """What the vectors that came so far add up to.

    Attributes:
        members: roster indices of those whose vectors are in it.
        n: size of the roster.
        total: little-endian 64-bit words.
    """

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_SUM

    members: frozenset[int]
    n: int
    total: bytes

    def encode(self) -> bytes:
        head = Writer().u32(self.n).bitmap(self.members, self.n).raw(self._digest(), 32)
        return head.raw(self.total).finish()

    def _digest(self) -> bytes:
        bitmap = Writer().bitmap(self.members, self.n).finish()
        return hash_parts("sa2/v1/journal-sum", bitmap, self.total)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        n = reader.u32()
        if n > MOST_MEMBERS:
            raise MalformedError(f"a sum over a roster of {n}")
        members, digest = reader.bitmap(n), reader.raw(32)
        record = cls(members, n, reader.raw(reader.remaining))
        if record._digest() != digest:
            raise MalformedError("a sum that is not the one that was stored")
        return record


@dataclass(frozen=True, slots=True)
class OverRecord(RecordBody):
    """The epoch of the task is over, whatever stands before this record."""

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_ENDED

    reason: EndReason

    def encode(self) -> bytes:
        return Writer().var(self.reason.encode()).finish()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a round leaves behind for the later ones of its epoch, by roster index.

    Attributes:
        active: who the next round is open to.
        missed: how many rounds each of them missed.
        marks: edges, dealer and holder, on which somebody lied (11.3).
        faulty: who stays out, and what gave it away.
    """

    active: frozenset[int]
    missed: Mapping[int, int] = field(default_factory=dict)
    marks: frozenset[tuple[int, int]] = frozenset()
    faulty: Mapping[int, FaultReason] = field(default_factory=dict)

    def write(self, writer: Writer) -> None:
        """Append the canonical bytes."""
        writer.list(sorted(self.active), lambda w, index: w.u32(index))
        writer.list(sorted(self.missed.items()), _write_pair)
        writer.list(sorted(self.marks), _write_pair)
        writer.list(sorted(self.faulty.items()), _write_pair)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read what `write` wrote."""
        active = frozenset(reader.list(lambda r: r.u32(), _MOST))
        missed, marks, faulty = (reader.list(_read_pair, _MOST) for _ in range(3))
        if any(reason not in tuple(FaultReason) for _, reason in faulty):
            raise MalformedError("an unknown reason of a fault")
        reasons = {index: FaultReason(reason) for index, reason in faulty}
        return cls(active, dict(missed), frozenset(marks), reasons)


@dataclass(frozen=True, slots=True)
class DoneRecord(RecordBody):
    """A round ended.

    Attributes:
        round: its number.
        reason: why it was given up, None where there is a result.
        answered: whether a device may have answered in it (7.1).
        standing: what it leaves behind.
        message: the signed RoundResult or RoundAbort.
    """

    KIND: ClassVar[RecordKind] = RecordKind.SERVER_DONE

    round: int
    reason: AbortReason | None
    answered: bool
    standing: Standing
    message: bytes

    def encode(self) -> bytes:
        writer = Writer().u32(self.round).u8(self.reason or 0).u8(self.answered)
        self.standing.write(writer)
        return writer.raw(self.message).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        number, reason, answered = reader.u32(), reader.u8(), reader.u8()
        if answered > 1 or reason not in (0, *AbortReason):
            raise MalformedError("a round that ended in no known way")
        standing = Standing.read(reader)
        why = AbortReason(reason) if reason else None
        return cls(number, why, bool(answered), standing, reader.raw(reader.remaining))


def _write_pair(writer: Writer, pair: tuple[int, int]) -> None:
    writer.u32(pair[0]).u32(pair[1])


def _read_pair(reader: Reader) -> tuple[int, int]:
    return reader.u32(), reader.u32()
