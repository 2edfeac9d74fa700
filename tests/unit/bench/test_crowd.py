"""Cells of more devices than a cohort: cohorts of one population, on any engine, bit by bit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamshare.engine.opening import EngineConfig, Kind
from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of
from dreamshare_cli.bench.crowd_record import Counted, CrowdFolder, crowd_folder
from dreamshare_cli.bench.recipe import with_devices
from dreamshare_cli.bench.rows import End, Line, Round, Start
from dreamshare_cli.bench.runner import cell_path, load_records, run_cells
from dreamshare_cli.bench.work import run_cell
from tests.unit.bench.recipes import timeless, tiny

GROUPED = ("count = 3\n", "count = 8\ncohort = 4\n")
CONDITIONS = (
    "[schedule]\n",
    "[conditions]\ncompute_s = 2.0\ncompute_spread = 0.5\ncorrupt = 0.2\ncorruption = 'flipped'\n"
    "[conditions.losses]\nmasked_input = 0.1\n[schedule]\n",
)


def crowd(*changes: tuple[str, str]) -> Cell:
    (cell,) = (c for c in cells_of(tiny(GROUPED, *changes)) if c.algorithm and c.seed == 0)
    assert cell.crowd
    return cell


def compute(cell: Cell, kind: Kind, folder: Path) -> list[dict[str, object]]:
    config = EngineConfig(kind)
    assert asyncio.run(run_cells([cell], folder, 2, lambda news: None, config=config)) == 0
    return timeless(cell_path(folder, cell))


def test_engines_give_the_same_lines(tmp_path: Path) -> None:
    cell = crowd(CONDITIONS)
    here = compute(cell, "local", tmp_path / "local")
    assert compute(cell, "processes", tmp_path / "processes") == here
    ((_, record),) = load_records(tmp_path / "local", [cell])
    assert [line.round for line in record.rounds] == [1, 2, 2]
    assert len(record.end.test) == len(record.rounds[-1].bytes_up) == 8


class Killed(BaseException):
    """What ends a run between two lines."""


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_that_was_killed_goes_on(tmp_path: Path, after: int) -> None:
    """The same lines as in one go, without computing again what was finished."""
    cell, folder = crowd(), tmp_path / "cell.run"
    whole: list[Line] = []
    run_cell(cell, whole.append)
    seen: list[Line] = []

    def tell(line: Line) -> None:
        seen.append(line)
        if sum(isinstance(each, Round) for each in seen) > after:
            raise Killed

    with pytest.raises(Killed):
        run_cell(cell, tell, folder)
    assert crowd_folder(tmp_path / "cell.jsonl") == folder
    again: list[Line] = []
    run_cell(cell, again.append, folder)
    assert [bare(line) for line in again] == [bare(line) for line in whole]
    kept = [line for line in seen if isinstance(line, Round)][:after]
    assert [line for line in again if isinstance(line, Round)][:after] == kept, "computed again"
    assert not folder.exists()


def test_another_installation_begins_anew(tmp_path: Path) -> None:
    """A cell that two versions of a library computed in turn would have the name of neither."""
    folder = CrowdFolder(tmp_path / "cell.run")
    start = Start("cell", "fingerprint", {"numpy": "1"})
    assert folder.open(start) is None
    counted = Counted(
        *(3, 1, True, 1, 2),
        np.ones((4, 8), np.int64),
        np.zeros(8),
        (),
        np.zeros(0, np.uint8),
        *(1.0, 2.0),
    )
    folder.keep(counted)
    kept = folder.open(start)
    assert kept is not None
    assert (kept.step, kept.sums, kept.sent.sum()) == (3, 2, 32)
    assert folder.open(Start("cell", "fingerprint", {"numpy": "2"})) is None


def bare(line: Line) -> Line:
    """Without what a clock measured."""
    match line:
        case Round():
            return replace(line, compute_s=())
        case End():
            return replace(line, seconds=0.0, cpu_s=0.0)
    return line


def test_two_cohorts_learn_what_one_does() -> None:
    """FedAvg's mean over two cohorts of four is that over one of eight, but for rounding."""
    whole = next(
        c for c in cells_of(tiny(("count = 3\n", "count = 8\n"))) if c.algorithm and c.seed == 0
    )
    assert not whole.crowd
    found: list[list[Line]] = [[], []]
    for cell, lines in zip((whole, crowd()), found, strict=True):
        run_cell(cell, lines.append)
    one, two = ([line for line in lines if isinstance(line, Round)] for lines in found)
    assert [len(line.devices) for line in one] == [len(line.devices) for line in two]
    first, second = (next(line for line in lines if isinstance(line, End)) for lines in found)
    assert (first.parameters, first.examples) == (second.parameters, second.examples)
    assert second.sums == 2 * first.sums


def test_a_cell_as_it_was_keeps_its_name() -> None:
    """Fields that came later and are not used leave fingerprints, and so finished cells, alone."""
    cell = cells_of(tiny())[0]
    assert "conditions" not in cell.to_json()
    assert "cohort" not in cell.to_json()
    assert Cell.from_json(crowd(CONDITIONS).to_json()) == crowd(CONDITIONS)
    assert crowd().fingerprint != crowd(CONDITIONS).fingerprint


def test_devices_are_as_many_as_asked_for() -> None:
    recipe = with_devices(tiny(), 300)
    assert (recipe.name, recipe.devices.count) == ("tiny-300", 300)
    assert recipe.sha256 != tiny().sha256
    assert all(cell.crowd and cell.cohort == 64 for cell in cells_of(recipe) if cell.algorithm)
    with pytest.raises(ConfigError, match=r"devices\.cohort"):
        tiny(("count = 3\n", "count = 8\ncohort = 200\n"))
