"""Steps of machines leave the event loop, whole and in order, and may be cut off at any moment."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from dreamshare.driver.offloading import Opener, encode, encoded
from dreamshare.engine import InlineEngine, ThreadEngine
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.messages import Sa2
from dreamshare.protocol.participant import Participant
from dreamshare.wire.bulk import BULK
from dreamshare.wire.transfer import Arrival
from dreamshare_crypto.secagg.events import RecordKind, Stage
from tests.unit.driver.stage import Handset
from tests.unit.driver.stage import Stage as Theatre

T = TypeVar("T")


class OtherThread:
    """An engine whose thread is waited for at once: simulated time cannot pass meanwhile."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self.thread = self._pool.submit(threading.get_ident).result()

    async def run(self, work: Callable[[], T]) -> T:
        return self._pool.submit(work).result()

    def close(self) -> None:
        self._pool.shutdown()


class CutOff:
    """An engine that does a certain piece of work and never says so."""

    def __init__(self, reached: Callable[[], bool]) -> None:
        self._reached = reached
        self.stuck = asyncio.Event()

    async def run(self, work: Callable[[], T]) -> T:
        done = work()
        if self._reached():
            self.stuck.set()
            await asyncio.get_running_loop().create_future()
        return done

    def close(self) -> None:
        """Nothing to give back."""


def test_no_step_of_a_machine_runs_on_the_loops_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole task at both ends; every call of either machine is noted with its thread."""
    seen: dict[str, set[int]] = {}

    def noting(kind: type[Coordinator | Participant]) -> None:
        honest = kind.handle

        def handle(self: object, *given: object) -> object:
            seen.setdefault(kind.__name__, set()).add(threading.get_ident())
            return honest(self, *given)  # type: ignore[arg-type]

        monkeypatch.setattr(kind, "handle", handle)

    noting(Coordinator)
    noting(Participant)
    engine = OtherThread()
    stage = Theatre(engine=engine)

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect(handset, engine=engine)
            await stage.follow(stage.begin())

    stage.play(play())
    engine.close()
    assert len(stage.sums) == 3
    assert seen == {"Coordinator": {engine.thread}, "Participant": {engine.thread}}


@pytest.mark.parametrize("kind", [RecordKind.COMMIT, RecordKind.VECTOR, RecordKind.AGREE])
def test_a_step_cut_off_before_its_effects_is_made_up_for(
    kind: RecordKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's process ends when a step has returned this record and nothing is stored yet.

    Its journal lacks the record, its frame is not acknowledged: after a restart it is sent again,
    and the sum has all four devices.
    """
    stage = Theatre()
    handset = stage.handsets[0]
    made: list[object] = []
    honest = Participant.handle

    def handle(self: Participant, *given: object) -> object:
        effects = honest(self, *given)  # type: ignore[arg-type]
        if self is watched[0]:
            made.extend(effects)
        return effects

    monkeypatch.setattr(Participant, "handle", handle)
    watched: list[Participant | None] = [None]
    seat = handset.seat

    def first_seat(task: object) -> object:
        taken = seat(task)  # type: ignore[arg-type]
        watched[0] = None if taken is None else taken.participant
        return taken

    monkeypatch.setattr(handset, "seat", first_seat)

    def reached() -> bool:
        records = (getattr(effect, "record", None) for effect in made)
        return any(record is not None and record.kind is kind for record in records)

    async def play() -> None:
        async with stage.open():
            engine = CutOff(reached)
            stage.connect(handset, engine=engine)
            for other in stage.handsets[1:]:
                stage.connect(other)
            following = asyncio.ensure_future(stage.follow(stage.begin()))
            await engine.stuck.wait()
            assert kind not in kinds(handset)
            await stage.kill(handset)
            handset.restored = True
            await stage.later(0.5)
            stage.connect(handset)
            await following

    stage.play(play())
    assert [len(done.survivors) for done in stage.sums] == [4, 4, 4]


def kinds(handset: Handset) -> set[RecordKind]:
    return {record.kind for record in handset.journal.records()}


# ---- frames --------------------------------------------------------------------------------------


def arrival(number: int, size: int) -> Arrival:
    return Arrival(1, number, (bytes([number]) * size,))


class Hands:
    """Takes what an opener opens; remembers in which thread and order."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, bool]] = []
        self.followed: list[int] = []
        self.failing: set[int] = set()
        self._loop_thread = threading.get_ident()

    def take(self, arrival: Arrival) -> Callable[[], None]:
        if arrival.transfer in self.failing:
            raise ZeroDivisionError("a bug of this program")
        self.opened.append((arrival.transfer, threading.get_ident() == self._loop_thread))
        return lambda: self.followed.append(arrival.transfer)


async def test_a_small_frame_is_opened_at_once_and_waits_behind_a_large_one() -> None:
    hands, jobs, engine = Hands(), [], ThreadEngine()
    opener = Opener(engine, lambda work: jobs.append(asyncio.ensure_future(work)), hands.take)
    opener.give(arrival(1, 10))
    assert hands.followed == [1]
    for number, size in ((2, BULK), (3, 10), (4, BULK + 1), (5, 10)):
        opener.give(arrival(number, size))
    assert hands.followed == [1]
    await asyncio.gather(*jobs)
    opener.give(arrival(6, 10))
    engine.close()
    assert hands.opened == [(1, True), (2, False), (3, True), (4, False), (5, True), (6, True)]
    assert hands.followed == [1, 2, 3, 4, 5, 6]
    assert len(jobs) == 1


async def test_a_bug_in_one_frame_stops_none_behind_it(caplog: pytest.LogCaptureFixture) -> None:
    hands, jobs = Hands(), []
    hands.failing = {1, 2}
    opener = Opener(
        InlineEngine(), lambda work: jobs.append(asyncio.ensure_future(work)), hands.take
    )
    for number, size in ((1, BULK), (2, 10), (3, BULK)):
        opener.give(arrival(number, size))
    with caplog.at_level(logging.ERROR):
        await asyncio.gather(*jobs)
    assert hands.followed == [3]
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


@pytest.mark.parametrize(("size", "off"), [(10, False), (BULK, True)])
async def test_large_messages_are_encoded_off_the_loop(size: int, off: bool) -> None:
    engine = OtherThread()
    asked: list[int] = []

    async def counting(work: Callable[[], T]) -> T:
        asked.append(1)
        return await OtherThread.run(engine, work)

    engine.run = counting  # type: ignore[method-assign]
    message = Sa2(Stage.MASKED_INPUT, bytes(size))
    assert await encoded(engine, message) == encode(message)
    engine.close()
    assert bool(asked) is off
