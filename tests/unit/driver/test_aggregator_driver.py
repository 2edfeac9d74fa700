"""The aggregator's driver over a memory network: who comes in, what is routed, what is answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dreamshare.driver.task import stored_tells
from dreamshare.errors import ConfigError, PeerProtocolError, Unreachable
from dreamshare.protocol.events import Asked, Finished
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.outcomes import EpochStarted, TaskOver
from dreamshare.transport.base import Connection
from dreamshare.wire.link import (
    Close,
    Hello,
    HelloReply,
    Packet,
    Received,
    Standing,
    decode_packet,
    encode_packet,
)
from dreamshare_crypto.envelope import Header
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Record, RecordKind
from tests.unit.driver.stage import Stage


async def knock(stage: Stage, *packets: bytes, name: str = "somebody") -> list[Packet]:
    """Open a connection, send these packets, and return what comes until it is closed."""
    connection = await stage.network.link(name).connect()
    for packet in packets:
        await connection.send(packet)
    return await said(connection)


async def said(connection: Connection) -> list[Packet]:
    answers = []
    try:
        async for raw in connection.packets():
            answers.append(decode_packet(raw))
    except Unreachable:
        pass
    return answers


def hello(identity: Identity, birth: int = 1, received: Received | None = None) -> bytes:
    standing = Standing(identity.certificate.encode(), birth, received=received or Received())
    return encode_packet(Hello(standing))


def test_nobody_may_be_silent_for_long() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            before = stage.clock.now()
            (close,) = await knock(stage)
            assert isinstance(close, Close)
            assert "no greeting" in close.text
            assert stage.clock.now() == before + 10.0

    stage.play(play())


def test_whoever_does_not_greet_is_told_and_sent_away() -> None:
    stage = Stage()
    device = stage.handsets[0].identity
    stranger = replace(device.certificate, federation=b"x" * 16)
    wrong_version = Hello(Standing(device.certificate.encode(), 1), 7, 9)

    async def play() -> None:
        async with stage.open():
            name = device.id.hex()
            for packet, words in (
                (b"\xff\xff", "Packet"),
                (encode_packet(Close()), "begins with a greeting"),
                (encode_packet(wrong_version), "update this side"),
                (encode_packet(Hello(Standing(stranger.encode(), 1))), ""),
                (encode_packet(Hello(Standing(stage.identity.certificate.encode(), 1))), "role"),
                (hello(device, received=Received(2**63, 0, 1, 0)), "no clock"),
            ):
                answers = await knock(stage, packet, name=name)
                assert isinstance(answers[-1], Close), words
                assert answers[-1].code is not None
                assert words in answers[-1].text
            assert stage.office.came == []

    stage.play(play())


def test_a_second_greeting_on_one_connection_is_refused() -> None:
    stage = Stage()
    device = stage.handsets[0].identity

    async def play() -> None:
        async with stage.open():
            answers = await knock(stage, hello(device), hello(device), name=device.id.hex())
            assert isinstance(answers[0], HelloReply)
            assert isinstance(answers[-1], Close)
            assert "second greeting" in answers[-1].text

    stage.play(play())


def test_a_clock_that_went_back_is_told_its_last_birth() -> None:
    """The party comes again with a later one; a party that never heard of it gets a reply."""
    stage = Stage()
    device = stage.handsets[0].identity

    async def play() -> None:
        async with stage.open():
            link = stage.network.link(device.id.hex())
            first = await link.connect()
            await first.send(hello(device, birth=50))
            assert isinstance(decode_packet(await anext(first.packets())), HelloReply)
            await first.close()
            answers = await knock(stage, hello(device, birth=20), name=device.id.hex())
            assert isinstance(answers[0], HelloReply)
            assert answers[0].standing.received.birth == 50

    stage.play(play())


def test_devices_and_aggregators_whose_clocks_went_back_still_meet() -> None:
    """A restarted device with an earlier clock; then a restarted aggregator with one."""
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            handset = stage.handsets[0]
            stage.connect(handset)
            await stage.later(1.0)
            await stage.kill(handset)
            driver = stage.connect(handset)
            driver._caller._birth -= 10_000_000
            await stage.later(2.0)
            assert driver.connected
            assert stage.office.came.count(handset.id) == 2
            party = stage.aggregator._parties[handset.id]
            party.peering.forget(7)  # as an aggregator that started long ago
            stage.network.cut(handset.id.hex())
            await stage.later(1.0)
            assert driver.connected
            assert stage.office.came.count(handset.id) == 3

    stage.play(play())


def test_a_party_has_one_connection() -> None:
    stage = Stage()
    device = stage.handsets[0].identity

    async def play() -> None:
        async with stage.open():
            link = stage.network.link(device.id.hex())
            first = await link.connect()
            await first.send(hello(device, birth=1))
            reading = asyncio.ensure_future(said(first))
            await stage.later(0.1)
            second = await link.connect()
            await second.send(hello(device, birth=2))
            (_, close) = await reading
            assert isinstance(close, Close)
            assert "came again" in close.text
            assert isinstance(decode_packet(await anext(second.packets())), HelloReply)
            await stage.later(5.0)
            assert stage.aggregator.devices()[0].connected
            await second.close()

    stage.play(play())


def test_what_arrived_is_seen_whole_and_counted() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    headers = [Header.decode(header) for _, header, _ in stage.seen]
    assert {header.sender for header in headers} == {handset.id for handset in stage.handsets}
    assert all(
        h.body_length == len(body) for h, (_, _, body) in zip(headers, stage.seen, strict=True)
    )
    for status in stage.aggregator.devices():
        arrived = sum(len(body) for sender, _, body in stage.seen if sender == status.device)
        assert status.bytes_up > arrived
        assert status.bytes_down > 0


def test_devices_are_listed_with_what_they_offer() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            stage.connect(stage.handsets[0])
            await stage.later(0.5)
            (status,) = stage.aggregator.devices()
            assert status.device == stage.handsets[0].id
            assert status.connected
            assert status.algorithms == ("toy/1",)
            assert status.label == "a handset"

    stage.play(play())


def test_a_task_that_begins_late_meets_the_devices_that_are_here() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            await stage.later(5.0)
            await stage.follow(stage.begin())

    stage.play(play())
    assert isinstance(stage.reports[0], EpochStarted)
    assert len(stage.sums) == 3


def test_a_cancelled_task_ends_for_its_devices() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            await stage.follow(run, until=1)
            run.give(Finished("cancelled"))
            await stage.follow(run)
            await stage.later(0.5)
            for handset in stage.handsets:
                assert (await stage.close(handset))[-1] == TaskOver(stage.task, "cancelled")

    stage.play(play())


def test_an_order_that_has_no_place_ends_the_driver_loudly() -> None:
    stage = Stage()
    order = stage.loop.order()
    assert isinstance(order, Asked)
    wrong = replace(order, plan=replace(order.plan, step="other"))

    async def play() -> None:
        await stage.aggregator.start()
        serving = asyncio.ensure_future(stage.aggregator.run())
        stage.begin()
        with pytest.raises(ConfigError, match="declares no step"):
            await serving

    stage.loop.order = lambda: wrong  # type: ignore[method-assign]
    stage.play(play())


def test_tells_are_stored_and_read_again() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    (tell,) = stored_tells(stage.journal.records())
    assert tell.step == "tell"
    assert stored_tells(()) == ()
    damaged = MemoryJournal([Record(RecordKind.OWNER, b"damaged")])
    with pytest.raises(PeerProtocolError):
        stored_tells(damaged.records())


def test_closing_sends_what_is_queued_and_hangs_up() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            await stage.follow(run, until=1)
            run.give(Finished("cancelled"))
            await stage.follow(run)
            await stage.aggregator.close()
            await stage.aggregator.close()
            for handset in stage.handsets:
                outcomes = await stage.close(handset)
                assert outcomes[-1] == TaskOver(stage.task, "cancelled")

    stage.play(play())
