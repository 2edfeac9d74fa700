"""`dreamshare up` in an empty folder, as the README walks it: the lines that it prints are run."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.children import ROOT, Child, child
from tests.services import tethered

pytestmark = pytest.mark.integration

WALK_S = 100.0


@pytest.fixture(autouse=True)
def usual_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One walk at a time, whichever worker runs it: they are about the usual ports."""
    with (tmp_path_factory.getbasetemp().parent / "usual-ports.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def dreamshare(line: str) -> tuple[int, str]:
    """Run a line that begins with `dreamshare`; return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *tethered([sys.executable, "-m", "dreamshare_cli", *shlex.split(line)[1:]]),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))},
    )
    async with asyncio.timeout(WALK_S):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@asynccontextmanager
async def up(*arguments: str) -> AsyncIterator[tuple[Child, list[str]]]:
    """Run `dreamshare up`; yield it and what it printed until it waits for devices."""
    async with child("dreamshare_cli", "up", *arguments) as process:
        lines = []
        async with asyncio.timeout(WALK_S):
            while not (line := await process.line()).startswith("  dreamshare run submit"):
                assert process.process.returncode is None, lines
                lines.append(line)
        yield process, [*lines, line]


async def test_from_an_empty_folder_to_a_learnt_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with up() as (process, lines):
        assert lines[0] == "made a development federation in federation"
        join, submit = (line.strip() for line in lines if line.startswith("  dreamshare "))
        async with AsyncExitStack() as stack:
            for _ in range(3):
                words = shlex.split(join)[1:]
                await stack.enter_async_context(child("dreamshare_cli", *words))
            code, told = await dreamshare(f"{submit} --json")
        assert code == 0, told
        last = json.loads(told.splitlines()[-1])
        assert last["event"] == "done", last
        assert last["metrics"]["accuracy"] > 0.5  # ten classes: a guess is right in one of ten
        code, checked = await dreamshare("dreamshare up --check --json")
        assert (code, json.loads(checked)["running"]) == (0, True)
        assert await process.end(signal.SIGINT) == 0
    link = next(line for line in lines if line.startswith("listening on"))
    async with up() as (process, again):
        assert link in again  # devices were told this address
        assert not any("made a development federation" in line for line in again)
        assert await process.end(signal.SIGINT) == 0


async def test_two_federations_on_one_machine_need_no_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with up() as (first, here), up("-f", "other") as (second, there):
        assert here[1] != there[1]
        assert here[1].startswith("listening on grpcs://127.0.0.1:")
        assert "--federation other" in there[-1]
        for process in (first, second):
            assert await process.end(signal.SIGTERM) == 0
