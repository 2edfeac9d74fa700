"""Journal records of profile K: which random graphs a device was in (docs/protocol.md 6.3, 9.1).

Rules:
- DRAWN goes with ROSTER, before a nonce leaves, and outlives the session: the aggregator can draw
  another graph by another roster, and a device counts how often it has;
- SEEDED goes before the peer keys are used; the graph follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from dreamshare_crypto.secagg.events import RecordKind
from dreamshare_crypto.secagg.records import RecordBody
from dreamshare_crypto.transcript import Reader, Writer


@dataclass(frozen=True, slots=True)
class DrawnRecord(RecordBody):
    """Profile K: a roster was accepted whose graph is drawn at random. Outlives the session (6.3).

    Attributes:
        epoch: of the roster.
        roster_digest: rd; the same roster counts once.
        drawn_at: when, Unix seconds.
    """

    KIND: ClassVar[RecordKind] = RecordKind.DRAWN

    epoch: int
    roster_digest: bytes
    drawn_at: int

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).raw(self.roster_digest, 32).u64(self.drawn_at).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64(), reader.raw(32), reader.u64())
        reader.end()
        return record


@dataclass(frozen=True, slots=True)
class SeededRecord(RecordBody):
    """Profile K: what the seeders revealed gives this graph_seed."""

    KIND: ClassVar[RecordKind] = RecordKind.SEEDED

    epoch: int
    seed: bytes

    def encode(self) -> bytes:
        return Writer().u64(self.epoch).raw(self.seed, 32).finish()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        reader = Reader(body)
        record = cls(reader.u64(), reader.raw(32))
        reader.end()
        return record
