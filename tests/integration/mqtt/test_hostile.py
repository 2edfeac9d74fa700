"""Enrolled clients that mean harm, at a real Mosquitto with the configuration that we write.

Rules:
- each test says who refuses: the broker, by a reason code or by delivering nothing, or this side;
- each begins with a device that talks to the aggregator, and ends by showing that it still does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest

from dreamshare.errors import Rejected, TransportError, Unreachable
from dreamshare.transport.base import PACKET_LIMIT, Connection
from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import Envelope, Stay, Will
from dreamshare.transport.mqtt.connection import WINDOW_BYTES
from dreamshare.transport.mqtt.link import MqttLink, MqttStay
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.mqtt.notes import Kind, Note, correlation_of
from dreamshare.transport.mqtt.session import Arrived, Refusal, Session, open_session
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.brokers.plan import MOST_PACKET
from dreamshare_crypto.identity import Identity
from tests.mosquitto import Broker
from tests.unit.transport.pki import Root

pytestmark = pytest.mark.integration

NOT_AUTHORIZED = 135
OTHER_FEDERATION = "0f" * 16
AT_ONCE = Envelope(expiry_s=60)


@dataclass
class Scene:
    """A device that talks to the aggregator, and an attacker with a certificate of its own."""

    broker: Broker
    listener: MqttListener
    arrivals: AsyncIterator[Connection]
    victim: Identity
    near: Connection
    far: Connection
    attacker: Identity

    def __post_init__(self) -> None:
        self.topics = self.broker.plan.topics
        self.victim_id = self.victim.id.hex()
        self.own_id = self.attacker.id.hex()

    def session(self, client_id: str | None = None) -> Awaitable[Session]:
        """Connect as the attacker, under any client id."""
        return client(self.broker, self.attacker, client_id)

    async def still_talk(self) -> None:
        """The victim and the aggregator have noticed nothing."""
        for sender, receiver in ((self.near, self.far), (self.far, self.near)):
            await sender.send(b"still here")
            assert await anext(aiter(receiver.packets())) == b"still here"


async def client(broker: Broker, who: Identity, client_id: str | None = None) -> Session:
    name = client_id or who.id.hex()
    will = Will(broker.plan.topics.state(who.id.hex()), Note(Kind.DEATH, bytes(16)).encode(), 0)
    return await open_session(
        parse_broker(broker.url), TlsFiles.of(who), Stay(name, 8, 0, 60), will, 10.0
    )


@asynccontextmanager
async def collecting(session: Session) -> AsyncIterator[list[Arrived]]:
    """Collect what a session hears, and how it ended; leave the broker at the end."""
    heard: list[Arrived] = []

    async def listen() -> None:
        async for arrived in session.arrivals():
            heard.append(arrived)

    listening = asyncio.ensure_future(listen())
    try:
        yield heard
    finally:
        await session.close()
        await asyncio.wait({listening}, timeout=5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture
async def scene(mosquitto: Broker) -> AsyncIterator[Scene]:
    victim, attacker = mosquitto.device(), mosquitto.device()
    hub = TlsFiles.of(mosquitto.aggregator)
    listener = MqttListener(mosquitto.url, mosquitto.plan.aggregator, mosquitto.federation, hub)
    await listener.start()
    link = MqttLink(mosquitto.url, victim.id.hex(), mosquitto.federation, TlsFiles.of(victim))
    near = await link.connect()
    arrivals = aiter(listener.connections())
    far = await anext(arrivals)
    yield Scene(mosquitto, listener, arrivals, victim, near, far, attacker)
    await near.close()
    await listener.close()


async def refused(
    session: Session, topic: str, payload: bytes = b"x", *, retain: bool = False
) -> int:
    refusal = await session.publish(topic, payload, replace(AT_ONCE, retain=retain))
    assert isinstance(refusal, Refusal), f"{topic} was taken"
    return refusal.code


# ---- what the broker refuses ---------------------------------------------------------------------


async def test_cross_agent_subscribe_hears_nothing(scene: Scene) -> None:
    """Mosquitto 2.0 grants any filter and asks its access list at each delivery."""
    session = await scene.session()
    async with collecting(session) as heard:
        await session.subscribe(f"{scene.topics.root}/a/{scene.victim_id}/dn/+")
        await session.subscribe(f"{scene.topics.root}/a/{scene.victim_id}/#")
        await scene.still_talk()
        await session.publish(scene.topics.state(scene.own_id), b"x", AT_ONCE)  # a round trip
    assert heard == []


@pytest.mark.parametrize(
    "what", ["up/req", "up/rsp", "up/blk", "up/tel", "dn/blk", "dn/rsp", "state"]
)
async def test_cross_agent_publish_is_not_authorized(scene: Scene, what: str) -> None:
    session = await scene.session()
    async with collecting(session):
        topic = f"{scene.topics.root}/a/{scene.victim_id}/{what}"
        assert await refused(session, topic) == NOT_AUTHORIZED
    await scene.still_talk()


@pytest.mark.parametrize("what", ["b/task", "b/state", "a/{own}/up/req", "a/{own}/state"])
async def test_cross_federation_publish_is_not_authorized(scene: Scene, what: str) -> None:
    session = await scene.session()
    async with collecting(session):
        topic = f"dreamshare/v1/{OTHER_FEDERATION}/{what.format(own=scene.own_id)}"
        assert await refused(session, topic) == NOT_AUTHORIZED
    await scene.still_talk()


async def test_a_forged_task_is_not_authorized(scene: Scene) -> None:
    session = await scene.session()
    async with collecting(session):
        for what in ("task", "wake"):
            for retain in (False, True):
                code = await refused(session, scene.topics.hub(what), retain=retain)
                assert code == NOT_AUTHORIZED
    await scene.still_talk()


async def test_a_forged_death_of_the_aggregator_is_not_authorized(scene: Scene) -> None:
    session = await scene.session()
    async with collecting(session):
        for kind in (Kind.BIRTH, Kind.DEATH):
            note = Note(kind, bytes(16)).encode()
            assert await refused(session, scene.topics.hub("state"), note) == NOT_AUTHORIZED
    await scene.still_talk()


@pytest.mark.parametrize("everything", ["#", "+/#", "$SYS/#", "dreamshare/v1/#", "$share/all/#"])
async def test_the_root_wildcard_hears_what_is_for_everybody_alone(
    scene: Scene, everything: str
) -> None:
    session = await scene.session()
    async with collecting(session) as heard:
        with suppress(Rejected):  # Mosquitto grants all but shared ones
            await session.subscribe(everything)
        await scene.still_talk()
        await session.publish(scene.topics.state(scene.own_id), b"x", AT_ONCE)
    own = (scene.topics.hub(""), f"{scene.topics.root}/a/{scene.own_id}/dn/")
    assert [each.topic for each in heard if not each.topic.startswith(own)] == []


async def test_an_oversize_message_ends_its_sender(scene: Scene) -> None:
    session = await scene.session()
    async with collecting(session):
        topic = scene.topics.up(scene.own_id, "blk")
        with pytest.raises(Unreachable):
            await session.publish(topic, bytes(MOST_PACKET + 1), AT_ONCE)
    await scene.still_talk()


async def test_a_stolen_client_id_steals_nothing(scene: Scene) -> None:
    """The broker takes the client id from the certificate, so nobody sends the victim away."""
    session = await scene.session(client_id=scene.victim_id)
    async with collecting(session) as heard:
        await session.subscribe(f"{scene.topics.root}/a/{scene.victim_id}/dn/+")
        await scene.still_talk()
        topic = scene.topics.up(scene.victim_id, "blk")
        assert await refused(session, topic) == NOT_AUTHORIZED
        assert await session.publish(scene.topics.state(scene.own_id), b"x", AT_ONCE) is None
    assert heard == []


async def test_the_aggregators_client_id_is_not_to_be_had_either(scene: Scene) -> None:
    session = await scene.session(client_id=scene.broker.plan.aggregator)
    async with collecting(session) as heard:
        await session.subscribe(scene.topics.up("+", "+"))
        await scene.still_talk()
        topic = scene.topics.down(scene.victim_id, "blk")
        assert await refused(session, topic) == NOT_AUTHORIZED
    assert heard == []


async def test_a_certificate_of_another_authority_is_refused_by_tls(mosquitto: Broker) -> None:
    stranger = Root.make("other").issue(mosquitto.plan.aggregator)
    ours = TlsFiles.of(mosquitto.device())
    forged = TlsFiles(stranger.chain_pem, stranger.key_pem, ours.roots_pem)
    link = MqttLink(mosquitto.url, "d1" * 16, mosquitto.federation, forged)
    with pytest.raises(TransportError):
        await link.connect()


async def test_a_broker_of_another_authority_is_refused_by_the_link(mosquitto: Broker) -> None:
    stranger = Root.make("other").issue("d1" * 16)
    link = MqttLink(mosquitto.url, "d1" * 16, mosquitto.federation, stranger)
    with pytest.raises(Rejected, match="does not trust"):
        await link.connect()


# ---- what this side refuses ----------------------------------------------------------------------


async def test_retained_junk_is_not_looked_at(scene: Scene) -> None:
    """What a party may retain reaches no later aggregator; what it may not is refused."""
    session = await scene.session()
    async with collecting(session):
        topics, junk = scene.topics, Note(Kind.OPEN, bytes(16)).encode()
        for what in ("req", "blk", "rsp"):
            topic = topics.up(scene.own_id, what)
            assert (await session.publish(topic, junk, Envelope(retain=True))) is None
        assert await refused(session, topics.hub("task"), junk, retain=True) == NOT_AUTHORIZED
    await scene.still_talk()
    await scene.listener.close()
    hub = TlsFiles.of(scene.broker.aggregator)
    later = MqttListener(
        scene.broker.url, scene.broker.plan.aggregator, scene.broker.federation, hub
    )
    await later.start()
    arrivals = aiter(later.connections())
    device = scene.broker.device()
    link = MqttLink(scene.broker.url, device.id.hex(), scene.broker.federation, TlsFiles.of(device))
    near = await link.connect()
    assert (await anext(arrivals)).peer == device.id.hex()
    await near.close()
    await later.close()


JUNK = [
    b"",
    b"\x00",
    bytes(18),
    b"\xff" * 18,
    b"\x02\x01" + bytes(32),  # another version
    b"\x01\x63" + bytes(32),  # another kind
    Note(Kind.OPEN, bytes(16)).encode()[:-1],
    Note(Kind.PACKET, b"", b"t" * 8, 1).encode(),
    Note(Kind.TAKEN, b"", b"t" * 8, 2**64 - 1).encode(),
    Note(Kind.ADMITTED, bytes(48)).encode(),
]


async def test_junk_on_own_topics_is_dropped(scene: Scene) -> None:
    session = await scene.session()
    async with collecting(session):
        for what in ("req", "rsp", "blk", "tel"):
            for payload in JUNK:
                topic = scene.topics.up(scene.own_id, what)
                assert await session.publish(topic, payload, AT_ONCE) is None
    await scene.still_talk()


async def test_an_answer_wanted_elsewhere_is_dropped(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """A response topic is no address: the aggregator writes to the asker's own, or not at all."""
    session = await scene.session()
    topics, nonce = scene.topics, b"n" * 16
    correlation = correlation_of(topics, scene.own_id, nonce)
    async with collecting(session) as heard:
        await session.subscribe(topics.down(scene.own_id, "+"))
        for asked in (
            Envelope(60, topics.down(scene.victim_id, "rsp"), correlation),
            Envelope(60, topics.hub("task"), correlation),
            Envelope(60, topics.down(scene.own_id, "rsp"), b"of another"),
            Envelope(60, None, None),
        ):
            with caplog.at_level(logging.WARNING):
                note = Note(Kind.OPEN, nonce).encode()
                await session.publish(topics.up(scene.own_id, "req"), note, asked)
        await scene.still_talk()
    assert heard == []
    assert caplog.text.count("wants its answer elsewhere") == 4


async def test_a_sender_that_takes_no_notice_of_credit_is_cut_off(scene: Scene) -> None:
    link = MqttLink(
        scene.broker.url, scene.own_id, scene.broker.federation, TlsFiles.of(scene.attacker)
    )
    near = await link.connect()
    far = await anext(scene.arrivals)
    near._under_way = _Forgetful()  # type: ignore[attr-defined]
    with pytest.raises(Unreachable, match="started anew"):  # it is told that nobody knows it
        await _send_without_end(near)
    with pytest.raises(Unreachable, match="more than it was given credit for"):
        assert len([packet async for packet in far.packets()]) <= WINDOW_BYTES // PACKET_LIMIT
    await near.close()
    await scene.still_talk()


async def test_packets_for_a_connection_that_is_not_there_are_answered_by_strange(
    scene: Scene,
) -> None:
    session = await scene.session()
    async with collecting(session) as heard:
        await session.subscribe(scene.topics.down(scene.own_id, "+"))
        packet = Note(Kind.PACKET, b"x", b"t" * 8, 1).encode()
        await session.publish(scene.topics.up(scene.own_id, "blk"), packet, AT_ONCE)
        await session.publish(scene.topics.state(scene.own_id), b"x", AT_ONCE)
        await scene.still_talk()  # by now it has been answered
    (answer,) = heard
    assert answer.topic == scene.topics.down(scene.own_id, "req")
    assert answer.payload == Note(Kind.STRANGE, tag=b"t" * 8).encode()
    await scene.still_talk()


async def _send_without_end(connection: Connection) -> None:
    while True:
        await connection.send(bytes(PACKET_LIMIT))


class _Forgetful(list[int]):
    """Packets under way, of which nobody keeps count."""

    def append(self, _size: int) -> None:
        return

    def __bool__(self) -> bool:
        return False


def test_stays_are_bounded() -> None:
    assert MqttStay().session_expiry_s <= 8 * 3600
