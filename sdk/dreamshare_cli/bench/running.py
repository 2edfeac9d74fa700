"""What `dreamshare bench` does: the shell around recipe, cells and results.

Objects with `--json`, one a line:
    --list    {"cell": "alpha-0.5--codream--seed-0", "finished": false}
    a run     {"cell": "...", "state": "round", "round": 1, "devices": [...], ...}   as `progress`
    its end   {"results": "bench/smoke/smoke.json", "cells": 6, "missing": 0, "seconds": 12.3}
              where it was stopped, too; how to go on is a line on standard error
    report    {"page": "results.md", "pictures": 4}
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dreamshare.engine.opening import EngineConfig, cores
from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell, cells_of, chosen
from dreamshare_cli.bench.recipe import Recipe, read_recipe, with_devices
from dreamshare_cli.exits import Exit
from dreamshare_cli.loops import stoppable, until_stopped
from dreamshare_cli.output import Output, complain

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
        engine: where the processes are.
        devices: instead of the recipe's; None for those.
    """

    recipe: Path
    out: Path | None
    workers: int | None
    only: tuple[str, ...]
    as_json: bool
    engine: EngineConfig = EngineConfig()
    devices: int | None = None

    def folder(self, recipe: Recipe) -> Path:
        """Return where a run's files go."""
        return self.out or Path("bench") / recipe.name

    def command(self) -> str:
        """Return what is typed for the same again."""
        words = ["dreamshare", "bench", str(self.recipe)]
        words += [] if self.out is None else ["--out", str(self.out)]
        words += [] if self.workers is None else ["--workers", str(self.workers)]
        words += [] if self.devices is None else ["--devices", str(self.devices)]
        words += [] if self.engine.kind == "processes" else ["--engine", self.engine.kind]
        words += ["--address", self.engine.address] if self.engine.address else []
        for word in self.only:
            words += ["--only", word]
        return shlex.join([*words, "--json"] if self.as_json else words)


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
    with stoppable():
        return _run(request)


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


def _run(request: BenchRequest) -> Exit:
    recipe, cells = _read(request)
    _need(recipe)
    from dreamshare_cli.bench.results import collect, write_results
    from dreamshare_cli.bench.runner import load_records

    folder = request.folder(recipe)
    failed = _compute(request, cells, folder)
    every = cells_of(recipe)
    results = collect(recipe, every, tuple(load_records(folder, every)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe.name}.json"
    write_results(results, path)
    told = f"{path}: {len(results.cells)} of {len(every)} cells"
    Output(request.as_json).show(
        {
            "results": str(path),
            "cells": len(results.cells),
            "missing": len(results.missing),
            "seconds": results.seconds,
        },
        "" if failed is None else f"{told}; write it up with: dreamshare bench report {path}",
    )
    if failed is None:
        complain(f"stopped; {told}, which are kept; go on with: {request.command()}")
        return Exit.INTERRUPTED
    return Exit.FAILED if failed else Exit.OK


def _compute(request: BenchRequest, cells: Sequence[Cell], folder: Path) -> int | None:
    """Return how many cells failed, or None where a signal stopped the run."""
    try:
        from dreamshare_cli.bench.checking import check_cells
        from dreamshare_cli.bench.progress import BarShow, JsonShow
        from dreamshare_cli.bench.runner import run_cells

        check_cells(cells)
        workers = cores() if request.workers is None else request.workers
        with JsonShow() if request.as_json else BarShow(len(cells)) as show:
            running = run_cells(cells, folder, workers, show.tell, config=request.engine)
            return asyncio.run(until_stopped(running))
    except KeyboardInterrupt:
        return None


def _read(request: BenchRequest) -> tuple[Recipe, tuple[Cell, ...]]:
    recipe = read_recipe(request.recipe)
    if request.devices is not None:
        recipe = with_devices(recipe, request.devices)
    return recipe, chosen(cells_of(recipe), request.only)


def _need(recipe: Recipe) -> None:
    needed = ["torch" if recipe.devices.runtime == "torch" else "onnxruntime", "rich"]
    if recipe.data.source == "digits":
        needed.append("sklearn")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError(f"this recipe needs {', '.join(missing)}; install it with: {_EXTRA}")
