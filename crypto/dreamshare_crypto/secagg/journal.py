"""Reading a journal back: the records of the last epoch, in their one legal order (9.1, 9.6).

Rules:
- every record has its place; a record that repeats, skips or contradicts an earlier one ends the
  session (J1), because then the journal does not say what left this device;
- records of earlier epochs matter to `Memory` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.graph_records import DrawnRecord, SeededRecord
from dreamshare_crypto.secagg.records import (
    AgreeRecord,
    AnswerRecord,
    ClosedRecord,
    CommitRecord,
    EpochRecord,
    RosterRecord,
    SeedErasedRecord,
    SessionRecord,
    SidRecord,
    VectorRecord,
)
from dreamshare_crypto.secagg.refusals import EpochRefused


@dataclass(frozen=True, slots=True)
class RoundRecords:
    """The records of the last committed round, as far as they were written."""

    commit: CommitRecord
    vector: VectorRecord | None = None
    agree: AgreeRecord | None = None
    answer: AnswerRecord | None = None
    closed: bool = False

    def add(self, record: VectorRecord | AgreeRecord | AnswerRecord | ClosedRecord) -> Self:
        """Return these records and the next one; EpochRefused (J1) when it does not follow."""
        _require((record.session, record.round) == (self.commit.session, self.commit.round))
        _require(not self.closed)
        match record:
            case VectorRecord():
                _require(self.vector is None)
                return replace(self, vector=record)
            case AgreeRecord():
                _require(self.vector is not None and self.agree is None)
                return replace(self, agree=record)
            case AnswerRecord():
                _require(self.vector is not None and self.answer is None)
                _require((self.agree is None) == bool(record.survivors))  # bounded mode: no AGREE
                _require(self.agree is None or self.agree.survivors_hash == record.survivors_hash)
                return replace(self, answer=record)
            case ClosedRecord():
                _require(self.vector is not None)
                return replace(self, closed=True)


@dataclass(frozen=True, slots=True)
class EpochRecords:
    """The records of an epoch that has not ended, as far as they were written."""

    epoch: EpochRecord
    roster: RosterRecord | None = None
    seeded: SeededRecord | None = None
    sid: SidRecord | None = None
    session: SessionRecord | None = None
    seed_erased: bool = False
    round: RoundRecords | None = None

    def add(self, record: Record) -> Self:
        """Return these records and the next one; EpochRefused (J1) when it does not follow."""
        body, number = record.body, self.epoch.offer.epoch
        match record.kind:
            case RecordKind.DRAWN:
                drawn = DrawnRecord.decode(body)
                _require(self.roster is None and drawn.epoch == number)
                return self  # what it says is for the device's memory
            case RecordKind.ROSTER:
                roster = RosterRecord.decode(body)
                _require(self.roster is None and roster.epoch == number)
                return replace(self, roster=roster)
            case RecordKind.SEEDED:
                seeded = SeededRecord.decode(body)
                _require(self.roster is not None and self.sid is None and self.seeded is None)
                _require(seeded.epoch == number)
                return replace(self, seeded=seeded)
            case RecordKind.SESSION_SID:
                sid = SidRecord.decode(body)
                _require(self.roster is not None and self.sid is None and sid.epoch == number)
                return replace(self, sid=sid)
            case RecordKind.SESSION:
                session = SessionRecord.decode(body)
                _require(self.sid is not None and self.session is None)
                _require(self.sid is None or self.sid.session == session.session)
                return replace(self, session=session)
            case RecordKind.SEED_ERASED:
                erased = SeedErasedRecord.decode(body)
                _require(self.session is not None and erased.epoch == number)
                return replace(self, seed_erased=True)
            case _:
                return replace(self, round=self._add_round(record))

    def _add_round(self, record: Record) -> RoundRecords:
        body, current = record.body, self.round
        if record.kind is RecordKind.COMMIT:
            commit = CommitRecord.decode(body)
            _require(self.session is not None and commit.session == self.session.session)
            _require(current is None or current.commit.round < commit.round)
            return RoundRecords(commit)
        if current is None:
            raise _contradicted()
        match record.kind:
            case RecordKind.VECTOR:
                return current.add(VectorRecord.decode(body))
            case RecordKind.AGREE:
                return current.add(AgreeRecord.decode(body))
            case RecordKind.ANSWER:
                return current.add(AnswerRecord.decode(body))
            case RecordKind.CLOSED:
                return current.add(ClosedRecord.decode(body))
            case _:
                raise _contradicted()


def read_last_epoch(records: Sequence[Record]) -> EpochRecords | None:
    """Return the records of the epoch that is running, None when none is.

    An epoch that ended is over whatever stands before its ENDED record: it may have ended because
    the records contradict each other.

    Raises:
        EpochRefused: J1, the records contradict each other.
        MalformedError: a record cannot be read.
    """
    starts = [i for i, record in enumerate(records) if record.kind is RecordKind.EPOCH]
    if not starts or records[-1].kind is RecordKind.ENDED:
        return None
    epoch = EpochRecords(EpochRecord.decode(records[starts[-1]].body))
    for record in records[starts[-1] + 1 :]:
        epoch = epoch.add(record)
    return epoch


def _require(holds: bool) -> None:
    if not holds:
        raise _contradicted()


def _contradicted() -> EpochRefused:
    return EpochRefused(RefusalCode.J1, "the journal contradicts itself")
