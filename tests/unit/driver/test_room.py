"""Frames that never come to their end, and frames that nobody asked for: what they may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from dreamshare.clock import ManualClock
from dreamshare.driver.room import FREE, OVERHEAD, START_S, Room, Share
from dreamshare.errors import AbortCode
from dreamshare.simulate.jumping import JumpingSelector
from dreamshare.transport.base import Connection
from dreamshare.wire import limits
from dreamshare.wire.link import (
    Ack,
    Chunk,
    Close,
    Hello,
    HelloReply,
    Ping,
    Standing,
    decode_packet,
    encode_packet,
)
from dreamshare.wire.transfer import Place
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from tests.sim.secagg.federation import NOW
from tests.unit.driver.stage import Stage

PIECE = 128 * limits.KIB


async def greet(stage: Stage, identity: Identity, birth: int = 1) -> Connection:
    connection = await stage.network.link(identity.id.hex()).connect()
    await connection.send(encode_packet(Hello(Standing(identity.certificate.encode(), birth))))
    return connection


async def begin(connection: Connection, total: int, transfer: int = 1, birth: int = 1) -> None:
    """Send the first piece of a frame, and no other."""
    await connection.send(encode_packet(Chunk(birth, transfer, 0, total, bytes(PIECE))))


def room_of(stage: Stage) -> Room:
    return stage.aggregator.room


def test_room_is_given_in_the_order_of_asking() -> None:
    clock = ManualClock(NOW)
    done: list[str] = []

    async def ask(share: Share, name: str, size: int) -> None:
        await share.begin(size - OVERHEAD)
        done.append(name)

    async def play() -> None:
        room = Room(clock, 100)
        shares = [Share(room, lambda: None) for _ in range(4)]
        await ask(shares[0], "first", 90)
        shares[0].arrived(Place(1, 1))
        asking = [
            asyncio.ensure_future(ask(shares[1], "large", 80)),
            asyncio.ensure_future(ask(shares[2], "small", 10)),
        ]
        await asyncio.sleep(0)
        assert done == ["first"]  # the small one would fit, and does not overtake
        shares[0].handled(Place(1, 1))
        await asyncio.gather(*asking)
        assert done == ["first", "large", "small"]
        assert room.used == 90
        shares[1].dropped()
        shares[2].dropped()
        assert room.used == 0

    _play(clock, play())


def test_who_stops_waiting_takes_nothing() -> None:
    clock = ManualClock(NOW)

    async def play() -> None:
        room = Room(clock, 100)
        first, second, third = (Share(room, lambda: None) for _ in range(3))
        await first.begin(FREE)
        first.arrived(Place(1, 1))
        waiting = asyncio.ensure_future(second.begin(FREE))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        first.handled(Place(1, 1))
        assert room.used == 0
        assert third.begin_now(FREE)

    _play(clock, play())


def test_a_little_is_always_there() -> None:
    clock = ManualClock(NOW)
    room = Room(clock, 100)
    full, other = Share(room, lambda: None), Share(room, lambda: None)
    assert full.begin_now(FREE)
    assert not other.begin_now(FREE)
    assert other.begin_now(FREE - OVERHEAD)
    other.arrived(Place(1, 1))
    assert not other.begin_now(1)  # not twice


def test_a_frame_that_comes_too_slowly_gives_way() -> None:
    clock = ManualClock(NOW)
    gone: list[float] = []

    async def play() -> None:
        room = Room(clock, 100)
        slow = Share(room, lambda: gone.append(clock.now()))
        await slow.begin(FREE)
        await clock.sleep_until(NOW + 1000)
        assert not gone  # nobody waits
        await Share(room, lambda: None).begin(FREE)
        assert gone == [NOW + 1000]
        assert room.used == FREE + OVERHEAD
        await Share(room, lambda: None).begin(FREE)
        assert clock.now() > NOW + 1000 + START_S

    _play(clock, play())


def test_frames_that_stand_still_stop_no_round() -> None:
    """Two devices fill the room with halves of frames; the others' vectors come all the same."""
    stage = Stage(devices=4, room=100 * limits.KIB)
    strangers = [stage.federation.issue(Role.DEVICE, f"stranger {i}") for i in range(2)]

    async def play() -> None:
        async with stage.open():
            connections = [await greet(stage, each) for each in strangers]
            for connection in connections:
                await begin(connection, limits.MIB)
            await stage.later(0.1)
            assert room_of(stage).used == limits.MIB + OVERHEAD  # one waits, and is not read
            await stage.run_task()

    stage.play(play())
    assert len(stage.sums) == 3


def test_who_waits_for_room_is_told_that_this_end_is_there() -> None:
    stage = Stage(room=100 * limits.KIB)
    first, second = (stage.federation.issue(Role.DEVICE, f"stranger {i}") for i in range(2))

    async def play() -> None:
        async with stage.open():
            await begin(await greet(stage, first), limits.MIB)
            await stage.later(0.1)
            connection = await greet(stage, second)
            await begin(connection, limits.MIB)
            pings = 0
            async for raw in connection.packets():
                match decode_packet(raw):
                    case Ping(answer=False):
                        pings += 1
                        if pings == 3:
                            break
                    case Close() as close:
                        raise AssertionError(close)
            assert stage.clock.now() >= NOW + 30
            await stage.later(120)  # the first one gave way: this one's half is here
            assert room_of(stage).used == limits.MIB + OVERHEAD

    stage.play(play())


def test_coming_again_under_another_birth_frees_and_takes_nothing() -> None:
    stage = Stage(room=8 * limits.MIB)
    device = stage.handsets[0].identity

    async def play() -> None:
        async with stage.open():
            for birth in range(1, 30):
                await begin(await greet(stage, device, birth), limits.MIB, birth=birth)
                await stage.later(0.1)
                assert room_of(stage).used == limits.MIB + OVERHEAD
            stage.network.cut(device.id.hex())
            await stage.later(10)  # its grace is over
            assert room_of(stage).used == 0

    stage.play(play())


def test_a_frame_larger_than_any_task_needs_is_read_past() -> None:
    stage = Stage()
    device = stage.handsets[0].identity
    total, transfer = 8 * limits.MIB, 1

    async def play() -> None:
        async with stage.open():
            connection = await greet(stage, device)
            for offset in range(0, total, PIECE):
                data = bytes(PIECE)
                await connection.send(encode_packet(Chunk(1, transfer, offset, total, data)))
                await stage.later(0.01)
                assert room_of(stage).used == 0
            async for raw in connection.packets():
                packet = decode_packet(raw)
                assert not isinstance(packet, Close)
                if isinstance(packet, Ack) and packet.received.acknowledged == transfer:
                    break  # its sender is not stuck with it

    stage.play(play())


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER])
def test_nobody_asks_a_question_of_many_megabytes(role: Role) -> None:
    stage = Stage()
    identity = stage.federation.issue(role, "somebody")

    async def play() -> None:
        async with stage.open():
            connection = await greet(stage, identity)
            await begin(connection, limits.REQUEST_LIMIT + 1)
            packets = [decode_packet(raw) async for raw in connection.packets()]
            assert isinstance(packets[0], HelloReply)
            assert packets[0].standing.frame_limit == limits.REQUEST_LIMIT
            assert isinstance(packets[-1], Close)
            assert packets[-1].code is AbortCode.TOO_LARGE

    stage.play(play())


def _play(clock: ManualClock, main: Coroutine[None, None, None]) -> None:
    selector = JumpingSelector(clock)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(main)
