"""Runs cells: each in a process of its own, several at a time, or one after the other in this one.

Rules:
- a finished cell is not run again; one that was killed is begun anew, and said so: a half-trained
  federation is spread over keys, optimisers and generators, and starting over is exact;
- a cell that fails does not stop the others;
- whatever happens, no process outlives `run_cells`, nor does a pipe to one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dreamshare.engine.environment import ONE_THREAD
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.rows import Line, Record, Round, finished, from_line, rounds_in
from dreamshare_cli.bench.work import write_cell

MOST_LINE_BYTES = 1 << 24
LAST_WORDS = 2_000
"""Characters of a failed cell's standard error that are shown."""


class State(StrEnum):
    """What became of a cell."""

    FOUND = "found"
    AGAIN = "again"
    STARTED = "started"
    ROUND = "round"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to a cell.

    Attributes:
        cell: which.
        state: what. FOUND: it was finished before. AGAIN: begun anew, its file was not finished.
        round: of ROUND.
        text: of AGAIN and FAILED, for people.
    """

    cell: Cell
    state: State
    round: Round | None = None
    text: str = ""


Tell = Callable[[News], None]


class CellFailed(DreamshareError):
    """A cell ended without its last line."""


class Engine(Protocol):
    """Where cells are computed: the seam for other machines."""

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        """Compute a cell into a file; cancelled, it stops.

        Raises:
            DreamshareError: the cell failed.
        """
        ...


class Inline:
    """Computes in this process, for tests and debuggers; cancelled, it ends at its next line."""

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        stopped = threading.Event()

        def rounds(line: Line) -> None:
            if stopped.is_set():
                raise CellFailed("stopped")
            if isinstance(line, Round):
                tell(line)

        try:
            # a simulation has an event loop of its own, which cannot run inside this one
            await asyncio.to_thread(write_cell, cell, path, rounds)
        except asyncio.CancelledError:
            stopped.set()
            raise


class Processes:
    """Computes in a new process with one compute thread.

    Args:
        most: processes at a time; each has a place of its own among them, by which it takes its
            turn where there are several GPUs.
    """

    def __init__(self, most: int) -> None:
        self._free = list(range(most))

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        place = self._free.pop(0)
        try:
            await self._compute(cell, path, tell, place)
        finally:
            self._free.append(place)

    async def _compute(
        self, cell: Cell, path: Path, tell: Callable[[Round], None], place: int
    ) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dreamshare_cli.bench.work", str(path), str(place)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MOST_LINE_BYTES,
            env={**os.environ, **ONE_THREAD},
            start_new_session=True,  # Ctrl-C is this process's to pass on
        )
        words = asyncio.ensure_future(_read(process.stderr))
        try:
            await _give(process.stdin, cell.to_json())
            await _follow(process.stdout, tell)
            code = await process.wait()
            said = await words
        finally:
            if process.returncode is None:
                _kill(process)
                # to their ends: a pipe that is open when the loop closes complains then
                await asyncio.gather(_read(process.stdout), words, process.wait())
        if code:
            raise CellFailed(said.strip()[-LAST_WORDS:] or f"its process ended with status {code}")


def cell_path(folder: Path, cell: Cell) -> Path:
    """Return the file of a cell."""
    return folder / "cells" / f"{cell.key}.jsonl"


def load_records(folder: Path, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Record]]:
    """Yield what finished cells wrote."""
    for cell in cells:
        record = finished(cell, cell_path(folder, cell))
        if record is not None:
            yield cell, record


async def run_cells(
    cells: Sequence[Cell], folder: Path, workers: int, tell: Tell, engine: Engine | None = None
) -> int:
    """Run what is not finished yet and return how many cells failed.

    Args:
        cells: each with a key of its own.
        folder: where their files go.
        workers: processes at a time; 0 computes in this process.
        tell: is told what happens.
        engine: instead of the one that `workers` means.

    Raises:
        ConfigError: workers below 0.
    """
    if workers < 0:
        raise ConfigError(f"{workers} workers; use 0 (in this process) or more")
    chosen = engine or (Processes(workers) if workers else Inline())
    places = asyncio.Semaphore(max(1, workers))
    (folder / "cells").mkdir(parents=True, exist_ok=True)

    async def one(cell: Cell) -> bool:
        async with places:
            return await _run(cell, cell_path(folder, cell), chosen, tell)

    running = [asyncio.ensure_future(one(cell)) for cell in cells]
    try:
        return sum(not well for well in await asyncio.gather(*running))
    finally:
        for task in running:
            if not task.cancelling():  # a second time would cut short how it ends its process
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _run(cell: Cell, path: Path, engine: Engine, tell: Tell) -> bool:
    if finished(cell, path) is not None:
        tell(News(cell, State.FOUND))
        return True
    lost = rounds_in(path)
    if lost is not None:
        text = f"an earlier run of it ended after {lost} evaluations; it starts from the beginning"
        tell(News(cell, State.AGAIN, text=text))
    tell(News(cell, State.STARTED))
    try:
        await engine.compute(cell, path, lambda line: tell(News(cell, State.ROUND, line)))
        if finished(cell, path) is None:
            raise CellFailed("it ended without its last line")
    except DreamshareError as error:
        tell(News(cell, State.FAILED, text=str(error)))
        return False
    tell(News(cell, State.DONE))
    return True


def _kill(process: asyncio.subprocess.Process) -> None:
    """End a process and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _give(stream: asyncio.StreamWriter | None, text: str) -> None:
    if stream is not None:
        stream.write(text.encode())
        stream.close()
        await stream.wait_closed()


async def _follow(stream: asyncio.StreamReader | None, tell: Callable[[Round], None]) -> None:
    if stream is None:
        return
    async for raw in stream:
        line = from_line(raw.decode())
        if isinstance(line, Round):
            tell(line)


async def _read(stream: asyncio.StreamReader | None) -> str:
    return "" if stream is None else (await stream.read()).decode(errors="replace")
