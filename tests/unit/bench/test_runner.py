"""Many cells: found again, begun anew, failing alone; processes change no result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.rows import Round
from dreamshare_cli.bench.runner import News, State, cell_path, load_records, run_cells
from tests.unit.bench.recipes import timeless, tiny

CELLS = cells_of(tiny())


def run(cells: tuple[Cell, ...], folder: Path, workers: int = 0) -> tuple[int, list[News]]:
    news: list[News] = []
    return asyncio.run(run_cells(cells, folder, workers, news.append)), news


def states(news: list[News]) -> list[State]:
    return [each.state for each in news if each.state is not State.ROUND]


def test_a_finished_cell_is_found_and_a_torn_one_begun_anew(tmp_path: Path) -> None:
    failed, news = run(CELLS[:2], tmp_path)
    assert (failed, states(news)) == (0, [State.STARTED, State.DONE] * 2)
    assert sum(each.round is not None for each in news) == 6
    path = cell_path(tmp_path, CELLS[0])
    before = timeless(path)
    path.write_text("\n".join(path.read_text().splitlines()[:3]) + '\n{"event": "rou')
    failed, news = run(CELLS[:2], tmp_path)
    assert (failed, states(news)) == (0, [State.AGAIN, State.STARTED, State.DONE, State.FOUND])
    assert "after 2 evaluations; it starts from the beginning" in news[0].text
    assert timeless(path) == before
    assert [cell for cell, _ in load_records(tmp_path, CELLS)] == list(CELLS[:2])


def test_processes_give_what_this_process_gives(tmp_path: Path) -> None:
    run(CELLS[:2], tmp_path / "here")
    failed, news = run(CELLS[:2], tmp_path / "there", workers=2)
    assert failed == 0
    assert sum(each.round is not None for each in news) == 6
    for cell in CELLS[:2]:
        here, there = (cell_path(tmp_path / name, cell) for name in ("here", "there"))
        assert timeless(here) == timeless(there)


def test_a_cell_that_fails_stops_no_other(tmp_path: Path) -> None:
    broken = cells_of(tiny(("samples = 30", "samples = 3000")))[0]
    failed, news = run((broken, CELLS[1]), tmp_path)
    assert failed == 1
    told = {each.cell.key: each for each in news if each.state in (State.FAILED, State.DONE)}
    assert told[broken.key].state is State.FAILED
    assert "9000 training examples are wanted" in told[broken.key].text
    assert told[CELLS[1].key].state is State.DONE


class Silent:
    """An engine whose cells end without a word."""

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        """Write nothing."""


class Endless:
    """An engine that waits, and notes that it was stopped."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.stopped = False

    async def compute(self, cell: Cell, path: Path, tell: Callable[[Round], None]) -> None:
        self.began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.stopped = True


async def test_a_cell_without_an_end_has_failed(tmp_path: Path) -> None:
    news: list[News] = []
    assert await run_cells(CELLS[:1], tmp_path, 1, news.append, Silent()) == 1
    assert "without its last line" in news[-1].text


async def test_a_run_that_is_stopped_stops_its_engine(tmp_path: Path) -> None:
    engine = Endless()
    running = asyncio.ensure_future(run_cells(CELLS[:1], tmp_path, 1, lambda _: None, engine))
    await engine.began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.stopped


async def test_a_run_in_this_process_ends_at_its_next_line(tmp_path: Path) -> None:
    endless = cells_of(tiny(("rounds = 2", "rounds = 5000")))[0]
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(news: News) -> None:
        if news.state is State.ROUND:
            loop.call_soon_threadsafe(begun.set)

    running = asyncio.ensure_future(run_cells([endless], tmp_path, 0, tell))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await loop.shutdown_default_executor()  # as `asyncio.run` does: waits for the cell's thread


async def test_less_than_no_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="-1 workers"):
        await run_cells(CELLS, tmp_path, -1, lambda _: None)
