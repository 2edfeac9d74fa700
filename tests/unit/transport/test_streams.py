"""Connections made of a stream whose peer does not let go."""

from __future__ import annotations

import asyncio
import sys

import pytest

from dreamshare.errors import Unreachable
from dreamshare.transport import streams
from dreamshare.transport.grpc import _packet_limit
from dreamshare.transport.streams import StreamConnection


class Stuck:
    """A stream that reads nothing; if told so, it neither writes nor ends before its release."""

    def __init__(self, *, writes: bool, ends: bool) -> None:
        self._writes = writes
        self._ends = ends
        self._over = asyncio.Event()
        self.broken: bool | None = None

    async def read(self) -> bytes | None:
        await self._over.wait()
        if self.broken:
            raise Unreachable("given up")
        return None

    async def write(self, packet: bytes) -> None:
        if not self._writes:
            await self._over.wait()
            raise Unreachable("gone")

    async def end(self) -> None:
        if self._ends:
            self._over.set()

    async def release(self, *, broken: bool) -> None:
        self.broken = broken if self.broken is None else self.broken
        self._over.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "GRACE_S", 0.02)


async def test_a_peer_that_lets_go_is_not_left_behind() -> None:
    stream = Stuck(writes=True, ends=True)
    await StreamConnection(stream, None).close()
    assert stream.broken is False


async def test_a_peer_that_does_not_let_go_is_left_behind() -> None:
    stream = Stuck(writes=True, ends=False)
    connection = StreamConnection(stream, None)
    await connection.close()
    assert stream.broken is True
    assert [packet async for packet in connection.packets()] == []


async def test_a_write_that_never_ends_does_not_hold_up_a_close() -> None:
    before = asyncio.all_tasks()
    stream = Stuck(writes=False, ends=True)
    connection = StreamConnection(stream, None)
    sending = asyncio.ensure_future(connection.send(b"x"))
    behind = asyncio.ensure_future(connection.send(b"y"))
    await asyncio.sleep(0.001)
    await connection.close()
    assert stream.broken is True
    for each in (sending, behind):
        with pytest.raises(Unreachable):
            await each
    await asyncio.sleep(0.001)
    assert asyncio.all_tasks() == before


class Talkative(Stuck):
    """A stream whose peer has a packet more whenever it is asked."""

    def __init__(self) -> None:
        super().__init__(writes=True, ends=True)
        self.read_so_far = 0

    async def read(self) -> bytes | None:
        await asyncio.sleep(0)
        self.read_so_far += 1
        return bytes(99 + self.read_so_far) if not self._over.is_set() else None


async def test_a_reader_is_ahead_by_little_and_goes_on_as_packets_are_taken() -> None:
    """Packets have 100, 101, ... bytes: with 35 of them 4,095 wait, so the 36th is the last.

    Two taken leave 4,095 + 135 - 100 - 101 = 4,029, which makes room for one more.
    """
    stream = Talkative()
    connection = StreamConnection(stream, None)
    packets = connection.packets()
    for taken, read in ((0, 36), (1, 36), (2, 37)):
        if taken:
            assert len(await anext(packets)) == 99 + taken
        for _ in range(200):
            await asyncio.sleep(0)
        assert stream.read_so_far == read
    await connection.close()
    assert [packet async for packet in packets] == []


async def test_a_packet_that_was_read_is_kept_by_nobody() -> None:
    connection = StreamConnection(Talkative(), None)
    packets = connection.packets()
    packet = await anext(packets)
    assert sys.getrefcount(packet) == 2  # this test's name for it, and the call's
    await connection.close()
    await packets.aclose()


def test_the_more_connections_the_smaller_their_packets() -> None:
    limits = [_packet_limit(number) for number in (1, 128, 256, 512, 1024, 100_000)]
    assert limits == [2**18, 2**18, 2**17, 2**16, 2**15, 2**15]
