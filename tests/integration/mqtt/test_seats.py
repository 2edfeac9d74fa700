"""A root's listener and two shards' seats at a real Mosquitto, and parties that know no shards."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from dreamshare.errors import Unreachable
from dreamshare.transport.base import Connection
from dreamshare.transport.mqtt.client import BrokerClient, Envelope
from dreamshare.transport.mqtt.connection import MqttConnection
from dreamshare.transport.mqtt.link import MqttLink, MqttStay
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.mqtt.notes import Kind, Note
from dreamshare.transport.mqtt.seat import MqttSeat
from dreamshare.transport.mqtt.session import Arrived, Session, TakenOver
from dreamshare.transport.tls import TlsFiles
from tests.integration.mqtt.test_hostile import client, collecting, refused
from tests.integration.mqtt.test_sessions import broken, echo, listener_of
from tests.mosquitto import Broker

pytestmark = pytest.mark.integration

ROOT = 2
NOT_AUTHORIZED = 135


@dataclass
class Places:
    """Seats 0 and 1, and the root as 2; `asked` says which of them answers next."""

    broker: Broker
    root: MqttListener
    seats: list[MqttSeat]
    asked: int = ROOT
    arrivals: list[AsyncIterator[Connection]] = field(default_factory=list)
    there: list[bool] = field(default_factory=lambda: [False, False])

    async def start(self) -> None:
        self.root.spread(self.place)
        for number, seat in enumerate(self.seats):
            seat.attend(partial(self._attended, number))
        everybody = (*self.seats, self.root)
        for each in everybody:
            await each.start()
        self.arrivals = [aiter(each.connections()) for each in everybody]

    def _attended(self, number: int, there: bool) -> None:
        self.there[number] = there

    def place(self, party: str, opener: bytes, here: int) -> bool:
        if self.asked == ROOT:
            return False
        self.seats[self.asked].invite(party, opener)
        return True

    def link(self) -> MqttLink:
        device, broker = self.broker.device(), self.broker
        stay = MqttStay(connect_timeout_s=5)
        return MqttLink(
            broker.url, device.id.hex(), broker.federation, TlsFiles.of(device), stay=stay
        )

    async def meet(self, link: MqttLink, place: int) -> tuple[Connection, Connection]:
        self.asked = place
        near = await link.connect()
        far = await anext(self.arrivals[place])
        assert far.binding == near.binding
        return near, far

    async def close(self) -> None:
        for each in (*self.seats, self.root):
            await each.close()


def seat_of(broker: Broker, number: int) -> MqttSeat:
    tls = broker.seat(number)
    return MqttSeat(broker.url, tls.name, broker.federation, tls)


def places_at(broker: Broker) -> Places:
    return Places(broker, listener_of(broker), [seat_of(broker, number) for number in (0, 1)])


@pytest.fixture
async def places(mosquitto: Broker) -> AsyncIterator[Places]:
    made = places_at(mosquitto)
    await made.start()
    yield made
    await made.close()


def session_of(listener: MqttListener) -> Session:
    session = listener._session
    assert session is not None
    return session


def die(listener: MqttListener) -> None:
    """Cut its socket without a goodbye and let it do nothing more, as a killed process does."""
    inner: BrokerClient = session_of(listener)._client
    assert listener._serving is not None
    listener._serving.cancel()
    place = inner._client.socket()
    assert isinstance(place, ssl.SSLSocket)
    place.shutdown(socket.SHUT_RDWR)


async def test_parties_talk_to_whoever_was_asked(places: Places) -> None:
    assert places.there == [True, True]
    links = [places.link() for _ in range(6)]
    pairs = [await places.meet(link, number % 3) for number, link in enumerate(links)]
    await asyncio.gather(*(echo(near, far) for near, far in pairs))
    for near, _ in pairs:
        await near.close()


async def test_a_party_that_comes_again_elsewhere_is_gone_where_it_was(places: Places) -> None:
    link = places.link()
    for before, after in ((0, 1), (1, ROOT), (ROOT, 0)):
        near, far = await places.meet(link, before)
        again, beyond = await places.meet(link, after)
        await broken(near)
        assert "came again" in await broken(far)
        await echo(again, beyond)
        await near.close()
        await again.close()


async def test_a_seat_that_dies_ends_its_own_connections_alone(places: Places) -> None:
    at_seat, at_other, at_root = (places.link() for _ in range(3))
    near, _ = await places.meet(at_seat, 0)
    other = await places.meet(at_other, 1)
    root = await places.meet(at_root, ROOT)
    die(places.seats[0])
    assert "the aggregator went away" in await broken(near)
    await near.close()
    moved = await places.meet(at_seat, 1)
    for pair in (moved, other, root):
        await echo(*pair)
        await pair[0].close()


async def test_a_seat_that_leaves_says_so(places: Places) -> None:
    link = places.link()
    near, _ = await places.meet(link, 0)
    await places.seats[0].close()
    assert places.there == [False, True]
    assert [packet async for packet in near.packets()] == []  # it said goodbye
    await near.close()
    again = await places.meet(link, 1)
    await echo(*again)
    await again[0].close()


async def test_a_connection_that_a_seat_breaks_is_noticed(places: Places) -> None:
    """Nobody hears its packets any more, so it is told."""
    near, far = await places.meet(places.link(), 0)
    assert isinstance(far, MqttConnection)
    far.sever("for a reason")
    assert "started anew" in await broken(near)
    await near.close()


async def test_another_process_in_the_same_seat_ends_the_first(places: Places) -> None:
    second = seat_of(places.broker, 0)
    waiting = asyncio.ensure_future(anext(places.arrivals[0]))
    await second.start()
    with pytest.raises(TakenOver):
        await waiting
    assert places.there == [False, True]
    await second.close()


async def test_seats_and_root_come_back_after_their_broker(own_mosquitto: Broker) -> None:
    places = places_at(own_mosquitto)
    await places.start()
    link = places.link()
    near, far = await places.meet(link, 0)
    own_mosquitto.kill()
    await broken(near)
    await broken(far)
    await near.close()
    assert places.there == [False, False]
    own_mosquitto.start()
    places.asked = 1
    async with asyncio.timeout(30):
        while True:
            try:
                near = await link.connect()
            except Unreachable:
                await asyncio.sleep(0.1)
                continue
            break
        far = await anext(places.arrivals[1])
        while far.binding != near.binding:
            far = await anext(places.arrivals[1])
    await echo(near, far)
    await near.close()
    await places.close()


async def test_a_root_beside_seats_hears_nothing_of_their_guests(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = await places.meet(places.link(), 0)
    heard: list[str] = []
    take = places.root._guests.take

    def listen(arrived: Arrived) -> None:
        heard.append(arrived.topic)
        take(arrived)

    monkeypatch.setattr(places.root._guests, "take", listen)
    await echo(near, far)
    at_root = await places.meet(places.link(), ROOT)
    await echo(*at_root)
    parties = {topic.split("/")[4] for topic in heard if topic.endswith(("blk", "rsp"))}
    assert parties == {at_root[1].peer}
    for each in (near, at_root[0]):
        await each.close()


async def test_a_root_that_takes_shards_forgets_what_it_was_subscribed_to(
    own_mosquitto: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that is alone leaves a session behind when it is killed."""
    alone = listener_of(own_mosquitto)
    await alone.start()
    die(alone)
    places = places_at(own_mosquitto)
    heard: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(
        places.root._guests, "take", lambda arrived: heard.put_nowait(arrived.topic)
    )
    await places.start()
    device = own_mosquitto.device()
    session = await client(own_mosquitto, device)
    topics, who = own_mosquitto.plan.topics, device.id.hex()
    note = Note(Kind.PACKET, b"x", b"t" * 8, 1).encode()
    for what in ("blk", "rsp", "req"):
        await session.publish(topics.up(who, what), note, Envelope(expiry_s=60))
    async with asyncio.timeout(10):
        while (topic := await heard.get()) != topics.up(who, "req"):
            assert topic.endswith("/state")  # births of seats
    assert heard.empty()
    await session.close()
    await places.close()


@pytest.mark.parametrize("topic", ["b/state", "b/task", "a/{seat}/up/req", "a/{victim}/dn/blk"])
async def test_a_device_may_say_nothing_of_a_seats(places: Places, topic: str) -> None:
    near, far = await places.meet(places.link(), 0)
    attacker = places.broker.device()
    session = await client(places.broker, attacker, client_id=places.broker.seat(0).name)
    async with collecting(session) as heard:
        seat = places.broker.seat(0).name
        place = f"{places.broker.plan.topics.root}/{topic.format(seat=seat, victim=far.peer)}"
        note = Note(Kind.DEATH, bytes(16)).encode()
        assert await refused(session, place, note) == NOT_AUTHORIZED
        await session.subscribe(places.broker.plan.topics.up(str(far.peer), "+"))
        await echo(near, far)
        own = places.broker.plan.topics.state(attacker.id.hex())
        assert await session.publish(own, b"x", Envelope(expiry_s=60)) is None  # a round trip
    assert heard == []
    await near.close()


async def test_a_seat_may_not_speak_to_everybody(places: Places) -> None:
    topics = places.broker.plan.topics
    seat = session_of(places.seats[0])
    for what in ("task", "wake"):
        assert await refused(seat, topics.hub(what)) == NOT_AUTHORIZED
