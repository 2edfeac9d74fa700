"""Parties that do not read: what waits for them is bounded, and nobody else waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dreamshare.driver.peering import Peering
from dreamshare.driver.stream import GOODBYE_S
from dreamshare.errors import Unreachable
from dreamshare.ids import NO_TASK, PartyId, TaskId
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import (
    ControlError,
    Declined,
    ListTasks,
    Message,
    Reply,
    Request,
)
from dreamshare.transport.base import Connection
from dreamshare.wire import limits
from dreamshare.wire.link import Hello, HelloReply, decode_packet, encode_packet
from dreamshare.wire.transfer import Outbox
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.identity import Identity
from tests.unit.driver.stage import Stage


class Mute:
    """A party that greets, says what it wants, and reads nothing more."""

    def __init__(self, stage: Stage, identity: Identity) -> None:
        self._stage = stage
        self._identity = identity
        self.connection: Connection | None = None

    async def come(self, birth: int = 1) -> Connection:
        """Open a connection and greet."""
        self._peering = Peering(self._identity, self._stage.identity.certificate, birth)
        self.connection = await self._stage.network.link(self._identity.id.hex()).connect()
        standing = self._peering.standing(self.connection.packet_limit)
        await self.connection.send(encode_packet(Hello(standing)))
        reply = decode_packet(await anext(aiter(self.connection.packets())))
        assert isinstance(reply, HelloReply)
        self._peering.meet(reply.standing)
        self._peering.begin(reply.standing, self.connection.packet_limit)
        return self.connection

    async def say(self, task: TaskId, message: Message) -> None:
        """Send one message."""
        assert self.connection is not None
        self._peering.send(Address(task), message)
        while (packet := self._peering.next_packet()) is not None:
            await self.connection.send(encode_packet(packet))


def test_an_outbox_is_crowded_behind_its_first_frame() -> None:
    outbox = Outbox(1)
    outbox.put(bytes(2 * limits.WINDOW))
    assert not outbox.crowded  # a single frame may be as large as it likes
    outbox.put(bytes(limits.WINDOW))
    assert not outbox.crowded
    outbox.put(b"x")
    assert outbox.crowded
    assert outbox.backlog == 3 * limits.WINDOW + 1
    many = Outbox(1)
    for _ in range(limits.FRAMES_WAITING + 1):
        many.put(b"x")
    assert many.crowded


def test_a_device_that_makes_answers_and_reads_none_is_sent_back_and_misses_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each frame for an unknown task is answered; FRAMES_WAITING answers are kept, no more."""
    stage = Stage()
    mute = Mute(stage, stage.handsets[0].identity)

    async def play() -> None:
        async with stage.open():
            connection = await mute.come()
            for _ in range(limits.FRAMES_WAITING + 64):
                await mute.say(TaskId(b"u" * 16), Declined(RefusalCode.S6, None))
            await stage.later(2 * GOODBYE_S)
            with pytest.raises(Unreachable):
                await connection.send(b"x")
            assert caplog.text.count("reads too slowly") == 1
            await stage.run_task()  # with the same device, and nothing of the old queue

    stage.play(play())
    assert len(stage.sums) == 3


def test_a_party_that_comes_again_does_not_wait_for_its_old_connection() -> None:
    """The old one takes nothing, so its Close cannot be delivered; the new one is greeted."""
    stage = Stage()
    mute = Mute(stage, stage.handsets[0].identity)

    async def play() -> None:
        async with stage.open():
            old = await mute.come()
            for _ in range(100):
                await mute.say(TaskId(b"u" * 16), Declined(RefusalCode.S6, None))
            before = stage.clock.now()
            new = await mute.come(birth=2)
            assert stage.clock.now() - before < GOODBYE_S / 2
            await stage.later(2 * GOODBYE_S)
            with pytest.raises(Unreachable):
                await old.send(b"x")
            await mute.say(TaskId(b"u" * 16), Declined(RefusalCode.S6, None))
            await new.close()

    stage.play(play())


def test_an_operator_that_does_not_read_is_answered_no_further() -> None:
    stage = Stage()
    made = 0

    async def answers(operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        nonlocal made
        while True:
            made += 1
            yield Reply(request.number, ControlError("x" * 16_000), last=False)
            await asyncio.sleep(0)

    stage.office.answers = answers
    mute = Mute(stage, stage.federation.issue(Role.OPERATOR, "operator"))

    async def play() -> None:
        async with stage.open():
            connection = await mute.come()
            await mute.say(NO_TASK, Request(1, ListTasks()))
            await stage.later(10.0)
            assert limits.WINDOW / 16_200 < made < limits.WINDOW / 16_000 + 4
            await connection.close()
            await stage.later(10.0)
            assert made < limits.WINDOW / 16_000 + 8  # it is gone: nobody makes answers for it

    stage.play(play())
