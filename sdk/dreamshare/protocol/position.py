"""How far a device has come in a task's Tells, and the journal records that say so.

Rules:
- a Tell is journalled when it is heard (its number and hash) and again when it was learnt from;
  each is durable before the device acts on it or says so (docs/protocol.md, 9.1);
- Tells form a chain: number n+1 names the hash of number n as its `last_tell`;
- one number never has two contents; after a crash the aggregator sends the Tell again and the
  device compares it with what it had heard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from dreamshare.errors import LocalProtocolError
from dreamshare.protocol.messages import TellOrder
from dreamshare_crypto.secagg.events import Record, RecordKind

_BODY = struct.Struct("<BQ32s")


class _Mark(IntEnum):
    """First byte of an owner's record."""

    HEARD = 1
    LEARNT = 2


@dataclass(frozen=True, slots=True)
class TellPosition:
    """The newest Tell learnt from, and the one heard after it.

    Attributes:
        learnt: number of the newest Tell learnt from, 0 for none.
        learnt_hash: its hash, empty for none; every later plan must name it.
        heard_hash: hash of Tell `learnt + 1` where it was journalled but not yet learnt from.
    """

    learnt: int = 0
    learnt_hash: bytes = b""
    heard_hash: bytes = b""

    @classmethod
    def restore(cls, records: Iterable[Record]) -> TellPosition:
        """Replay the owner's records of a journal; others are skipped.

        Raises:
            LocalProtocolError: a record that this code never wrote.
        """
        position = cls()
        for record in records:
            if record.kind is not RecordKind.OWNER:
                continue
            try:
                mark, number, tell_hash = _BODY.unpack(record.body)
            except struct.error:
                raise LocalProtocolError("the journal holds an unreadable Tell record") from None
            position = position.hear(tell_hash) if mark == _Mark.HEARD else cls(number, tell_hash)
        return position

    def follows(self, order: TellOrder) -> bool:
        """Say whether this is the next Tell of the chain, and the one that was heard if any."""
        return (
            order.number == self.learnt + 1
            and order.plan.last_tell == self.learnt_hash
            and self.heard_hash in (b"", order.plan.payload().hash)
        )

    def hear(self, tell_hash: bytes) -> TellPosition:
        """Return the position after the next Tell was heard."""
        return replace(self, heard_hash=tell_hash)

    def learn(self) -> TellPosition:
        """Return the position after the heard Tell was learnt from."""
        return TellPosition(self.learnt + 1, self.heard_hash)

    def heard_record(self) -> Record:
        """Return the record to write before learning."""
        return Record(RecordKind.OWNER, _BODY.pack(_Mark.HEARD, self.learnt + 1, self.heard_hash))

    def learnt_record(self) -> Record:
        """Return the record to write before the acknowledgement."""
        return Record(RecordKind.OWNER, _BODY.pack(_Mark.LEARNT, self.learnt, self.learnt_hash))
