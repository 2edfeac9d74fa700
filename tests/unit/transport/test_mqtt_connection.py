"""One end of a connection over a broker that loses, repeats, reorders and invents; its notes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamshare.errors import ConfigError, Unreachable
from dreamshare.transport.base import PACKET_LIMIT
from dreamshare.transport.mqtt.client import Envelope
from dreamshare.transport.mqtt.connection import (
    WINDOW_BYTES,
    WINDOW_PACKETS,
    MqttConnection,
    Route,
)
from dreamshare.transport.mqtt.notes import (
    HEAD_BYTES,
    Kind,
    Note,
    Topics,
    binding_of,
    correlation_of,
    decode_note,
    tag_of,
)
from dreamshare.transport.mqtt.session import Refusal

TOPICS = Topics("fe" * 16)
BINDING = binding_of(TOPICS, "d1" * 16, b"o" * 16, b"l" * 16)


class Paper:
    """A session that writes down what is published."""

    packet_limit = PACKET_LIMIT

    def __init__(self) -> None:
        self.said: list[tuple[str, Note]] = []
        self.refused: object = None

    async def turn(self) -> None:
        return

    def skip(self) -> None:
        return

    def put(self, topic: str, payload: bytes, envelope: Envelope, refused: object) -> None:
        note = decode_note(payload)
        assert note is not None
        assert envelope.expiry_s
        self.said.append((topic, note))
        self.refused = refused


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
async def end(paper: Paper) -> AsyncIterator[MqttConnection]:
    made = MqttConnection(paper, Route("blk", "rsp"), BINDING, None)  # type: ignore[arg-type]
    yield made
    await made.close()


def packet(number: int, body: bytes = b"x") -> Note:
    return Note(Kind.PACKET, body, tag_of(BINDING), number)


async def test_repeats_are_dropped(end: MqttConnection) -> None:
    for number in (1, 1, 2, 1, 2):
        end.take(packet(number, b"%d" % number))
    end.take(Note(Kind.END, tag=tag_of(BINDING), number=3))
    assert [each async for each in end.packets()] == [b"1", b"2"]


async def test_what_is_missing_breaks_the_connection_behind_what_came(end: MqttConnection) -> None:
    end.take(packet(1))
    end.take(packet(3))
    packets = aiter(end.packets())
    assert await anext(packets) == b"x"
    with pytest.raises(Unreachable, match="packet 2 was lost"):
        await anext(packets)
    with pytest.raises(Unreachable):
        await end.send(b"y")


async def test_an_end_that_comes_too_early_is_no_clean_one(end: MqttConnection) -> None:
    end.take(Note(Kind.END, tag=tag_of(BINDING), number=2))
    with pytest.raises(Unreachable, match="lost"):
        await anext(aiter(end.packets()))


async def test_nothing_comes_after_the_end(end: MqttConnection) -> None:
    end.take(Note(Kind.END, tag=tag_of(BINDING), number=1))
    end.take(packet(2))
    assert [each async for each in end.packets()] == []


async def test_credit_for_what_was_not_sent_breaks_the_connection(end: MqttConnection) -> None:
    await end.send(b"1")
    end.take(Note(Kind.TAKEN, tag=tag_of(BINDING), number=1))
    end.take(Note(Kind.TAKEN, tag=tag_of(BINDING), number=0))  # an old one changes nothing
    end.take(Note(Kind.TAKEN, tag=tag_of(BINDING), number=2))
    with pytest.raises(Unreachable, match="not sent"):
        await anext(aiter(end.packets()))


@pytest.mark.parametrize("size", [1, PACKET_LIMIT])
async def test_a_sender_stops_where_its_credit_ends(
    end: MqttConnection, paper: Paper, size: int
) -> None:
    most = min(WINDOW_PACKETS, WINDOW_BYTES // size)
    for _ in range(most):
        await end.send(bytes(size))
    more = asyncio.ensure_future(end.send(bytes(size)))
    await asyncio.sleep(0)
    assert not more.done()
    end.take(Note(Kind.TAKEN, tag=tag_of(BINDING), number=1))
    await more
    assert [note.number for _, note in paper.said] == list(range(1, most + 2))


async def test_a_reader_gives_credit_as_it_takes(end: MqttConnection, paper: Paper) -> None:
    for number in range(1, WINDOW_PACKETS + 1):
        end.take(packet(number))
    packets = aiter(end.packets())
    for _ in range(WINDOW_PACKETS):
        await anext(packets)
    told = [note.number for topic, note in paper.said if topic == "rsp"]
    assert told == sorted(set(told))
    assert WINDOW_PACKETS // 2 <= told[-1] <= WINDOW_PACKETS


async def test_more_than_the_credit_is_not_kept(end: MqttConnection) -> None:
    for number in range(1, WINDOW_PACKETS + 2):
        end.take(packet(number))
    with pytest.raises(Unreachable, match="credit"):
        assert len([each async for each in end.packets()]) <= WINDOW_PACKETS


async def test_a_packet_that_the_broker_refuses_breaks_the_connection(
    end: MqttConnection, paper: Paper
) -> None:
    await end.send(b"1")
    assert callable(paper.refused)
    paper.refused(Refusal(151, "quota exceeded"))
    with pytest.raises(Unreachable, match="reason code 151, quota exceeded"):
        await anext(aiter(end.packets()))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_note_or_none(payload: bytes) -> None:
    note = decode_note(payload)
    if note is not None:
        assert note.encode() == payload


@given(st.sampled_from(Kind), st.binary(max_size=60), st.integers(0, 2**64 - 1))
def test_notes_round_trip_where_their_kind_allows_it(kind: Kind, rest: bytes, number: int) -> None:
    note = Note(kind, rest, b"t" * 8, number)
    assert decode_note(note.encode()) in (note, None)
    assert len(note.encode()) == HEAD_BYTES + len(rest)


def test_every_connection_has_a_name_of_its_own() -> None:
    names = {
        binding_of(Topics(federation), party, opener, listener)
        for federation in ("fe" * 16, "ff" * 16)
        for party in ("d1" * 16, "d2" * 16)
        for opener in (b"o" * 16, b"p" * 16)
        for listener in (b"l" * 16, b"m" * 16)
    }
    assert len(names) == 16
    assert len(correlation_of(TOPICS, "d1" * 16, b"o" * 16)) == 16


def test_only_a_partys_own_topics_name_it() -> None:
    party = "d1" * 16
    assert TOPICS.sender(TOPICS.up(party, "blk")) == (party, "up/blk")
    assert TOPICS.sender(TOPICS.state(party)) == (party, "state")
    for topic in (
        TOPICS.hub("state"),
        f"{TOPICS.root}/a/x/up/blk",
        f"{Topics('ff' * 16).root}/a/{party}/up/blk",
        "",
    ):
        assert TOPICS.sender(topic) is None
    with pytest.raises(ConfigError):
        Topics("fe" * 16, "A")
