"""What must be durable before what leaves (docs/protocol.md 9.1), checked on all effects."""

from __future__ import annotations

from dreamshare.protocol import events
from dreamshare.protocol.messages import Deadlines, Sa2, TellDone, TellOrder
from dreamshare_crypto.secagg.events import Record, RecordKind, Stage

DEADLINES = Deadlines(setup_s=20.0, collect_s=40.0, reveal_s=10.0)

BEFORE = {
    Stage.ADVERTISE: RecordKind.EPOCH,
    Stage.SHARES: RecordKind.SESSION_SID,
    Stage.READY: RecordKind.SEED_ERASED,
    Stage.MASKED_INPUT: RecordKind.VECTOR,
    Stage.AGREE: RecordKind.AGREE,
    Stage.UNMASK_RESPONSE: RecordKind.ANSWER,
}
"""The record that a device writes before each message, when it writes one at all: a repeat of an
earlier message is sent without a new record."""

HOLDS_MESSAGE = (RecordKind.EPOCH, RecordKind.VECTOR, RecordKind.ANSWER)


def check_participant(effects: tuple[events.ParticipantEffect, ...]) -> None:
    """Records come before the messages that they cover, and are synced."""
    later = [effect.record for effect in effects if isinstance(effect, events.Persist)]
    for effect in effects:
        match effect:
            case events.Persist(record, sync):
                later.remove(record)
                assert sync or record.kind in (RecordKind.COMMIT, RecordKind.CLOSED)
            case events.Send(Sa2(stage, body)):
                late = [r for r in later if r.kind is BEFORE[stage] and _covers(r, body)]
                assert not late, f"{stage.name} left before its record"
            case events.Send(TellDone(number)) if number:
                owners = [r for r in later if r.kind is RecordKind.OWNER]
                assert not owners, "a Tell was acknowledged before it was journalled"
            case events.Learn():
                owners = [r for r in later if r.kind is RecordKind.OWNER]
                assert not owners, "learning began before the Tell was journalled"


def _covers(record: Record, body: bytes) -> bool:
    """Whether a record is about this message: those that hold messages say so by holding it."""
    return record.kind not in HOLDS_MESSAGE or body in record.body


def check_coordinator(effects: tuple[events.CoordinatorEffect, ...]) -> None:
    """A Tell is stored before it leaves; nothing follows Close."""
    waiting = [e.number for e in effects if isinstance(e, events.KeepTell)]
    for place, effect in enumerate(effects):
        match effect:
            case events.KeepTell(number, _):
                waiting.remove(number)
            case events.SendTo(_, TellOrder(number, _)):
                assert number not in waiting, "a Tell left before it was stored"
            case events.Close():
                assert place == len(effects) - 1
