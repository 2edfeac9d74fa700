"""The chain of Tells on both ends: the aggregator's list and a device's position in it."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.errors import LocalProtocolError
from dreamshare.ids import PartyId
from dreamshare.protocol.events import SendTo
from dreamshare.protocol.messages import TellOrder
from dreamshare.protocol.phases import Gathering, Telling
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.position import TellPosition
from dreamshare.protocol.tells import Tells
from dreamshare_crypto.secagg.events import Record, RecordKind

DEVICE = PartyId(b"d" * 16)


def plan(cycle: int) -> RoundPlan:
    return RoundPlan("toy/1", "tell", b"{}", cycle, tensors={"x": np.arange(cycle + 1.0)})


def test_each_tell_names_the_one_before() -> None:
    tells = Tells()
    first, second = tells.add(plan(1)), tells.add(plan(2))
    assert first is not None
    assert second is not None
    assert first.last_tell == b""
    assert second.last_tell == first.payload().hash
    assert tells.last_hash == second.payload().hash
    assert tells.count == 2


def test_the_last_tell_told_again_is_no_new_one() -> None:
    """After a restart the owner tells what it told last; the same content later is a new Tell."""
    tells = Tells()
    first = tells.add(plan(1))
    assert first is not None
    assert tells.add(plan(1)) is None
    assert tells.add(plan(2)) is not None
    assert Tells([first]).add(plan(1)) is None
    assert tells.add(plan(2)) is None
    assert tells.add(plan(1)) is not None
    assert tells.count == 3


def said(tells: Tells, number: int) -> tuple[SendTo, ...]:
    """Return what the device is sent after it said how far it is."""
    return tells.hear(Gathering(), DEVICE, number, 0.0)[1]


def test_a_device_gets_one_after_the_other() -> None:
    tells = Tells()
    assert not tells.is_behind(DEVICE)
    tells.add(plan(1))
    second = tells.add(plan(2))
    assert second is not None
    assert tells.is_behind(DEVICE)
    assert said(tells, 1) == (SendTo((DEVICE,), TellOrder(2, second)),)
    assert said(tells, 2) == ()
    assert not tells.is_behind(DEVICE)


def test_each_is_sent_once_until_something_may_be_lost() -> None:
    tells = Tells([plan(1)])
    assert len(said(tells, 0)) == 1
    assert said(tells, 0) == ()
    tells.round_begins()
    assert len(said(tells, 0)) == 1
    tells.came(DEVICE)
    assert len(said(tells, 0)) == 1
    said(tells, 1)
    assert said(tells, 0) == ()  # it lost its store without coming anew: what it says counts
    assert tells.is_behind(DEVICE)


def test_getting_further_earns_time_once() -> None:
    tells = Tells([plan(1), plan(2)])
    phase, sends = tells.begin(None, (DEVICE,), until=10.0)
    assert phase == Telling(None, frozenset({DEVICE}), frozenset({DEVICE}), 10.0)
    assert len(sends) == 1
    for number, until in ((0, 10.0), (1, 12.0), (0, 12.0), (1, 12.0)):
        after, _ = tells.hear(phase, DEVICE, number, until=12.0)
        assert isinstance(after, Telling)
        assert (after.until, after.waiting) == (until, {DEVICE})
        phase = after
    after, _ = tells.hear(phase, DEVICE, 2, until=14.0)
    assert isinstance(after, Telling)
    assert after.waiting == frozenset()


def test_a_position_is_what_its_records_say() -> None:
    position = TellPosition()
    records: list[Record] = []
    for number in (1, 2):
        heard = position.hear(bytes([number]) * 32)
        records.append(heard.heard_record())
        assert TellPosition.restore(records) == heard
        position = heard.learn()
        records.append(position.learnt_record())
        assert TellPosition.restore(records) == position
    assert (position.learnt, position.learnt_hash) == (2, b"\x02" * 32)
    foreign = Record(RecordKind.EPOCH, b"not ours")
    assert TellPosition.restore([foreign, *records]) == position


def test_an_unreadable_record_is_an_error() -> None:
    with pytest.raises(LocalProtocolError):
        TellPosition.restore([Record(RecordKind.OWNER, b"short")])


def test_what_follows_a_position() -> None:
    chained = RoundPlan("toy/1", "tell", b"{}", last_tell=b"h" * 32)
    position = TellPosition(1, b"h" * 32)
    assert position.follows(TellOrder(2, chained))
    assert not position.follows(TellOrder(3, chained))
    assert not position.follows(TellOrder(2, plan(2)))  # names no Tell before it
    heard = position.hear(chained.payload().hash)
    assert heard.follows(TellOrder(2, chained))
    other = RoundPlan("toy/1", "other", b"{}", last_tell=b"h" * 32)
    assert not heard.follows(TellOrder(2, other))
