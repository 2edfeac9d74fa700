"""The bodies of journal records (docs/protocol.md 9.1).

Rules:
- a record is written before the message that it precedes leaves, and holds what a restart needs to
  send the very same bytes again and to prove a contradiction: the signed messages themselves;
- secrets appear sealed only: the seed under the key in `SEED_SLOT`, rounds under the chain;
- decoding a damaged record raises MalformedError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.accounting import Charge
from dreamshare_crypto.errors import MalformedError, ParameterError
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.offer import EpochOffer
from dreamshare_crypto.transcript import Reader, Writer

SEED_SLOT = "seed-wrap"
"""The key slot of the key that seals an epoch's seed; empty once the seed is erased (9.4)."""

ROUNDING_SLOT = "rounding"
"""The key slot of the device's rounding key (12.6)."""

_MOST = 2**32 - 1


class RecordBody(ABC):
    """A record's content."""

    KIND: ClassVar[RecordKind]

    def record(self) -> Record:
        """Return the journal record."""
        return Record(self.KIND, self.encode())

    @abstractmethod
    def encode(self) -> bytes:
        """Return the canonical bytes of the body."""


@dataclass(frozen=True, slots=True)
class EpochRecord(RecordBody):
    """An offer was accepted: its bytes, the seed (sealed), and the answer that was prepared."""

    KIND: ClassVar[RecordKind] = RecordKind.EPOCH

    offer: EpochOffer
    sealed_seed: bytes
    advertise: bytes

    def encode(self) -> bytes:
        head = Writer().var(self.offer.encode()).var(self.sealed_seed)
        return head.var(self.advertise).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(EpochOffer.decode(reader.var(_MOST)), reader.var(_MOST), reader.var(_MOST))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class RosterRecord(RecordBody):
    """A roster was accepted."""

    KIND: ClassVar[RecordKind] = RecordKind.ROSTER

    epoch: int
    roster_digest: bytes
    roster: bytes

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).raw(self.roster_digest, 32).var(self.roster).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64(), reader.raw(32), reader.var(_MOST))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class SidRecord(RecordBody):
    """The session is named and shares may leave; the peers' round keys come along for rounds."""

    KIND: ClassVar[RecordKind] = RecordKind.SESSION_SID

    epoch: int
    session: bytes
    peer_keys: bytes

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).raw(self.session, 32).var(self.peer_keys).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64(), reader.raw(32), reader.var(_MOST))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class SessionRecord(RecordBody):
    """Shares are in place.

    Attributes:
        session: sid.
        n: roster size.
        x: the device's own x-coordinate.
        sealed: per round, the device's secrets sealed under w_r (9.3).
        delivered: hash of the Deliver message.
        ready: the Ready message, whose bitmap says which boxes were good.
    """

    KIND: ClassVar[RecordKind] = RecordKind.SESSION

    session: bytes
    n: int
    x: int
    sealed: tuple[bytes, ...]
    delivered: bytes
    ready: bytes

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.n).u32(self.x)
        writer.list(self.sealed, lambda w, sealed: w.var(sealed))
        return writer.raw(self.delivered, 32).var(self.ready).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(
            session=reader.raw(32),
            n=reader.u32(),
            x=reader.u32(),
            sealed=reader.list(lambda r: r.var(_MOST), _MOST),
            delivered=reader.raw(32),
            ready=reader.var(_MOST),
        )
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class SeedErasedRecord(RecordBody):
    """The seed's wrapping key is gone."""

    KIND: ClassVar[RecordKind] = RecordKind.SEED_ERASED

    epoch: int

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64())
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class CommitRecord(RecordBody):
    """A RoundStart was accepted; it holds A_r, Hb and the encoding.

    Attributes:
        session, round, context: sid, r, rctx.
        base_hash: Hb without the draw counter (13.3).
        start: the RoundStart message.
    """

    KIND: ClassVar[RecordKind] = RecordKind.COMMIT

    session: bytes
    round: int
    context: bytes
    base_hash: bytes
    start: bytes

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.round).raw(self.context, 32)
        return writer.raw(self.base_hash, 32).var(self.start).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(
            reader.raw(32), reader.u32(), reader.raw(32), reader.raw(32), reader.var(_MOST)
        )
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class VectorRecord(RecordBody):
    """A masked vector is about to leave, and what it costs in privacy (12.7).

    Attributes:
        session, round: sid, r.
        vector_hash: H(y).
        charge: what it costs.
        charged_at: when, Unix seconds.
        message: the MaskedInput message.
    """

    KIND: ClassVar[RecordKind] = RecordKind.VECTOR

    session: bytes
    round: int
    vector_hash: bytes
    charge: Charge
    charged_at: int
    message: bytes

    def spent(self) -> ChargeRecord:
        """Return what outlives the session: the charge without the vector (9.2)."""
        return ChargeRecord(self.session, self.round, self.charge, self.charged_at)

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.round).raw(self.vector_hash, 32)
        _write_charge(writer, self.charge)
        return writer.u64(self.charged_at).var(self.message).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(
            session=reader.raw(32),
            round=reader.u32(),
            vector_hash=reader.raw(32),
            charge=_read_charge(reader),
            charged_at=reader.u64(),
            message=reader.var(_MOST),
        )
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class ChargeRecord(RecordBody):
    """What a vector cost that left in a session which is over; the ledger outlives sessions (9.2).

    Attributes:
        session, round: sid, r; one of them has one charge.
        charge: what it cost.
        charged_at: when, Unix seconds.
    """

    KIND: ClassVar[RecordKind] = RecordKind.CHARGE

    session: bytes
    round: int
    charge: Charge
    charged_at: int

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.round)
        _write_charge(writer, self.charge)
        return writer.u64(self.charged_at).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.raw(32), reader.u32(), _read_charge(reader), reader.u64())
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class AgreeRecord(RecordBody):
    """The one set of survivors that the device stands by in this round."""

    KIND: ClassVar[RecordKind] = RecordKind.AGREE

    session: bytes
    round: int
    survivors_hash: bytes
    survivors: bytes

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.round)
        return writer.raw(self.survivors_hash, 32).var(self.survivors).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.raw(32), reader.u32(), reader.raw(32), reader.var(_MOST))
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class AnswerRecord(RecordBody):
    """The exact answer, and what has to be remembered of it beyond the session (13.3).

    `survivors` is the Survivors message that bounded mode answers; empty in agreed mode, where the
    AGREE record holds it. `active` are the ids of the active devices, sorted, where the device's
    operator wants rounds compared (13.4); else empty.
    """

    KIND: ClassVar[RecordKind] = RecordKind.ANSWER

    session: bytes
    round: int
    survivors_hash: bytes
    survivors: bytes
    response: bytes
    payload_hash: bytes
    base_hash: bytes
    answered_at: int
    active: tuple[bytes, ...]

    def encode(self) -> bytes:
        writer = Writer().raw(self.session, 32).u32(self.round).raw(self.survivors_hash, 32)
        writer.var(self.survivors).var(self.response)
        writer.raw(self.payload_hash, 32).raw(self.base_hash, 32)
        writer.u64(self.answered_at)
        return writer.list(self.active, lambda w, device: w.raw(device, 16)).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(
            session=reader.raw(32),
            round=reader.u32(),
            survivors_hash=reader.raw(32),
            survivors=reader.var(_MOST),
            response=reader.var(_MOST),
            payload_hash=reader.raw(32),
            base_hash=reader.raw(32),
            answered_at=reader.u64(),
            active=reader.list(lambda r: r.raw(16), _MOST),
        )
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class ClosedRecord(RecordBody):
    """The round is over for this device."""

    KIND: ClassVar[RecordKind] = RecordKind.CLOSED

    session: bytes
    round: int

    def encode(self) -> bytes:
        return Writer().raw(self.session, 32).u32(self.round).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.raw(32), reader.u32())
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class EndedRecord(RecordBody):
    """The epoch is over for this device; its secrets are destroyed next."""

    KIND: ClassVar[RecordKind] = RecordKind.ENDED

    epoch: int

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64())
        reader.end()
        return record


def _write_charge(writer: Writer, charge: Charge) -> None:
    writer.f64(charge.variance).f64(charge.l2).f64(charge.l1)


def _read_charge(reader: Reader) -> Charge:
    try:
        return Charge(reader.f64(), reader.f64(), reader.f64())
    except ParameterError as error:
        raise MalformedError(str(error)) from None
