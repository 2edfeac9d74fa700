"""A child process of a test: its output line by line, signals, a certain end.

Rules: it ends with its block, and with the process that runs the test, also where that is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from tests.services import tethered

ROOT = Path(__file__).parents[2]


class Child:
    """A process whose standard output is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdout is not None
        self._lines = process.stdout

    async def line(self) -> str:
        return (await self._lines.readline()).decode().rstrip("\n")

    async def event(self, name: str) -> dict[str, object]:
        """Return the first JSON line that is this event; fail where the output ends before."""
        while text := await self.line():
            fields: dict[str, object] = json.loads(text)
            if fields["event"] == name:
                return fields
        raise AssertionError(f"the process ended before {name!r}")

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def child(
    module: str, *arguments: str, stderr: BinaryIO | int | None = None
) -> AsyncIterator[Child]:
    """Run `python -m module` until the end of the block.

    `stderr` takes its standard error; it may be `subprocess.PIPE`.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        *tethered([sys.executable, "-m", module, *arguments]),
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


RUN = "DREAMSHARE_TEST_RUN"
"""Environment variable that marks a program and all that it starts."""


def processes_of(folder: Path) -> dict[int, str]:
    """Return pid and command line of every process that names this folder there or in `RUN`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                marked = f"{RUN}={folder}\0".encode() in (entry / "environ").read_bytes()
            except OSError:
                continue
            if str(folder) in command or marked:
                found[int(entry.name)] = command
    return found
