"""Runs cells: each in a process of its own, several at a time, or one after the other in this one.

Where those processes are is an engine's business (`dreamshare.engine`): here, or on a cluster.

Rules:
- a finished cell is not run again; one that was killed is begun anew, and said so: a half-trained
  federation is spread over keys, optimisers and generators, and starting over is exact. The cohorts
  of a population are kept, and it goes on;
- a cell that fails does not stop the others;
- whatever happens, no process outlives `run_cells`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dreamshare.engine.batches import Batch, BatchEngine, Failed, Reason, Told
from dreamshare.engine.opening import EngineConfig, open_engine
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.crowd import resources_of, run_crowd
from dreamshare_cli.bench.crowd_record import crowd_folder
from dreamshare_cli.bench.rows import (
    Line,
    Record,
    Round,
    Start,
    finished,
    from_line,
    rounds_in,
    to_line,
)
from dreamshare_cli.bench.work import told_cell, write_cell

LAST_WORDS = 2_000
"""Characters of a failed cell's traceback that are shown."""


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
        state: what. FOUND: it was finished before. AGAIN: its file was not finished; the text says
            whether it is begun anew.
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


class OnEngine:
    """Computes in a fresh process of an engine, on this machine or another.

    Lines come back as they are told; a file is written here alone, and begun anew where a worker
    died and the cell with it.

    Args:
        engine: open.
    """

    def __init__(self, engine: BatchEngine) -> None:
        self._engine = engine

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        if cell.crowd:
            await self._crowd(cell, path, tell)
            return
        pieces = (cell.to_json(),)
        batch = Batch(told_cell, pieces, None, resources_of(cell), retries=1, fresh=True)
        with path.open("w", encoding="utf-8") as file:
            async with self._engine.run(batch) as events:
                async for event in events:
                    if isinstance(event, Failed):
                        trace = "" if event.reason is Reason.REFUSED else event.trace
                        raise CellFailed(f"{event.error()}\n{trace[-LAST_WORDS:]}".strip())
                    if isinstance(event, Told):
                        line = from_line(event.text)
                        if isinstance(line, Start):
                            file.seek(0)
                            file.truncate()
                        file.write(event.text + "\n")
                        file.flush()
                        if isinstance(line, Round):
                            tell(line)

    async def _crowd(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        with path.open("w", encoding="utf-8") as file:

            def both(line: Line) -> None:
                file.write(to_line(line) + "\n")
                file.flush()
                if isinstance(line, Round):
                    tell(line)

            await run_crowd(cell, self._engine, both, crowd_folder(path))


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
    cells: Sequence[Cell],
    folder: Path,
    workers: int,
    tell: Tell,
    engine: Engine | None = None,
    config: EngineConfig | None = None,
) -> int:
    """Run what is not finished yet and return how many cells failed.

    Args:
        cells: each with a key of its own.
        folder: where their files go.
        workers: processes at a time; 0 computes in this process.
        tell: is told what happens.
        engine: instead of the one that `workers` and `config` mean.
        config: where processes are; on this machine without it.

    Raises:
        ConfigError: workers below 0, or the engine cannot be had here.
    """
    if workers < 0:
        raise ConfigError(f"{workers} workers; use 0 (in this process) or more")
    if engine is not None or not workers:
        return await _run_all(cells, folder, max(1, workers), tell, engine or Inline())
    async with open_engine(replace(config or EngineConfig(), at_once=workers)) as opened:
        return await _run_all(cells, folder, workers, tell, OnEngine(opened))


async def _run_all(
    cells: Sequence[Cell], folder: Path, at_once: int, tell: Tell, chosen: Engine
) -> int:
    places = asyncio.Semaphore(at_once)
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
        goes = "starts from the beginning"
        if crowd_folder(path).exists():
            goes = "goes on with the cohorts that it had finished"
        text = f"an earlier run of it ended after {lost} evaluations; it {goes}"
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
