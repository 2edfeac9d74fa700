"""The memory network's own powers: faults by the clock, cuts, back-pressure (its contract is tested
in test_contract.py)."""

from __future__ import annotations

import asyncio

import pytest

from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError, Unreachable
from dreamshare.transport.base import Connection
from dreamshare.transport.memory import Fate, MemoryNetwork, prompt


async def pair(network: MemoryNetwork, name: str = "d1") -> tuple[Connection, Connection]:
    """Return the device's and the aggregator's end of a new connection."""
    listener = network.listener()
    await listener.start()
    near = await network.link(name).connect()
    far = await anext(aiter(listener.connections()))
    return near, far


async def test_a_cut_breaks_both_ends_and_loses_what_was_under_way() -> None:
    network = MemoryNetwork(ManualClock())
    near, far = await pair(network)
    await near.send(b"lost")
    network.cut("d1")
    for end in (near, far):
        with pytest.raises(Unreachable):
            await anext(aiter(end.packets()))
        with pytest.raises(Unreachable):
            await end.send(b"x")


async def test_a_cut_concerns_one_device() -> None:
    network = MemoryNetwork(ManualClock())
    near, far = await pair(network, "d1")
    network.cut("d2")
    await near.send(b"x")
    assert await anext(aiter(far.packets())) == b"x"


async def test_a_cut_wakes_a_reader_that_waits_for_a_delayed_packet() -> None:
    network = MemoryNetwork(ManualClock(), up=lambda name, packet: 5.0)
    near, far = await pair(network)
    await near.send(b"slow")
    reader = asyncio.ensure_future(anext(aiter(far.packets())))
    await asyncio.sleep(0)
    network.cut("d1")
    with pytest.raises(Unreachable):
        await reader


async def test_delayed_packets_come_by_the_clock_and_in_order() -> None:
    clock = ManualClock()
    delays = {b"slow": 5.0, b"quick": 1.0}
    network = MemoryNetwork(clock, up=lambda name, packet: delays[packet])
    near, far = await pair(network)
    await near.send(b"slow")
    await near.send(b"quick")
    got: list[bytes] = []

    async def read() -> None:
        got.extend([packet async for packet in far.packets()])

    reader = asyncio.ensure_future(read())
    await asyncio.sleep(0.001)
    clock.advance_to(clock.now() + 4.9)
    await asyncio.sleep(0.001)
    assert got == []
    clock.advance_to(clock.now() + 0.1)
    await near.close()
    await reader
    assert got == [b"slow", b"quick"]


@pytest.mark.parametrize(
    ("up", "down", "heard"),
    [
        (lambda name, packet: None, prompt, (None, b"down")),
        (prompt, lambda name, packet: None if packet == b"down" else 0.0, (b"up", None)),
    ],
)
async def test_packets_are_lost_in_the_direction_that_was_ordered(
    up: Fate, down: Fate, heard: tuple[bytes | None, bytes | None]
) -> None:
    near, far = await pair(MemoryNetwork(ManualClock(), up=up, down=down))
    await near.send(b"up")
    await far.send(b"down")
    await far.close()
    assert [packet async for packet in near.packets()] == [heard[1]] * (heard[1] is not None)
    assert far.bytes_out == 4  # handed over is handed over, lost or not
    near, far = await pair(MemoryNetwork(ManualClock(), up=up, down=down))
    await near.send(b"up")
    await near.close()
    assert [packet async for packet in far.packets()] == [heard[0]] * (heard[0] is not None)


async def test_a_full_pipe_makes_the_sender_wait() -> None:
    near, far = await pair(MemoryNetwork(ManualClock(), depth=2))
    await near.send(b"1")
    await near.send(b"2")
    third = asyncio.ensure_future(near.send(b"3"))
    await asyncio.sleep(0.001)
    assert not third.done()
    packets = aiter(far.packets())
    assert await anext(packets) == b"1"
    await third
    assert [await anext(packets), await anext(packets)] == [b"2", b"3"]


async def test_a_sender_that_waits_learns_that_the_reader_closed() -> None:
    near, far = await pair(MemoryNetwork(ManualClock(), depth=1))
    await near.send(b"1")
    waiting = asyncio.ensure_future(near.send(b"2"))
    await asyncio.sleep(0.001)
    await far.close()
    with pytest.raises(Unreachable):
        await waiting


async def test_a_network_has_one_listener_at_a_time() -> None:
    network = MemoryNetwork(ManualClock())
    first, second = network.listener(), network.listener()
    await first.start()
    with pytest.raises(ConfigError, match="close that one first"):
        await second.start()
    await second.close()  # never started: the first stays
    near = await network.link("d1").connect()
    await first.close()
    with pytest.raises(Unreachable):
        await near.send(b"x")
    assert str(network.link("d1")) == "memory://d1"


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ConfigError):
        MemoryNetwork(ManualClock(), depth=0)
