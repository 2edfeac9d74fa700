"""A recipe as cells: one row of the results, one partition, one seed each.

Rules:
- a cell is a value that a process can be given as JSON; its key names its file, its fingerprint
  says what it computes, so that a finished cell is known again whatever else a recipe changed;
- cells share no state: the order and the number of processes change nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dreamshare.algorithms.trees import CLASS, Tree, from_tree, to_tree
from dreamshare.errors import ConfigError
from dreamshare.simulate.conditions import Conditions
from dreamshare_cli.bench.recipe import (
    AlgorithmPlan,
    BaselinePlan,
    DataPlan,
    DevicePlan,
    Partition,
    Recipe,
    StudentPlan,
)
from dreamshare_crypto.graph import LARGEST_COMPLETE

COHORT = 64
"""Devices of a cohort where a recipe has more than one and does not say."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one process computes.

    Attributes:
        row: heading of its row.
        partition: how examples are dealt.
        seed: of deal, first weights, keys and batches.
        data, devices, student: the recipe's.
        rounds, evaluate_every: the recipe's.
        algorithm: what is run; exactly one of this and `baseline` is given.
        baseline: the same.
        schedule: of baselines, canonical JSON.
        conditions: how devices of an algorithm behave.
    """

    row: str
    partition: Partition
    seed: int
    data: DataPlan
    devices: DevicePlan
    student: StudentPlan | None
    rounds: int
    evaluate_every: int
    algorithm: AlgorithmPlan | None
    baseline: BaselinePlan | None
    schedule: str
    conditions: Conditions = Conditions()

    def __post_init__(self) -> None:
        if (self.algorithm is None) == (self.baseline is None):
            raise ConfigError("a cell runs either an algorithm or a baseline")

    @property
    def key(self) -> str:
        """Name of its file, without ending."""
        words = (self.partition.name, self.row, f"seed {self.seed}")
        return "--".join(re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-") for word in words)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the result depends on but the code, hexadecimal."""
        algorithm, baseline = self.algorithm, self.baseline
        nameless = dataclasses.replace(
            self,
            row="",
            partition=dataclasses.replace(self.partition, name=""),
            algorithm=None if algorithm is None else dataclasses.replace(algorithm, label=""),
            baseline=None if baseline is None else dataclasses.replace(baseline, label=""),
        )
        return hashlib.sha256(nameless.to_json().encode()).hexdigest()

    @property
    def architectures(self) -> tuple[str, ...]:
        """Of each device in turn."""
        own = () if self.algorithm is None else self.algorithm.architectures
        names = own or self.devices.architectures
        return tuple(names[place % len(names)] for place in range(self.devices.count))

    @property
    def crowd(self) -> bool:
        """Whether its devices form cohorts of a population instead of one cohort."""
        wanted = self.devices.cohort > 0 or self.conditions != Conditions()
        return self.algorithm is not None and (wanted or self.devices.count > LARGEST_COMPLETE)

    @property
    def cohort(self) -> int:
        """Devices of a cohort at most."""
        return self.devices.cohort or min(self.devices.count, COHORT)

    def to_json(self) -> str:
        """Return the cell as one line of JSON; what came later is left out where it is unused."""
        tree = to_tree(self)
        if isinstance(tree, dict) and isinstance(devices := tree["devices"], dict):
            if self.conditions == Conditions():
                del tree["conditions"]
            if not self.devices.cohort:
                del devices["cohort"]
        return json.dumps(tree, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Cell:
        """Return what `to_json` wrote; ConfigError where it is something else."""
        try:
            tree: Tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"a cell is one JSON object: {error}") from None
        if isinstance(tree, dict):
            tree.pop(CLASS, None)
        return from_tree(tree, cls, defaults=True)


def cells_of(recipe: Recipe) -> tuple[Cell, ...]:
    """Return the recipe's cells: seeds outermost, so that a part of a run compares all rows."""
    rows: list[tuple[str, AlgorithmPlan | None, BaselinePlan | None]] = [
        (plan.label or plan.kind, None, plan) for plan in recipe.baseline
    ]
    rows += [(plan.label or plan.name, plan, None) for plan in recipe.algorithm]
    return tuple(
        Cell(
            row,
            partition,
            seed,
            recipe.data,
            recipe.devices,
            recipe.student,
            recipe.rounds,
            recipe.evaluate_every,
            algorithm,
            baseline,
            recipe.schedule,
            recipe.conditions,
        )
        for seed in recipe.seeds
        for partition in recipe.partition
        for row, algorithm, baseline in rows
    )


def chosen(cells: Sequence[Cell], only: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells whose key holds every one of these words; all without words.

    Raises:
        ConfigError: none does.
    """
    left = tuple(cell for cell in cells if all(word.lower() in cell.key for word in only))
    if not left:
        raise ConfigError(f"no cell is called like {' and '.join(only)}; see --list")
    return left
