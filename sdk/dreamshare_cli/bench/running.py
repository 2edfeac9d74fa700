"""What `dreamshare bench` does: the shell around recipe, cells and results.

Objects with `--json`, one a line:
    --list    {"cell": "alpha-0.5--codream--seed-0", "finished": false}
    a run     {"cell": "...", "state": "round", "round": 1, "devices": [...], ...}   as `progress`
    its end   {"results": "bench/smoke/smoke.json", "cells": 6, "missing": 0, "seconds": 12.3}
    report    {"page": "results.md", "pictures": 4}
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of, chosen
from dreamshare_cli.bench.recipe import Recipe, read_recipe
from dreamshare_cli.exits import Exit
from dreamshare_cli.loops import until_stopped
from dreamshare_cli.output import Output

_EXTRA = "pip install 'dreamshare[bench]'"


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What was asked for.

    Attributes:
        recipe: file.
        out: folder of the run; None for ./bench/NAME.
        workers: processes; None for one a core.
        only: words that a cell's key must hold.
        as_json: print JSON lines.
    """

    recipe: Path
    out: Path | None
    workers: int | None
    only: tuple[str, ...]
    as_json: bool

    def folder(self, recipe: Recipe) -> Path:
        """Return where a run's files go."""
        return self.out or Path("bench") / recipe.name


def list_cells(request: BenchRequest) -> Exit:
    """Print the cells of a recipe."""
    recipe, cells = _read(request)
    from dreamshare_cli.bench.rows import finished
    from dreamshare_cli.bench.runner import cell_path

    output = Output(request.as_json)
    for cell in cells:
        done = finished(cell, cell_path(request.folder(recipe), cell)) is not None
        line = f"{cell.key}{'  finished' if done else ''}"
        output.show({"cell": cell.key, "finished": done}, line)
    return Exit.OK


def run_bench(request: BenchRequest) -> Exit:
    """Run what is not finished, and write the results of everything that is."""
    recipe, cells = _read(request)
    _need(recipe)
    from dreamshare_cli.bench.checking import check_cells
    from dreamshare_cli.bench.progress import BarShow, JsonShow
    from dreamshare_cli.bench.results import collect, write_results
    from dreamshare_cli.bench.runner import load_records, run_cells

    check_cells(cells)
    folder = request.folder(recipe)
    workers = _cores() if request.workers is None else request.workers
    with JsonShow() if request.as_json else BarShow(len(cells)) as show:
        failed = asyncio.run(until_stopped(run_cells(cells, folder, workers, show.tell)))
    every = cells_of(recipe)
    results = collect(recipe, every, tuple(load_records(folder, every)))
    path = folder / f"{recipe.name}.json"
    write_results(results, path)
    missing = len(results.missing)
    Output(request.as_json).show(
        {
            "results": str(path),
            "cells": len(results.cells),
            "missing": missing,
            "seconds": results.seconds,
        },
        f"{path}: {len(results.cells)} of {len(every)} cells; "
        f"write it up with: dreamshare bench report {path}",
    )
    if failed is None:
        return Exit.INTERRUPTED
    return Exit.FAILED if failed else Exit.OK


def run_report(files: Sequence[Path], out: Path, as_json: bool) -> Exit:
    """Write the page and the pictures of result files."""
    if not files:
        raise ConfigError("name the result files: dreamshare bench report FILES")
    if find_spec("matplotlib") is None:
        raise ConfigError(f"a report needs matplotlib: {_EXTRA}")
    from dreamshare_cli.bench.report import write_report

    written = write_report(files, out)
    Output(as_json).show(
        {"page": str(written.page), "pictures": len(written.pictures)},
        f"{written.page} and {len(written.pictures)} pictures beside it",
    )
    return Exit.OK


def _read(request: BenchRequest) -> tuple[Recipe, tuple[Cell, ...]]:
    recipe = read_recipe(request.recipe)
    return recipe, chosen(cells_of(recipe), request.only)


def _need(recipe: Recipe) -> None:
    needed = ["torch" if recipe.devices.runtime == "torch" else "onnxruntime", "rich"]
    if recipe.data.source == "digits":
        needed.append("sklearn")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(f"this recipe needs {', '.join(missing)}; install it with: {_EXTRA}")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
