"""What one party can try against everybody else: greetings, floods, numbers out of range."""

from __future__ import annotations

import pytest

from dreamshare.errors import AbortCode, PeerProtocolError
from dreamshare.ids import TaskId
from dreamshare.protocol import messages as m
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import CoordinatorEffect, CoordinatorInput, Finished, HeardFrom
from dreamshare.wire import limits
from dreamshare.wire.codec import decode_message, encode_message
from dreamshare.wire.link import Close, Hello, Ping, Standing, decode_packet, encode_packet
from dreamshare.wire.transfer import Inbox
from dreamshare_protos.v1 import frame_pb2
from tests.unit.driver.stage import Stage


def test_a_first_transfer_at_the_end_of_the_numbers_is_refused() -> None:
    """Counting on from 2^64 - 1 leaves 64 bits: the acknowledgement could not be written."""
    standing = Standing(bytes(limits.CERTIFICATE_BYTES), 1, first=2**64 - 1)
    with pytest.raises(PeerProtocolError, match="first transfer"):
        Inbox().connected(standing)


def test_reports_after_a_number_that_no_database_holds_are_refused() -> None:
    task = TaskId(bytes(16))
    good = encode_message(m.Request(1, m.Watch(task, limits.REPORTS_LIMIT)))
    assert decode_message(good) == m.Request(1, m.Watch(task, limits.REPORTS_LIMIT))
    body = frame_pb2.Body.FromString(good)
    body.request.watch.after = 2**63
    with pytest.raises(PeerProtocolError) as caught:
        decode_message(body.SerializeToString(deterministic=True))
    assert caught.value.code is AbortCode.TOO_LARGE


def test_a_peer_that_pings_and_does_not_read_fills_no_memory() -> None:
    stage = Stage()
    handset = stage.handsets[0]

    async def play() -> None:
        async with stage.open():
            connection = await stage.network.link(handset.id.hex()).connect()
            certificate = handset.identity.certificate.encode()
            await connection.send(encode_packet(Hello(Standing(certificate, 1))))
            for number in range(1, 5001):
                await connection.send(encode_packet(Ping(number)))
            await stage.later(0.5)
            answers = 0
            await connection.send(encode_packet(Close()))
            async for raw in connection.packets():
                answers += isinstance(decode_packet(raw), Ping)
            assert 0 < answers < 2500

    stage.play(play())


def test_an_error_of_this_program_in_one_connection_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()

    def broken(inbox: Inbox, peer: Standing) -> None:
        raise ZeroDivisionError("a bug")

    async def play() -> None:
        async with stage.open():
            with monkeypatch.context() as patch:
                patch.setattr(Inbox, "connected", broken)
                connection = await stage.network.link(stage.handsets[0].id.hex()).connect()
                certificate = stage.handsets[0].identity.certificate.encode()
                await connection.send(encode_packet(Hello(Standing(certificate, 1))))
                await stage.later(0.1)
                assert "a bug" in caplog.text
            await stage.run_task()

    stage.play(play())
    assert len(stage.sums) == 3


def test_an_error_of_this_program_in_one_message_ends_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    handle, hostile = Coordinator.handle, stage.handsets[0].id
    met: list[m.Sa2] = []

    def broken(
        coordinator: Coordinator, event: CoordinatorInput, now: float
    ) -> tuple[CoordinatorEffect, ...]:
        match event:
            case HeardFrom(device, m.Sa2() as message) if device == hostile and not met:
                met.append(message)
                raise KeyError("a bug")
        return handle(coordinator, event, now)

    async def play() -> None:
        async with stage.open():
            with monkeypatch.context() as patch:
                patch.setattr(Coordinator, "handle", broken)
                await stage.run_task()

    stage.play(play())
    assert met
    assert "left with an error" in caplog.text
    assert len(stage.sums) == 3


def test_what_comes_behind_the_end_of_a_task_is_acknowledged() -> None:
    """Otherwise its sender waits for ever, and sends it again on every connection."""
    stage = Stage()
    handled: list[str] = []

    async def play() -> None:
        async with stage.open():
            run = stage.begin()
            run.give(Finished("cancelled"))
            late = HeardFrom(stage.handsets[0].id, m.TellDone(0))
            run.give(late, lambda: handled.append("late"))
            await stage.follow(run)

    stage.play(play())
    assert handled == ["late"]
