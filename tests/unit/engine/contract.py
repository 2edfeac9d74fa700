"""What every batch engine keeps; each check is given an open engine of two places and a folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from dreamshare.engine.batches import (
    Batch,
    BatchEngine,
    Failed,
    Finished,
    Reason,
    Told,
    WorkFailed,
    gathered,
)
from dreamshare.errors import ConfigError
from tests.unit.engine import work


async def gives_results_in_the_order_of_the_pieces(engine: BatchEngine, folder: Path) -> None:
    assert await gathered(engine, Batch(work.squared, range(7), 3)) == (3, 4, 7, 12, 19, 28, 39)
    assert await gathered(engine, Batch(work.squared, (), 3)) == ()


async def carries_records_and_large_arrays(engine: BatchEngine, folder: Path) -> None:
    """800 kB each way, and small ones: 1 + factor * value, computed by head."""
    for size in (3, 100_000):
        values = np.arange(size, dtype=np.float64)
        batch = Batch(work.scaled, [work.Ask(factor, values) for factor in (2, 5)], np.ones(size))
        twice, five = await gathered(engine, batch)
        np.testing.assert_array_equal(twice, 1 + 2 * values)
        np.testing.assert_array_equal(five, 1 + 5 * values)


async def tells_what_pieces_tell_before_they_finish(engine: BatchEngine, folder: Path) -> None:
    async with engine.run(Batch(work.telling, (3, 0), None)) as events:
        seen = [event async for event in events]
    assert [event for event in seen if event.piece == 1] == [Finished(1, 0)]
    assert [event for event in seen if event.piece == 0] == [
        *(Told(0, str(number)) for number in range(3)),
        Finished(0, 3),
    ]


async def one_failure_leaves_the_others_alone(engine: BatchEngine, folder: Path) -> None:
    async with engine.run(Batch(work.failing_odd, range(6), None)) as events:
        seen = {event.piece: event async for event in events}
    assert [seen[piece] for piece in (0, 2, 4)] == [Finished(piece, piece) for piece in (0, 2, 4)]
    for piece in (1, 3, 5):
        failure = seen[piece]
        assert isinstance(failure, Failed)
        assert (failure.reason, failure.kind) == (Reason.RAISED, "ZeroDivisionError")
        assert "failing_odd" in failure.trace


async def what_was_refused_on_purpose_keeps_its_words(engine: BatchEngine, folder: Path) -> None:
    with pytest.raises(WorkFailed, match="^8 is out of range$") as caught:
        await gathered(engine, Batch(work.refusing, (8,), None))
    assert caught.value.failed.reason is Reason.REFUSED
    assert caught.value.failed.kind == ConfigError.__name__


async def several_batches_share_its_places(engine: BatchEngine, folder: Path) -> None:
    batches = [Batch(work.squared, range(5), common) for common in (0, 100, 200)]
    results = await asyncio.gather(*(gathered(engine, batch) for batch in batches))
    squares = [number * number for number in range(5)]
    assert results == [tuple(s + common for s in squares) for common in (0, 100, 200)]


async def a_batch_that_is_left_stops(engine: BatchEngine, folder: Path) -> None:
    running = asyncio.ensure_future(gathered(engine, Batch(work.waiting, range(9), folder)))
    await until(lambda: any(folder.iterdir()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    begun = count(folder)
    assert await gathered(engine, Batch(work.squared, (2,), 0)) == (4,)
    assert count(folder) == begun <= engine.at_once


async def a_slow_reader_holds_the_work_up(engine: BatchEngine, folder: Path) -> None:
    """Two results a place may wait: of 20 pieces 4 begin, and no fifth, before one is taken."""
    async with engine.run(Batch(work.marking, range(20), folder)) as events:
        await until(lambda: count(folder) >= 4)
        await asyncio.sleep(0.2)
        assert count(folder) == 4
        assert len([event async for event in events]) == 20


ALWAYS = (
    gives_results_in_the_order_of_the_pieces,
    carries_records_and_large_arrays,
    tells_what_pieces_tell_before_they_finish,
    one_failure_leaves_the_others_alone,
    what_was_refused_on_purpose_keeps_its_words,
    several_batches_share_its_places,
    a_slow_reader_holds_the_work_up,
    a_batch_that_is_left_stops,
)


async def arrays_are_shared_and_read_only(engine: BatchEngine, folder: Path) -> None:
    large = np.zeros(100_000)
    assert await gathered(engine, Batch(work.writable, (large,), large)) == ((False, False),)


async def what_cannot_be_sent_is_said(engine: BatchEngine, folder: Path) -> None:
    with pytest.raises(WorkFailed, match="result cannot be sent") as caught:
        await gathered(engine, Batch(work.unpicklable, (1,), None))
    assert caught.value.failed.reason is Reason.UNSENDABLE
    with pytest.raises(WorkFailed, match="argument cannot be sent"):
        await gathered(engine, Batch(work.squared, (threading.Lock(),), 0))
    with pytest.raises(WorkFailed, match="common argument cannot be sent"):
        await gathered(engine, Batch(work.squared, (1,), threading.Lock()))


async def a_piece_outlives_its_worker(engine: BatchEngine, folder: Path) -> None:
    """It dies once and is begun again; without a retry, one death is one too many."""
    for name in ("kept", "lost"):
        (folder / name).mkdir()
    assert await gathered(engine, Batch(work.dying, (1,), folder / "kept", retries=1)) == (1,)
    with pytest.raises(WorkFailed, match="its worker died") as caught:
        await gathered(engine, Batch(work.dying, (9,), folder / "lost", retries=0))
    assert caught.value.failed.reason is Reason.LOST
    assert await gathered(engine, Batch(work.squared, range(3), 0)) == (0, 1, 4)


async def what_is_stuck_is_killed(engine: BatchEngine, folder: Path) -> None:
    """No piece of a batch that was left computes on, not even one that says nothing."""
    running = asyncio.ensure_future(gathered(engine, Batch(work.stuck, range(4), folder)))
    await until(lambda: count(folder) == engine.at_once)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not any(map(alive, folder.iterdir())))


async def workers_compute_with_one_thread_in_their_places(
    engine: BatchEngine, folder: Path
) -> None:
    seen = await gathered(engine, Batch(work.process, range(12), None))
    assert os.getpid() not in {pid for pid, _, _ in seen}
    assert {place for _, place, _ in seen} == {0, 1}
    assert {threads for _, _, threads in seen} == {"1"}


async def fresh_pieces_have_processes_of_their_own(engine: BatchEngine, folder: Path) -> None:
    await gathered(engine, Batch(work.process, range(2), None))
    seen = await gathered(engine, Batch(work.process, range(4), None, fresh=True))
    assert len({pid for pid, _, _ in seen}) == 4


ELSEWHERE = (
    fresh_pieces_have_processes_of_their_own,
    arrays_are_shared_and_read_only,
    what_cannot_be_sent_is_said,
    a_piece_outlives_its_worker,
    what_is_stuck_is_killed,
    workers_compute_with_one_thread_in_their_places,
)
"""What is kept besides where pieces are computed in processes of their own."""

Check = Callable[[BatchEngine, Path], Awaitable[None]]


async def bits_of(engine: BatchEngine) -> str:
    """Return a hash of results whose last bits depend on how a library adds up."""
    results = await gathered(engine, Batch(work.drawn, range(4), 7))
    return hashlib.sha256(b"".join(results)).hexdigest()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.02)


def count(folder: Path) -> int:
    return len(tuple(folder.iterdir()))


def alive(named: Path) -> bool:
    """Return whether the process lives after whose number a file is called."""
    try:
        return "State:\tZ" not in Path(f"/proc/{named.name}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
