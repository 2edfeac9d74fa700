"""An algorithm's config: what the recipe says, what the data say, defaults for the rest.

Rules:
- no algorithm is known here: a field is filled because of its name, where the config has one of
  that name and the recipe does not set it;
- filled are `shape`, `classes`, `pixels`, `low`, `high` (the data), `seed` (the cell's), `rounds`
  or `cycles` (the recipe's); for algorithms that average, `shapes` and `layout` (the first device's
  net); a public set's digest and size (`SIZES`); a generator's `weights` and `digest`
  (`generators`);
- "moments" for a public set, a generator or a start is the drawn set (`drawing`).
"""

from __future__ import annotations

import dataclasses
import json

from dreamshare.algorithms.catalog import config_class, config_from
from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.fedavg import layout_of
from dreamshare.algorithms.trees import Tree, from_tree
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Learner
from dreamshare.learning.public import SIZES, PublicSet
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.drawing import FIELDS, MOMENTS
from dreamshare_cli.bench.generators import file_of, weights_of


def config_of(cell: Cell, pool: Pool, public: PublicSet | None, first: Learner) -> object:
    """Return the config of the cell's algorithm.

    Raises:
        ConfigError: the algorithm is not registered, or the recipe's table does not fit it.
    """
    plan = cell.algorithm
    if plan is None:
        raise ConfigError(f"{cell.key} runs no algorithm")
    names = {field.name for field in dataclasses.fields(config_class(plan.name))}  # type: ignore[arg-type]
    known = _known(cell, pool)
    if "layout" in names:
        parameters = first.parameters()
        known["shapes"] = [list(array.shape) for array in parameters.values()]
        known["layout"] = layout_of(parameters)
    for name, size in SIZES.items():
        if name in names and public is None:
            raise ConfigError(f"{plan.name} needs a public set; set data.public in the recipe")
        if public is not None:
            known |= {name: public.digest, size: len(public)}
    table = _table(plan.config)
    if table.get("start") == MOMENTS and public is not None:
        known |= {"start": str(file_of(public)), "start_set": public.digest}
    table = {name: v for name, v in table.items() if not (name in FIELDS and v == MOMENTS)}
    if "weights" in names:
        known |= weights_of(table, public, pool.labels, pool.low, pool.high)
    known = {name: value for name, value in known.items() if name in names}
    try:
        return config_from(plan.name, {**known, **table})
    except ConfigError as error:
        raise ConfigError(f"[[algorithm]] {plan.label or plan.name}: {error}") from None


def starts_equal(cell: Cell) -> bool:
    """Say whether all devices start from one net: algorithms that average need equal models."""
    if cell.algorithm is None:
        return False
    fields = dataclasses.fields(config_class(cell.algorithm.name))  # type: ignore[arg-type]
    return any(field.name == "layout" for field in fields)


def schedule_of(cell: Cell, pool: Pool) -> CodreamConfig:
    """Return the local schedule of a baseline; ConfigError where `[schedule]` does not fit."""
    names = {field.name for field in dataclasses.fields(CodreamConfig)}
    known = {name: value for name, value in _known(cell, pool).items() if name in names}
    try:
        return from_tree({**known, **_table(cell.schedule)}, CodreamConfig, defaults=True)
    except ConfigError as error:
        raise ConfigError(f"[schedule]: {error}") from None


def _known(cell: Cell, pool: Pool) -> dict[str, Tree]:
    return {
        "shape": list(pool.shape),
        "classes": pool.labels,
        "pixels": pool.pixels,
        "low": pool.low,
        "high": pool.high,
        "seed": cell.seed,
        "rounds": cell.rounds,
        "cycles": cell.rounds,
    }


def _table(text: str) -> dict[str, Tree]:
    table: dict[str, Tree] = json.loads(text)
    return table
