"""Connections made of a stream whose peer does not let go."""

from __future__ import annotations

import asyncio

import pytest

from dreamshare.errors import Unreachable
from dreamshare.transport import streams
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
