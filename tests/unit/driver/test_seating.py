"""Who answers a request at a broker: the root's word, shards that come and go, operators."""

from __future__ import annotations

from typing import cast

import pytest

from dreamshare.driver.seating import Seating, Shard
from dreamshare.driver.trunk import Trunk
from dreamshare.ids import PartyId
from dreamshare.protocol import trunk
from dreamshare.protocol.messages import CheckIn
from dreamshare.transport.base import Listener, Place

BROKER = "mqtts://broker.example:8883"
PARTIES = [bytes([number]) * 16 for number in range(1, 10)]


class Line:
    """What a shard would be told."""

    def __init__(self) -> None:
        self.told: list[trunk.TrunkMessage] = []

    def put(self, message: trunk.TrunkMessage) -> None:
        self.told.append(message)


class AtBroker:
    """A root's listener at a broker."""

    def __init__(self) -> None:
        self.invited: list[tuple[str, bytes]] = []

    def spread(self, place: Place) -> None:
        self.place = place

    def invite(self, party: str, opener: bytes) -> None:
        self.invited.append((party, opener))

    def __str__(self) -> str:
        return BROKER


class Hall:
    """A root at a broker with two shards."""

    def __init__(self) -> None:
        self.shards = {n: Shard(n, cast("Trunk", Line())) for n in (1, 2)}
        self.seating = Seating(self.shards)
        self.listener = AtBroker()
        self.seating.spread([cast("Listener", self.listener), cast("Listener", object())])
        self.here = 0

    def sit(self, *numbers: int) -> None:
        for number in numbers:
            self.seating.sit(self.shards[number], BROKER, there=True)

    def ask(self, party: bytes, opener: bytes = b"n" * 16) -> int:
        """Let a party ask; return who answers, 0 for the root."""
        before = {number: len(self.told(number)) for number in self.shards}
        if not self.listener.place(party.hex(), opener, self.here):
            self.here += 1
            return 0
        (answers,) = (n for n in self.shards if len(self.told(n)) > before[n])
        assert self.told(answers)[-1] == trunk.Invite(BROKER, PartyId(party), opener)
        return answers

    def told(self, number: int) -> list[trunk.TrunkMessage]:
        return cast("Line", self.shards[number].line).told

    def come(self, party: bytes, number: int) -> None:
        self.seating.came(PartyId(party))
        self.shards[number].devices[PartyId(party)] = CheckIn(("x/1",))


def test_without_a_seat_the_root_answers_everybody() -> None:
    hall = Hall()
    assert [hall.ask(party) for party in PARTIES] == [0] * 9


def test_the_place_with_the_fewest_answers() -> None:
    hall = Hall()
    hall.sit(1, 2)
    assert [hall.ask(party) for party in PARTIES] == [1, 2, 0] * 3


def test_who_checked_in_counts_once() -> None:
    hall = Hall()
    hall.sit(1)
    assert hall.ask(PARTIES[0]) == 1
    assert hall.shards[1].load == 1
    hall.come(PARTIES[0], 1)
    assert hall.shards[1].load == 1
    assert hall.ask(PARTIES[1]) == 0


def test_the_same_request_again_goes_to_the_same_place() -> None:
    hall = Hall()
    hall.sit(1, 2)
    assert [hall.ask(PARTIES[0], b"a" * 16) for _ in range(3)] == [1, 1, 1]
    hall.here = 5
    assert hall.ask(PARTIES[1]) == 2
    assert hall.shards[1].load == hall.shards[2].load == 1


def test_a_party_is_expected_in_one_place() -> None:
    hall = Hall()
    hall.sit(1)
    assert hall.ask(PARTIES[0], b"a" * 16) == 1
    hall.sit(2)
    hall.shards[1].devices[PartyId(PARTIES[5])] = CheckIn(("x/1",))
    hall.here = 5
    assert hall.ask(PARTIES[0], b"b" * 16) == 2
    assert hall.shards[1].invited == {}


def test_a_shard_that_lost_its_broker_or_its_trunk_is_not_asked() -> None:
    hall = Hall()
    hall.sit(1, 2)
    assert hall.ask(PARTIES[0]) == 1
    hall.seating.sit(hall.shards[1], BROKER, there=False)
    assert hall.shards[1].load == 0
    assert hall.ask(PARTIES[0], b"b" * 16) == 2
    del hall.shards[2]
    assert hall.ask(PARTIES[0], b"c" * 16) == 0


def test_who_waits_for_a_shard_that_is_lost_is_answered_elsewhere() -> None:
    hall = Hall()
    hall.sit(1, 2)
    assert [hall.ask(party) for party in PARTIES[:4]] == [1, 2, 0, 1]
    hall.here = 5
    assert hall.ask(PARTIES[4]) == 2
    hall.come(PARTIES[0], 1)
    lost = hall.shards.pop(1)
    hall.seating.lost(lost)
    assert hall.told(2)[-1] == trunk.Invite(BROKER, PartyId(PARTIES[3]), b"n" * 16)
    lost = hall.shards.pop(2)
    hall.seating.lost(lost)
    waiting = {party.hex() for party in (PARTIES[1], PARTIES[3], PARTIES[4])}
    assert {party for party, _ in hall.listener.invited} == waiting
    assert len(hall.listener.invited) == 3


def test_who_is_no_device_stays_with_the_root() -> None:
    hall = Hall()
    hall.sit(1)
    assert hall.ask(PARTIES[0]) == 1
    hall.seating.keep(PartyId(PARTIES[0]))
    assert hall.shards[1].load == 0
    assert hall.ask(PARTIES[0], b"b" * 16) == 0


def test_a_broker_that_the_root_does_not_know_is_said_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hall = Hall()
    hall.seating.sit(hall.shards[1], "mqtts://elsewhere.example:8883", there=True)
    assert BROKER in caplog.text
    assert "by the same address" in caplog.text
    assert hall.ask(PARTIES[0]) == 0
