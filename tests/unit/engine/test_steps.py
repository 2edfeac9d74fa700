"""Where work runs: here, or in one thread of its own, one piece after the other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dreamshare.engine import Engine, InlineEngine, ThreadEngine


@pytest.mark.parametrize("make", [InlineEngine, ThreadEngine])
async def test_work_gives_its_result_or_its_error(make: type[InlineEngine | ThreadEngine]) -> None:
    engine: Engine = make()

    def fail() -> int:
        raise ZeroDivisionError("in the work")

    try:
        assert await engine.run(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await engine.run(fail)
    finally:
        engine.close()
        engine.close()


async def test_inline_work_runs_in_this_thread_and_threaded_work_does_not() -> None:
    assert await InlineEngine().run(threading.get_ident) == threading.get_ident()
    engine = ThreadEngine()
    first, second = await asyncio.gather(
        engine.run(threading.get_ident), engine.run(threading.get_ident)
    )
    engine.close()
    assert first == second != threading.get_ident()


async def test_cancelled_work_ends_before_the_next_begins() -> None:
    """A thread cannot be stopped: what nobody waits for any more still runs alone."""
    engine = ThreadEngine()
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def long() -> None:
        begun.set()
        go_on.wait(10)
        order.append("long")

    task = asyncio.ensure_future(engine.run(long))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    following = asyncio.ensure_future(engine.run(lambda: order.append("next")))
    go_on.set()
    await following
    engine.close()
    assert order == ["long", "next"]
