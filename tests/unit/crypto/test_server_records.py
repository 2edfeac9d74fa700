"""Records of the aggregator's journal that cannot be (docs/protocol.md 17.35): each is refused."""

from __future__ import annotations

import pytest

from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.secagg import server_records as records
from dreamshare_crypto.transcript import Reader, Writer


def test_a_stage_that_does_not_exist() -> None:
    body = Writer().u8(250).raw(bytes(16)).u64(0).finish()
    with pytest.raises(MalformedError, match="unknown stage 250"):
        records.TookRecord.decode(body)


def test_a_sum_over_more_than_a_roster_can_hold() -> None:
    body = Writer().u32(2**32 - 1).finish()
    with pytest.raises(MalformedError, match="a sum over a roster"):
        records.SumRecord.decode(body)


def test_a_round_that_ended_in_no_known_way() -> None:
    for reason, answered in ((250, 0), (0, 2)):
        body = Writer().u32(0).u8(reason).u8(answered).finish()
        with pytest.raises(MalformedError, match="no known way"):
            records.DoneRecord.decode(body)


def test_a_fault_for_an_unknown_reason() -> None:
    writer = Writer()
    records.Standing(frozenset()).write(writer)
    whole = writer.finish()
    spoilt = whole[:-4] + Writer().u32(1).u32(0).u32(250).finish()
    assert records.Standing.read(Reader(whole)) == records.Standing(frozenset())
    with pytest.raises(MalformedError, match="unknown reason"):
        records.Standing.read(Reader(spoilt))


def test_a_sum_that_was_changed() -> None:
    stored = records.SumRecord(frozenset({0, 2}), 3, bytes(16)).encode()
    assert records.SumRecord.decode(stored).members == {0, 2}
    with pytest.raises(MalformedError, match="not the one that was stored"):
        records.SumRecord.decode(stored[:-1] + b"\1")
