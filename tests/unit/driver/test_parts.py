"""The small parts of the driver: waits, alarms, first of several, journal effects in order."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from dreamshare.clock import ManualClock
from dreamshare.driver.effects import store
from dreamshare.driver.timer import Timer
from dreamshare.driver.waiting import at_most, first_of, stop
from dreamshare.errors import ConfigError
from dreamshare.protocol.events import Forget, Keep, Persist
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.transport.backoff import Backoff, BackoffSettings
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.secagg.events import Record, RecordKind


def test_waits_double_with_jitter_up_to_a_limit() -> None:
    """Wait k is uniform in [1/2, 1] of min(8, 1 * 2^k)."""
    backoff = Backoff(BackoffSettings(1.0, 8.0, 10.0), random.Random(0))
    waits = [backoff.next_wait(0.0) for _ in range(8)]
    for wait, most in zip(waits, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert most / 2 <= wait <= most
    assert len(set(waits)) == 8
    assert backoff.next_wait(10.0) <= 1.0  # that connection was good
    assert backoff.next_wait(9.9) > 0.99


def test_waits_have_an_order() -> None:
    with pytest.raises(ConfigError):
        BackoffSettings(2.0, 1.0)


async def test_an_alarm_can_be_moved_and_switched_off() -> None:
    clock = ManualClock(0.0)
    rung: list[float] = []
    timer = Timer(clock, lambda: rung.append(clock.now()))
    timer.set(10.0)
    timer.set(5.0)
    timer.set(5.0)
    await settle()
    for moment in (4.0, 5.0, 6.0, 11.0):
        clock.advance_to(moment)
        await settle()
    assert rung == [5.0]
    timer.set(20.0)
    timer.set(None)
    await settle()
    clock.advance_to(30.0)
    await settle()
    assert rung == [5.0]
    timer.set(25.0)  # past already
    await settle()
    assert rung == [5.0, 30.0]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_of_several_counts_and_the_others_end() -> None:
    ended: list[str] = []

    async def slow() -> int:
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append("slow")

    async def quick(value: int) -> int:
        return value

    assert await first_of(slow(), quick(1), quick(2)) == 1
    assert ended == ["slow"]

    async def wrong() -> int:
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        await first_of(slow(), wrong())
    assert ended == ["slow", "slow"]


async def test_at_most_gives_up() -> None:
    clock = ManualClock(0.0)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    waiting = asyncio.ensure_future(at_most(clock, 2.0, never()))
    await settle()
    assert not waiting.done()
    clock.advance_to(2.0)
    await settle()
    assert waiting.done()
    await stop(waiting)


class DiskJournal(MemoryJournal):
    """A journal that waits for a disk, and notes what it was asked, and in which thread."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.threads: set[int] = set()

    def note(self, what: str) -> None:
        self.asked.append(what)
        self.threads.add(threading.get_ident())

    def append(self, record: Record, sync: bool) -> None:
        self.note(f"append {record.kind.name} {sync}")

    def keep(self, slot: str, secret: Secret) -> None:
        self.note(f"keep {slot}")

    def forget(self, slot: str) -> None:
        self.note(f"forget {slot}")


async def test_journal_effects_keep_their_order_and_leave_the_loop_alone() -> None:
    journal = DiskJournal()
    await store(
        journal,
        [
            Keep("chain", Secret(b"x")),
            Persist(Record(RecordKind.SESSION, b""), sync=True),
            Forget("seed"),
            Persist(Record(RecordKind.SEED_ERASED, b""), sync=False),
        ],
    )
    await store(journal, [])
    assert journal.asked == [
        "keep chain",
        "append SESSION True",
        "forget seed",
        "append SEED_ERASED False",
    ]
    assert threading.get_ident() not in journal.threads
