"""The demo's child processes: started with a log each, watched, and stopped in every case.

Rules:
- a child gets its own session, so that a Ctrl-C in the terminal reaches the demo alone, which then
  stops the children in order;
- a child that ends although nobody asked it to is an error that carries the last lines of its log;
- leaving the block stops every child: SIGTERM, some patience, SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dreamshare.engine.environment import ONE_THREAD
from dreamshare.errors import DreamshareError

PATIENCE_S = 5.0
"""From SIGTERM to SIGKILL."""


class ChildDied(DreamshareError):
    """A process of the demo ended by itself; the text has the end of its log and where it lies."""


@dataclass(frozen=True, slots=True)
class Child:
    """One running process.

    Attributes:
        name: for people, e.g. "device-1".
        log: file that gets its standard output and error.
    """

    name: str
    log: Path
    process: asyncio.subprocess.Process

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.returncode is None

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


class Children:
    """Every process of one demo; `async with` stops them all."""

    def __init__(self, logs: Path, environment: Mapping[str, str] | None = None) -> None:
        """`logs` is an existing folder; `environment` is that of this process by default."""
        self._logs = logs
        self._environment = {**(os.environ if environment is None else environment), **ONE_THREAD}
        self._children: list[Child] = []
        self._may_end: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop(*(c.name for c in reversed(self._children)))

    async def start(self, name: str, command: Sequence[str]) -> Child:
        """Start a process; its output goes to `<logs>/<name>.log`."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as stream:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment,
                start_new_session=True,
            )
        child = Child(name, log, process)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Return when every process that should run does.

        Raises:
            ChildDied: one ended by itself.
        """
        for child in self._children:
            if not child.running and child.name not in self._may_end:
                raise ChildDied(_obituary(child))

    async def kill(self, name: str) -> None:
        """End a process with SIGKILL, as a power cut would; returns when it is gone."""
        child = self._find(name)
        self._may_end.add(name)
        _signal(child, signal.SIGKILL)
        await child.process.wait()

    async def stop(self, *names: str) -> None:
        """Ask these processes to end, all at once, and end by force those that do not."""
        leaving = [self._find(name) for name in names]
        for child in leaving:
            self._may_end.add(child.name)
            _signal(child, signal.SIGTERM)
        waits = [asyncio.create_task(child.process.wait()) for child in leaving]
        if waits:
            await asyncio.wait(waits, timeout=PATIENCE_S)
        for child in leaving:
            _signal(child, signal.SIGKILL)
        await asyncio.gather(*waits)

    def _find(self, name: str) -> Child:
        return next(child for child in self._children if child.name == name)


def _signal(child: Child, number: signal.Signals) -> None:
    """Signal the child's whole session, so that a process which it started goes with it."""
    if child.running:
        try:
            os.killpg(child.process.pid, number)
        except ProcessLookupError:
            return


def _obituary(child: Child) -> str:
    code = child.process.returncode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    end = child.tail()
    log = f"its log, {child.log}, ends:\n{end}" if end else f"its log, {child.log}, is empty"
    return f"{child.name} {how} in mid-run; {log}"
