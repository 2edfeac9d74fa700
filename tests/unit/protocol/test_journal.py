"""The memory journal keeps what it was given, and its copy is what a crash leaves."""

from __future__ import annotations

from dreamshare.protocol.journal import Journal, MemoryJournal
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.secagg.events import Record, RecordKind


def test_records_in_order_and_slots_overwritten() -> None:
    journal: Journal = MemoryJournal()
    journal.append(Record(RecordKind.EPOCH, b"1"), sync=True)
    journal.append(Record(RecordKind.ROSTER, b"2"), sync=False)
    journal.keep("chain", Secret(b"old"))
    journal.keep("chain", Secret(b"new"))
    journal.keep("seed", Secret(b"seed"))
    journal.forget("seed")
    journal.forget("never there")
    assert [record.body for record in journal.records()] == [b"1", b"2"]
    assert journal.slots() == {"chain": Secret(b"new")}
    assert not journal.blocks


def test_a_copy_does_not_follow() -> None:
    journal = MemoryJournal()
    journal.append(Record(RecordKind.EPOCH, b"1"), sync=True)
    copy = journal.copy()
    journal.append(Record(RecordKind.ROSTER, b"2"), sync=True)
    journal.keep("chain", Secret(b"x"))
    assert len(copy.records()) == 1
    assert copy.slots() == {}
