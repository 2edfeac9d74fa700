"""Children are watched while they run and gone when the block is left, whatever happened."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from dreamshare_cli.demo import processes
from dreamshare_cli.demo.processes import Child, ChildDied, Children

WAITS = "import signal; print('waiting', flush=True); signal.pause()"
DEAF = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('waiting', flush=True); signal.pause()"
)
FAILS = "import sys; print('all was well'); sys.exit('the disk is full')"


async def until_it_speaks(child: Child) -> None:
    while "waiting" not in child.tail():  # noqa: ASYNC110 - a log file has no event to wait for
        await asyncio.sleep(0.01)


def gone(child: Child) -> bool:
    try:
        os.kill(child.process.pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_leaving_stops_everything(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        started = [
            await children.start(f"child-{n}", [sys.executable, "-c", WAITS]) for n in (1, 2)
        ]
        for child in started:
            await until_it_speaks(child)
        children.check()
    assert all(gone(child) for child in started)
    assert [c.process.returncode for c in started] == [-signal.SIGTERM] * 2


async def test_an_error_inside_stops_everything_too(tmp_path: Path) -> None:
    started = []

    async def fail() -> None:
        async with Children(tmp_path) as children:
            started.append(await children.start("child", [sys.executable, "-c", WAITS]))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await fail()
    assert gone(started[0])


async def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 0.05)
    async with Children(tmp_path) as children:
        child = await children.start("child", [sys.executable, "-c", DEAF])
        await until_it_speaks(child)
    assert child.process.returncode == -signal.SIGKILL


async def test_a_death_is_told_with_the_end_of_the_log_and_its_place(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        child = await children.start("device-1", [sys.executable, "-c", FAILS])
        await child.process.wait()
        with pytest.raises(ChildDied) as caught:
            children.check()
    text = str(caught.value)
    assert "device-1 ended with status 1 in mid-run" in text
    assert str(tmp_path / "device-1.log") in text
    assert "all was well" in text
    assert "the disk is full" in text


async def test_a_signal_is_named(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        child = await children.start("device-1", [sys.executable, "-c", WAITS])
        await until_it_speaks(child)
        os.kill(child.process.pid, signal.SIGSEGV)
        await child.process.wait()
        with pytest.raises(ChildDied, match="was ended by SIGSEGV"):
            children.check()


async def test_a_child_that_we_killed_is_not_a_death(tmp_path: Path) -> None:
    async with Children(tmp_path) as children:
        child = await children.start("device-1", [sys.executable, "-c", WAITS])
        await children.kill("device-1")
        children.check()
        assert child.process.returncode == -signal.SIGKILL


async def test_children_compute_with_one_thread(tmp_path: Path) -> None:
    show = "import os; print('waiting', os.environ['OMP_NUM_THREADS'], os.environ['MINE'])"
    async with Children(tmp_path, {"MINE": "yes"}) as children:
        child = await children.start("child", [sys.executable, "-c", show])
        await child.process.wait()
    assert child.tail() == "waiting 1 yes"
