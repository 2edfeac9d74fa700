"""The contract of `transport.base`, run against every transport that carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import FrameTooLarge, LocalProtocolError, Rejected, Unreachable
from dreamshare.transport.base import PACKET_LIMIT, Admit, Connection, Link, Listener
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.memory import MemoryNetwork
from dreamshare.transport.mqtt.link import MqttLink
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.tls import TlsFiles
from tests.mosquitto import Broker
from tests.unit.transport.pki import Root

DEVICE = "d1" * 16
OTHER_DEVICE = "d2" * 16
AGGREGATOR = "a0" * 16


@dataclass(frozen=True, slots=True)
class Place:
    """A listener that was not started yet, and how to make a device's link once it was."""

    listener: Listener
    link: Callable[[str], Link]
    device: str = DEVICE
    other_device: str = OTHER_DEVICE
    proves_peer: bool = True
    relayed: bool = False


Places = Callable[[Admit | None], Place]
PlacesOf = Callable[[pytest.FixtureRequest], Places]


def memory(_request: pytest.FixtureRequest) -> Places:
    def make(admit: Admit | None) -> Place:
        network = MemoryNetwork(ManualClock())
        return Place(network.listener(admit), network.link)

    return make


def grpc_in_clear(_request: pytest.FixtureRequest) -> Places:
    def make(admit: Admit | None) -> Place:
        listener = GrpcListener("127.0.0.1:0", admit=admit, allow_plaintext=True)
        return Place(
            listener,
            lambda _: GrpcLink(f"grpc://127.0.0.1:{listener.port}", allow_plaintext=True),
            proves_peer=False,
        )

    return make


def grpc_mutual_tls(_request: pytest.FixtureRequest) -> Places:
    def make(admit: Admit | None) -> Place:
        root = Root.make("root")
        listener = GrpcListener("127.0.0.1:0", root.issue(AGGREGATOR), admit=admit)
        return Place(
            listener,
            lambda device: GrpcLink(f"grpcs://127.0.0.1:{listener.port}", root.issue(device)),
        )

    return make


def mqtt_in_clear(request: pytest.FixtureRequest) -> Places:
    broker: Broker = request.getfixturevalue("mosquitto")
    url, federation = broker.plain_url, broker.federation

    def make(admit: Admit | None) -> Place:
        listener = MqttListener(url, broker.plan.aggregator, federation, admit=admit)
        return Place(listener, lambda device: MqttLink(url, device, federation), relayed=True)

    return make


def _mqtt_mutual_tls(broker: Broker, url: str) -> Places:
    devices = {each.id.hex(): TlsFiles.of(each) for each in (broker.device(), broker.device())}
    one, two = devices

    def make(admit: Admit | None) -> Place:
        tls = TlsFiles.of(broker.aggregator)
        listener = MqttListener(url, broker.plan.aggregator, broker.federation, tls, admit=admit)
        return Place(
            listener,
            lambda device: MqttLink(url, device, broker.federation, devices[device]),
            device=one,
            other_device=two,
            relayed=True,
        )

    return make


def mqtt_mutual_tls(request: pytest.FixtureRequest) -> Places:
    broker: Broker = request.getfixturevalue("mosquitto")
    return _mqtt_mutual_tls(broker, broker.url)


def mqtt_websockets(request: pytest.FixtureRequest) -> Places:
    broker: Broker = request.getfixturevalue("mosquitto")
    return _mqtt_mutual_tls(broker, broker.websocket_url)


@pytest.fixture(
    params=[
        memory,
        *(
            pytest.param(each, marks=pytest.mark.integration)
            for each in (
                grpc_in_clear,
                grpc_mutual_tls,
                mqtt_in_clear,
                mqtt_mutual_tls,
                mqtt_websockets,
            )
        ),
    ],
    ids=lambda each: each.__name__,
)
def places(request: pytest.FixtureRequest) -> Places:
    made: PlacesOf = request.param
    return made(request)


@pytest.fixture
async def ends(places: Places) -> AsyncIterator[tuple[Connection, Connection]]:
    """A device's and the aggregator's end of one connection; no task is left behind."""
    before = asyncio.all_tasks()
    place = places(None)
    await place.listener.start()
    near, far = await meet(place)
    yield near, far
    await near.close()
    await place.listener.close()
    await settle(before)


async def meet(place: Place, device: str | None = None) -> tuple[Connection, Connection]:
    near = await place.link(device or place.device).connect()
    far = await anext(aiter(place.listener.connections()))
    return near, far


async def settle(before: set[asyncio.Task[object]]) -> None:
    """Wait until the tasks that were started since are gone (the suite's own limit ends it)."""
    while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
        await asyncio.wait(left)


async def read(connection: Connection, number: int) -> list[bytes]:
    packets = aiter(connection.packets())
    return [await anext(packets) for _ in range(number)]


async def test_packets_arrive_in_order_both_ways(ends: tuple[Connection, Connection]) -> None:
    near, far = ends
    for i in range(5):
        await near.send(b"up%d" % i)
        await far.send(b"down%d" % i)
    assert await read(far, 5) == [b"up%d" % i for i in range(5)]
    assert await read(near, 5) == [b"down%d" % i for i in range(5)]


async def test_the_largest_packet_travels_and_a_larger_one_is_refused(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    assert 4096 <= near.packet_limit == far.packet_limit <= PACKET_LIMIT
    largest = bytes(range(256)) * (near.packet_limit // 256)
    for sender, receiver in ((near, far), (far, near)):
        await sender.send(largest)
        assert await read(receiver, 1) == [largest]
        with pytest.raises(FrameTooLarge):
            await sender.send(largest + b"x")
        with pytest.raises(LocalProtocolError):
            await sender.send(b"")


async def test_bytes_are_counted(ends: tuple[Connection, Connection]) -> None:
    near, far = ends
    await near.send(bytes(10))
    await near.send(bytes(5))
    await far.send(bytes(7))
    await read(far, 2)
    await read(near, 1)
    assert (near.bytes_out, near.bytes_in) == (15, 7)
    assert (far.bytes_out, far.bytes_in) == (7, 15)


async def test_what_was_sent_before_a_close_arrives(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    await near.send(b"1")
    await near.send(b"2")
    await near.close()
    assert [packet async for packet in far.packets()] == [b"1", b"2"]
    assert [packet async for packet in far.packets()] == []
    with pytest.raises(Unreachable):
        await far.send(b"x")


async def test_the_listeners_end_closes_the_same_way(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    await far.send(b"1")
    await far.close()
    assert [packet async for packet in near.packets()] == [b"1"]
    with pytest.raises(Unreachable):
        await near.send(b"x")


async def test_a_closed_connection_yields_nothing_and_takes_nothing(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    reader = asyncio.ensure_future(anext(aiter(near.packets()), None))
    await far.send(b"unread")
    await reader
    await far.send(b"unread")
    await near.close()
    await near.close()
    assert [packet async for packet in near.packets()] == []
    with pytest.raises(Unreachable):
        await near.send(b"x")


async def test_a_close_wakes_the_own_reader(ends: tuple[Connection, Connection]) -> None:
    near, _ = ends
    reader = asyncio.ensure_future(anext(aiter(near.packets()), None))
    await asyncio.sleep(0)
    await near.close()
    assert await reader is None


async def test_a_slow_reader_slows_the_sender_down(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    packet = bytes(near.packet_limit)
    number = 200 if near.packet_limit == PACKET_LIMIT else 400  # more than queues hold: 50 or 3 MiB

    async def send() -> None:
        for _ in range(number):
            await near.send(packet)

    sending = asyncio.ensure_future(send())
    await asyncio.wait({sending}, timeout=0.5)
    assert not sending.done()
    assert near.bytes_out < number * near.packet_limit // 2
    packets = aiter(far.packets())
    for _ in range(number):
        assert len(await anext(packets)) == near.packet_limit
    await sending


async def test_a_send_that_is_cancelled_leaves_the_connection_whole(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends

    async def send() -> None:
        while True:
            await near.send(bytes(near.packet_limit))

    sending = asyncio.ensure_future(send())
    await asyncio.wait({sending}, timeout=0.2)
    sending.cancel()
    last = asyncio.ensure_future(near.send(b"last"))
    packets = aiter(far.packets())
    while await anext(packets) != b"last":
        pass
    await last


async def test_a_close_gets_past_packets_that_nobody_reads(
    ends: tuple[Connection, Connection],
) -> None:
    near, far = ends
    for _ in range(12):  # more than the reader's queue, less than what makes `send` wait
        await far.send(b"unread")
    await near.close()


async def test_the_peer_is_what_the_transport_proved(places: Places) -> None:
    place = places(None)
    await place.listener.start()
    near, far = await meet(place)
    assert far.peer == (place.device if place.proves_peer else None)
    assert near.peer is None
    await near.close()
    await place.listener.close()


async def test_a_relayed_connection_has_a_name_of_its_own_and_no_other_has(
    places: Places,
) -> None:
    place = places(None)
    await place.listener.start()
    names = []
    for _ in range(2):
        near, far = await meet(place)
        assert near.binding == far.binding
        assert bool(near.binding) == place.relayed
        names.append(near.binding)
        await near.close()
    assert (names[0] != names[1]) == place.relayed
    await place.listener.close()


async def test_two_links_are_two_connections(places: Places) -> None:
    place = places(None)
    await place.listener.start()
    near1, far1 = await meet(place)
    near2, far2 = await meet(place, place.other_device)
    await near1.send(b"1")
    await near2.send(b"2")
    assert await read(far2, 1) == [b"2"]
    assert await read(far1, 1) == [b"1"]
    await near1.close()
    await near2.close()
    await place.listener.close()


async def test_who_is_not_admitted_is_rejected(places: Places) -> None:
    before = asyncio.all_tasks()
    asked: list[str | None] = []

    def admit(peer: str | None) -> bool:
        asked.append(peer)
        return False

    place = places(admit)
    await place.listener.start()
    with pytest.raises(Rejected, match="admit"):
        await place.link(place.device).connect()
    assert asked == [place.device if place.proves_peer else None]
    await place.listener.close()
    await settle(before)


async def test_nobody_listens_before_the_start_nor_after_the_close(places: Places) -> None:
    place = places(None)
    with pytest.raises(Unreachable):
        await place.link(place.device).connect()
    await place.listener.start()
    await place.listener.close()
    with pytest.raises(Unreachable):
        await place.link(place.device).connect()


async def test_closing_the_listener_ends_its_connections(places: Places) -> None:
    before = asyncio.all_tasks()
    place = places(None)
    await place.listener.start()
    near, far = await meet(place)
    waiting = asyncio.ensure_future(anext(aiter(place.listener.connections()), None))
    await asyncio.sleep(0)
    await far.send(b"last")
    await place.listener.close()
    await place.listener.close()
    assert await waiting is None
    assert [packet async for packet in near.packets()] == [b"last"]
    assert [packet async for packet in far.packets()] == []
    await near.close()
    await settle(before)
