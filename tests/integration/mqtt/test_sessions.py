"""Links over a broker that is killed, restarted, full of old sessions, or small."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.base import Connection
from dreamshare.transport.mqtt.address import parse_broker
from dreamshare.transport.mqtt.client import BrokerClient, Stay, Will, tls_context
from dreamshare.transport.mqtt.link import MqttLink, MqttStay
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.mqtt.session import TakenOver, open_session
from dreamshare.transport.tls import TlsFiles
from tests.mosquitto import Broker
from tests.services import free_port

pytestmark = pytest.mark.integration


@dataclass
class Ends:
    """A listener at a broker, and what is needed to come to it."""

    broker: Broker
    listener: MqttListener
    arrivals: AsyncIterator[Connection]

    def link(self, stay: MqttStay | None = None) -> MqttLink:
        device = self.broker.device()
        return MqttLink(
            self.broker.url,
            device.id.hex(),
            self.broker.federation,
            TlsFiles.of(device),
            stay=stay,
        )

    async def meet(self, link: MqttLink) -> tuple[Connection, Connection]:
        near = await link.connect()
        return near, await anext(self.arrivals)

    async def come_back(self, link: MqttLink) -> tuple[Connection, Connection]:
        """Connect as the driver does: again and again, a moment between attempts."""
        while True:
            try:
                near = await link.connect()
            except Unreachable:
                await asyncio.sleep(0.1)
                continue
            while (far := await anext(self.arrivals)).binding != near.binding:
                pass  # of an attempt that was given up
            return near, far


def listener_of(broker: Broker) -> MqttListener:
    tls = TlsFiles.of(broker.aggregator)
    return MqttListener(broker.url, broker.plan.aggregator, broker.federation, tls)


@asynccontextmanager
async def ends_at(broker: Broker) -> AsyncIterator[Ends]:
    listener = listener_of(broker)
    await listener.start()
    try:
        yield Ends(broker, listener, aiter(listener.connections()))
    finally:
        await listener.close()


async def echo(near: Connection, far: Connection) -> None:
    for sender, receiver in ((near, far), (far, near)):
        await sender.send(b"here")
        assert await anext(aiter(receiver.packets())) == b"here"


async def broken(connection: Connection) -> str:
    with pytest.raises(Unreachable) as raised:
        async for _ in connection.packets():
            pass
    return str(raised.value)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_broker_that_goes_and_comes_back(own_mosquitto: Broker, end: str) -> None:
    """Both ends see the connection break; the listener finds its way back, and links can come."""
    async with ends_at(own_mosquitto) as ends:
        link = ends.link(MqttStay(connect_timeout_s=3))
        near, far = await ends.meet(link)
        await echo(near, far)
        getattr(own_mosquitto, end)()
        await broken(near)
        await broken(far)
        with pytest.raises(Unreachable, match="cannot be reached"):
            await link.connect()
        await near.close()
        own_mosquitto.start()
        near, far = await ends.come_back(link)
        await echo(near, far)
        await near.close()


async def test_a_listener_may_be_there_before_its_broker(own_mosquitto: Broker) -> None:
    own_mosquitto.stop()
    async with ends_at(own_mosquitto) as ends:
        own_mosquitto.start()
        near, far = await ends.come_back(ends.link(MqttStay(connect_timeout_s=3)))
        await echo(near, far)
        await near.close()


async def test_a_party_that_dies_is_told_by_its_will(mosquitto: Broker) -> None:
    async with ends_at(mosquitto) as ends:
        near, far = await ends.meet(ends.link(MqttStay(death_delay_s=0)))
        cut(near)
        assert "the broker says that the party is gone" in await broken(far)
        await near.close()


async def test_a_flap_tells_nothing_and_the_new_connection_takes_the_place(
    mosquitto: Broker,
) -> None:
    async with ends_at(mosquitto) as ends:
        link = ends.link(MqttStay(death_delay_s=1))
        near, far = await ends.meet(link)
        cut(near)
        await broken(near)
        again, beyond = await ends.meet(link)
        assert "came again" in await broken(far)
        await asyncio.sleep(1.5)  # a will that was still told would have come by now
        await echo(again, beyond)
        await near.close()
        await again.close()


async def test_an_aggregator_that_takes_the_place_of_another_ends_it(mosquitto: Broker) -> None:
    """One active aggregator per federation: the broker fences by client id."""
    first, second = listener_of(mosquitto), listener_of(mosquitto)
    await first.start()
    waiting = asyncio.ensure_future(anext(aiter(first.connections())))
    await asyncio.sleep(0)
    await second.start()
    with pytest.raises(TakenOver):
        await waiting
    arrivals = aiter(second.connections())
    ends = Ends(mosquitto, second, arrivals)
    await echo(*await ends.come_back(ends.link(MqttStay(connect_timeout_s=3))))
    await first.close()
    await second.close()


async def test_a_killed_broker_that_shows_an_older_birth_ends_nobody(
    own_mosquitto: Broker,
) -> None:
    """What it retains after a kill is what it had written down, of an aggregator's former life."""
    former = listener_of(own_mosquitto)
    await former.start()
    own_mosquitto.save()
    async with ends_at(own_mosquitto) as ends:
        await former.close()
        own_mosquitto.kill()
        own_mosquitto.start()
        near, far = await ends.come_back(ends.link(MqttStay(connect_timeout_s=3)))
        await echo(near, far)
        await near.close()


async def test_an_aggregator_that_starts_anew_is_noticed(mosquitto: Broker) -> None:
    async with ends_at(mosquitto) as ends:
        link = ends.link()
        near, far = await ends.meet(link)
        await echo(near, far)
        second = listener_of(mosquitto)
        await second.start()
        assert "the aggregator" in await broken(near)
        await near.close()
        await second.close()


async def test_two_connections_of_one_client_id_follow_each_other(mosquitto: Broker) -> None:
    async with ends_at(mosquitto) as ends:
        link = ends.link()
        first, _ = await ends.meet(link)
        second, far = await ends.meet(link)
        await broken(first)
        await echo(second, far)
        await first.close()
        await second.close()


async def test_a_brokers_packet_limit_is_kept(own_mosquitto: Broker) -> None:
    own_mosquitto.stop()
    own_mosquitto.change("max_packet_size", "20000")
    own_mosquitto.start()
    async with ends_at(own_mosquitto) as ends:
        near, far = await ends.meet(ends.link())
        assert near.packet_limit == far.packet_limit == 20_000 - 512
        for sender, receiver in ((near, far), (far, near)):
            await sender.send(bytes(sender.packet_limit))
            assert len(await anext(aiter(receiver.packets()))) == sender.packet_limit
        await near.close()


async def test_a_broker_that_takes_too_little_is_said_so(own_mosquitto: Broker) -> None:
    own_mosquitto.stop()
    own_mosquitto.change("max_packet_size", "2000")
    own_mosquitto.start()
    device = own_mosquitto.device()
    tls = TlsFiles.of(device)
    link = MqttLink(own_mosquitto.url, device.id.hex(), own_mosquitto.federation, tls)
    with pytest.raises(Rejected, match="max_packet_size"):
        await link.connect()
    with pytest.raises(ConfigError, match="max_packet_size"):
        await listener_of(own_mosquitto).start()


async def test_nobody_at_the_brokers_address() -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match="cannot be reached"):
        await MqttLink(url, "d1" * 16, "fe" * 16).connect()


@pytest.mark.parametrize("url", ["plain_url", "url", "websocket_url"])
async def test_small_packets_are_sent_at_once(mosquitto: Broker, url: str) -> None:
    """Nagle's algorithm costs 90 ms a round trip here; the broker's own socket: set_tcp_nodelay."""
    device = mosquitto.device()
    tls = TlsFiles.of(device)
    session = await open_session(
        parse_broker(getattr(mosquitto, url)),
        None if url == "plain_url" else tls,
        Stay(device.id.hex(), 8, 0, 60),
        Will(mosquitto.plan.topics.state(device.id.hex()), b"x", 0),
        10.0,
    )
    place = session._client._client.socket()
    assert place is not None
    with socket.socket(fileno=os.dup(place.fileno())) as same:
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    await session.close()


def test_keys_of_tls_are_read_from_memory(mosquitto: Broker) -> None:
    context = tls_context(TlsFiles.of(mosquitto.device()))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    broken_files = TlsFiles(b"-----BEGIN x", b"-----BEGIN x", b"-----BEGIN x")
    with pytest.raises(ConfigError, match="TLS files"):
        tls_context(broken_files)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mqtt://broker.example:1883", "in clear"),
        ("ws://10.0.0.1:80/mqtt", "in clear"),
        ("mqtts://broker.example", "not a broker's address"),
        ("mqtts://broker.example:x", "not a broker's address"),
        ("mqtts://me@broker.example:8883", "not a broker's address"),
        ("mqtts://broker.example:8883/path", "not a broker's address"),
        ("http://broker.example:80", "not a broker's address"),
    ],
)
def test_addresses_that_are_none(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_broker(url)


def test_what_links_need() -> None:
    with pytest.raises(ConfigError, match="wants TLS"):
        MqttLink("mqtts://broker.example:8883", "d1" * 16, "fe" * 16)
    with pytest.raises(ConfigError, match="wants TLS"):
        MqttListener("wss://broker.example:443", "d1" * 16, "fe" * 16)
    with pytest.raises(ConfigError, match="32 small hex digits"):
        MqttLink("mqtt://127.0.0.1:1883", "a/+", "fe" * 16)
    with pytest.raises(ConfigError, match="32 small hex digits"):
        MqttLink("mqtt://127.0.0.1:1883", "d1" * 16, "#")
    with pytest.raises(ConfigError, match="namespace"):
        MqttLink("mqtt://127.0.0.1:1883", "d1" * 16, "fe" * 16, stay=MqttStay(namespace="a/b"))
    with pytest.raises(ConfigError, match="death_delay_s"):
        MqttStay(death_delay_s=-1)


def cut(connection: Connection) -> None:
    """Cut a link's socket without a goodbye, as a killed process does."""
    client: BrokerClient = connection._session._client  # type: ignore[attr-defined]
    place = client._client.socket()
    assert place is not None
    place.shutdown(2)
