"""The result file of a recipe: what was asked, on what it ran, what came of every cell.

    {"format": 1, "recipe": {...}, "machine": {...}, "versions": {...}, "cells": [...]}

Rules:
- one JSON file that stands alone: tables, plots and galleries are made from it and nothing else;
- every cell has a line of its own in the file, so that two runs can be compared with diff;
- it is read strictly: an unknown key or another type is an error that names it.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dreamshare.algorithms.trees import Tree, from_tree
from dreamshare.errors import ConfigError
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.recipe import Recipe
from dreamshare_cli.bench.rows import End, Record, Round, fields_of

FORMAT = 1
MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Source:
    """The recipe that was run: its name, what it shows, its text and the text's SHA-256."""

    name: str
    about: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class Machine:
    """On what cells ran, as far as it may matter."""

    system: str
    processor: str
    cores: int
    python: str


@dataclass(frozen=True, slots=True)
class CellResult:
    """What came of one cell.

    Attributes:
        row, partition, seed: which.
        algorithm: registered name, or "" for a baseline.
        rounds: evaluations on validation examples, in order.
        end: the test, once.
    """

    row: str
    partition: str
    seed: int
    algorithm: str
    rounds: tuple[Round, ...]
    end: End


@dataclass(frozen=True, slots=True)
class Results:
    """One result file.

    Attributes:
        format: 1.
        recipe: what was asked.
        seeds: those that ran.
        missing: keys of cells that have not been run or failed.
        machine: where.
        versions: of what computed.
        seconds: wall time of all cells, added up.
        cells: in the recipe's order.
    """

    format: int
    recipe: Source
    seeds: tuple[int, ...]
    missing: tuple[str, ...]
    machine: Machine
    versions: Mapping[str, str]
    seconds: float
    cells: tuple[CellResult, ...]

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ConfigError(f"results of format {self.format}; this release reads {FORMAT}")


def collect(
    recipe: Recipe, cells: Sequence[Cell], records: Sequence[tuple[Cell, Record]]
) -> Results:
    """Return the results of the cells that are finished."""
    known = {cell.key for cell, _ in records}
    versions: dict[str, str] = {}
    for _, record in records:
        versions |= record.start.versions
    found = tuple(_result(cell, record, recipe.seeds[0]) for cell, record in records)
    return Results(
        FORMAT,
        Source(recipe.name, recipe.about, recipe.sha256, recipe.text),
        tuple(sorted({cell.seed for cell, _ in records})),
        tuple(cell.key for cell in cells if cell.key not in known),
        this_machine(),
        versions,
        round(sum(result.end.seconds for result in found), 1),
        found,
    )


def this_machine() -> Machine:
    """Return what this machine says of itself, without its name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(
        f"{platform.system()} {platform.machine()}",
        _processor(),
        cores or 1,
        platform.python_version(),
    )


def write_results(results: Results, path: Path) -> None:
    """Write the file, each cell on a line of its own."""
    tree = fields_of(results)
    cells = tree.pop("cells")
    head = json.dumps(tree, indent=1, allow_nan=False).removesuffix("\n}")
    lines = [json.dumps(cell, allow_nan=False) for cell in cells] if isinstance(cells, list) else []
    text = f'{head},\n "cells": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"
    path.write_text(text, encoding="utf-8")


def read_results(path: Path) -> Results:
    """Return what `write_results` wrote; ConfigError where it is something else."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is larger than {MOST_BYTES} bytes")
        tree: Tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} holds no results: {error}") from None
    try:
        return from_tree(tree, Results)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _result(cell: Cell, record: Record, pictured: int) -> CellResult:
    """Return a cell's result; of a row's seeds one keeps its pictures."""
    last: dict[int, Round] = {each.round: each for each in record.rounds}
    end = record.end if cell.seed == pictured else replace(record.end, pictures=None)
    name = "" if cell.algorithm is None else cell.algorithm.name
    rounds = tuple(last.values())
    return CellResult(cell.row, cell.partition.name, cell.seed, name, rounds, end)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
