"""The device's driver over a memory network: reconnects, restarts, interruptions, goodbyes."""

from __future__ import annotations

import asyncio

import pytest

from dreamshare.errors import ConfigError, PrivacyError, Rejected
from dreamshare.protocol.events import Compute
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceDropped,
    EpochJoined,
    RoundDeclined,
    RoundDone,
    TaskOver,
    TellLearnt,
)
from dreamshare.transport.backoff import BackoffSettings
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Record, RecordKind
from tests.unit.driver.stage import Handset, Stage


def kinds(outcomes: list[object]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


def test_a_task_from_first_to_last() -> None:
    stage = Stage()

    async def play() -> None:
        async with stage.open():
            await stage.run_task()
            await stage.later(1.0)
            for handset in stage.handsets:
                outcomes = await stage.close(handset)
                rounds = [RoundDone, RoundDone, TellLearnt, RoundDone]
                assert kinds(outcomes) == [EpochJoined, *rounds, TaskOver]
                assert handset.learnt == [1]
                assert handset.left == [stage.task]

    stage.play(play())
    assert len(stage.sums) == 3
    assert all(len(done.survivors) == 4 for done in stage.sums)


def test_a_link_that_breaks_goes_on_where_it_broke() -> None:
    """Cut in every round, back within the grace: nobody is dropped, nothing is computed twice."""
    stage = Stage()

    async def cut(order: Compute) -> None:
        stage.network.cut(stage.handsets[1].id.hex())

    stage.handsets[1].before_answer = cut

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    assert [type(r).__name__ for r in stage.reports] == [
        "EpochStarted",
        "SumDone",
        "SumDone",
        "TellSpread",
        "SumDone",
    ]
    assert all(len(done.survivors) == 4 for done in stage.sums)
    assert len(stage.handsets[1].computed) == 3


def test_a_device_that_is_away_for_long_is_left_out_and_comes_back() -> None:
    stage = Stage()
    absent = stage.handsets[2]
    away = BackoffSettings(first_s=20.0, longest_s=20.0)

    async def cut(order: Compute) -> None:
        if not absent.computed:
            stage.network.cut(absent.id.hex())

    absent.before_answer = cut

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset, away)
            run = stage.begin()
            await stage.follow(run, until=1)
            assert DeviceDropped(absent.id) in stage.reports
            assert stage.office.went == [absent.id]
            await stage.later(30.0)
            assert stage.office.came.count(absent.id) == 2
            await stage.follow(run)

    stage.play(play())
    # It missed two rounds, so it is let in by another epoch, which its waiting calls for (4.11).
    assert [absent.id in done.survivors for done in stage.sums] == [False, False, True]
    assert [type(r).__name__ for r in stage.reports].count("EpochStarted") == 2


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_process_that_dies_goes_on_from_its_journal(answers: int) -> None:
    """Killed while it computes; the new process is sent the round again and answers in it."""
    stage = Stage()
    mortal = stage.handsets[0]
    died = asyncio.Event()

    async def die(order: Compute) -> None:
        if len(mortal.computed) == answers and not died.is_set():
            died.set()
            await asyncio.Event().wait()

    mortal.before_answer = die

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            following = asyncio.ensure_future(stage.follow(stage.begin()))
            await died.wait()
            await stage.kill(mortal)
            mortal.restored = True
            await stage.later(0.5)
            stage.connect(mortal)
            await following

    stage.play(play())
    assert all(len(done.survivors) == 4 for done in stage.sums)
    assert len(stage.sums) == 3
    assert DeviceDropped(mortal.id) not in stage.reports


def test_a_device_that_lost_its_journal_says_so_and_waits_for_the_next_epoch() -> None:
    stage = Stage()
    forgetful = stage.handsets[0]

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            await stage.follow(run, until=1)
            await stage.kill(forgetful)
            forgetful.journal = MemoryJournal()
            await stage.later(0.5)
            stage.connect(forgetful)
            await stage.follow(run)

    stage.play(play())
    assert DeviceDeclined(forgetful.id, RefusalCode.J1, None) in stage.reports
    assert [len(done.survivors) for done in stage.sums] == [4, 3, 3]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PrivacyError("on battery"), RefusalCode.S6),
        (ConfigError("no such layer"), RefusalCode.E1),
        (ZeroDivisionError("in the learner"), RefusalCode.E1),
    ],
)
def test_a_worker_that_fails_declines(error: Exception, code: RefusalCode) -> None:
    stage = Stage()
    broken = stage.handsets[3]

    async def fail(order: Compute) -> None:
        raise error

    broken.before_answer = fail

    async def play() -> None:
        async with stage.open():
            await stage.run_task()
            outcomes = await stage.close(broken)
            declined = [o for o in outcomes if isinstance(o, RoundDeclined)]
            assert declined[0].code is code
            assert str(error) in declined[0].text

    stage.play(play())
    assert all(broken.id not in done.survivors for done in stage.sums)


def test_closing_declines_what_is_computed_and_says_so() -> None:
    stage = Stage()
    busy = stage.handsets[1]
    started = asyncio.Event()

    async def never(order: Compute) -> None:
        started.set()
        await asyncio.Event().wait()

    busy.before_answer = never

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            following = asyncio.ensure_future(stage.follow(run, until=1))
            await started.wait()
            outcomes = await stage.close(busy)
            declined = RoundDeclined(stage.task, 0, RefusalCode.S6, "the agent stops")
            assert outcomes[-1] == declined
            before = stage.clock.now()
            await following
            assert stage.clock.now() - before < 1.0  # nobody waited for its deadline
            assert stage.office.went == [busy.id]  # a goodbye needs no grace

    stage.play(play())
    assert DeviceDeclined(busy.id, RefusalCode.S6, 0) in stage.reports
    assert len(stage.sums[0].survivors) == 3


def test_changed_conditions_decline_without_leaving() -> None:
    stage = Stage()
    unplugged = stage.handsets[1]
    started = asyncio.Event()

    async def first_never(order: Compute) -> None:
        if not started.is_set():
            started.set()
            await asyncio.Event().wait()

    unplugged.before_answer = first_never

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            following = asyncio.ensure_future(stage.follow(stage.begin()))
            await started.wait()
            stage.drivers[unplugged.id].interrupt("unplugged")
            await following

    stage.play(play())
    assert [unplugged.id in done.survivors for done in stage.sums] == [False, True, True]


def test_closing_twice_and_before_connecting_is_fine() -> None:
    stage = Stage()

    async def play() -> None:
        driver = stage.connect(stage.handsets[0])  # nobody listens
        await stage.later(5.0)
        assert not driver.connected
        await driver.close()
        await driver.close()
        await stage.running.pop(stage.handsets[0].id)

    stage.play(play())


def test_a_revoked_device_is_told_and_does_not_come_again() -> None:
    stage = Stage()
    revoked = stage.handsets[0]
    serial = revoked.identity.certificate.serial
    object.__setattr__(stage.identity, "revocations", stage.federation.revoke(2, (serial,)))

    async def play() -> None:
        async with stage.open():
            stage.connect(revoked)
            with pytest.raises(Rejected, match="revoked"):
                await stage.running.pop(revoked.id)

    stage.play(play())


def test_a_transport_that_proves_another_party_is_believed() -> None:
    stage = Stage()
    thief = stage.handsets[0]

    async def play() -> None:
        async with stage.open():
            other = stage.handsets[1].id.hex()
            driver = stage.connect(thief)
            await driver.close()
            await stage.running.pop(thief.id)
            driver._caller._link = stage.network.link(other)
            driver = stage.connect(thief)
            driver._caller._link = stage.network.link(other)
            with pytest.raises(Rejected, match="the transport proved"):
                await stage.running.pop(thief.id)

    stage.play(play())


class FullDisk(MemoryJournal):
    """A disk that is full when a vector is to be stored."""

    def append(self, record: Record, sync: bool) -> None:
        if record.kind is RecordKind.VECTOR:
            raise OSError("no space left")
        super().append(record, sync)


def test_a_disk_that_fails_stops_the_driver_before_anything_leaves() -> None:
    stage = Stage()
    full = stage.handsets[0]
    full.journal = FullDisk()

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            run = stage.begin()
            with pytest.raises(OSError, match="no space"):
                await stage.running.pop(full.id)
            stage.network.cut(full.id.hex())
            await stage.follow(run, until=1)

    stage.play(play())
    assert full.id not in stage.sums[0].survivors
    masked = [header for sender, header, _ in stage.seen if sender == full.id and header[72] == 9]
    assert not masked


def test_a_seat_may_be_refused() -> None:
    stage = Stage()
    shy = stage.handsets[0]
    stage.cohort = Cohort(least=3, most=4)
    shy.seat = lambda task: None  # type: ignore[method-assign]

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset)
            await stage.follow(stage.begin(), until=1)

    stage.play(play())
    assert stage.reports[0] == DeviceDeclined(shy.id, RefusalCode.S6, None)
    assert shy.id not in stage.sums[0].survivors


def test_a_task_that_the_aggregator_does_not_know_is_over() -> None:
    """A stored seat of an old task: the device says how far it is, and learns that it is over."""
    stage = Stage()
    late: Handset = stage.handsets[0]
    late.restored = True

    async def play() -> None:
        async with stage.open():
            stage.connect(late)
            await stage.later(1.0)
            assert await stage.close(late) == [TaskOver(stage.task, "unknown")]
            assert late.left == [stage.task]

    stage.play(play())


def test_a_task_that_waits_for_its_turn_is_not_over() -> None:
    """A restarted aggregator takes its tasks up one after the other; their devices stay."""
    stage = Stage()
    early: Handset = stage.handsets[0]
    early.restored = True
    stage.office.waiting.add(stage.task)

    async def play() -> None:
        async with stage.open():
            stage.connect(early)
            await stage.later(1.0)
            assert await stage.close(early) == []
            assert early.left == []

    stage.play(play())
