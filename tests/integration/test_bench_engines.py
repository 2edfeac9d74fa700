"""One recipe, one seed: threads, processes and a Ray cluster write the same lines, bit by bit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dreamshare.engine.opening import EngineConfig, Kind
from dreamshare_cli.bench.cells import cells_of
from dreamshare_cli.bench.runner import News, State, cell_path, run_cells
from tests.ray import need_ray
from tests.unit.bench.recipes import timeless, tiny

CELLS = cells_of(tiny())[:2]


def lines(kind: Kind, folder: Path) -> list[list[dict[str, object]]]:
    news: list[News] = []
    running = run_cells(CELLS, folder, 2, news.append, config=EngineConfig(kind))
    assert asyncio.run(running) == 0
    assert sum(each.state is State.ROUND for each in news) == 6
    return [timeless(cell_path(folder, cell)) for cell in CELLS]


@pytest.mark.long
def test_every_engine_gives_the_same_bits(tmp_path: Path) -> None:
    need_ray()
    here = lines("local", tmp_path / "local")
    assert lines("processes", tmp_path / "processes") == here
    assert lines("ray", tmp_path / "ray") == here
