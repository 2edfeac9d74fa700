"""Methods side by side: what each reached over its seeds, and what it gained over the baselines.

Rules:
- a gain is paired: the difference to the baseline of the same partition and seed, which had the
  same deal; its mean and spread are over these differences;
- a spread is the standard deviation of a sample (n - 1), and there is none of one seed;
- what the recipe says of a row is read from its text, which every result file has.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.recipe import BaselineKind
from dreamshare_cli.bench.results import CellResult, Results

ALONE: BaselineKind = "independent"
HISTOGRAM: BaselineKind = "label histogram only"


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one partition, all seeds.

    Attributes:
        name: heading.
        cells: one for each seed.
    """

    name: str
    cells: tuple[CellResult, ...]

    @property
    def algorithm(self) -> str:
        """Registered name, or "" for a baseline."""
        return self.cells[0].algorithm if self.cells else ""

    @property
    def by_seed(self) -> Mapping[int, float]:
        """Mean test accuracy of the devices, percent, by seed."""
        return {cell.seed: 100 * fmean(cell.end.test) for cell in self.cells}

    @property
    def devices(self) -> tuple[float, ...]:
        """Mean test accuracy of the devices, percent, for each seed."""
        return tuple(self.by_seed.values())

    @property
    def students(self) -> tuple[float, ...]:
        """Test accuracy of the students, percent, for each seed that has one."""
        found = [cell.end.student for cell in self.cells]
        return tuple(100 * each for each in found if each is not None)

    def domains(self, *, own: bool) -> tuple[float, ...]:
        """Return the mean test accuracy in the devices' own domain, or in the others, by seed."""
        found = [cell.end.own if own else cell.end.others for cell in self.cells]
        return tuple(100 * fmean(each) for each in found if each)

    def over(self, other: Row) -> tuple[float, ...]:
        """Return the gain over another row, points, for each seed that both have."""
        theirs = other.by_seed
        return tuple(mine - theirs[seed] for seed, mine in self.by_seed.items() if seed in theirs)


def partitions_of(results: Results, algorithm: str | None = None) -> tuple[str, ...]:
    """Return the partitions in the recipe's order: all, or those where an algorithm was run."""
    return once(cell.partition for cell in results.cells if algorithm in (None, cell.algorithm))


def rows_of(results: Results, partition: str) -> tuple[Row, ...]:
    """Return the rows of one partition in the recipe's order."""
    here = [cell for cell in results.cells if cell.partition == partition]
    return tuple(
        Row(name, tuple(cell for cell in here if cell.row == name))
        for name in once(cell.row for cell in here)
    )


def baselines_of(results: Results) -> Mapping[str, str]:
    """Return the heading of each kind of baseline that the recipe has."""
    return {
        str(each["kind"]): str(each.get("label") or each["kind"])
        for each in _tables(results, "baseline")
    }


def single_architectures(results: Results) -> Mapping[str, str]:
    """Return the architecture of each row whose devices, unlike the recipe's, all have one."""
    found: dict[str, str] = {}
    for each in _tables(results, "algorithm"):
        names = each.get("architectures")
        if isinstance(names, list) and len(names) == 1:
            found[str(each.get("label") or each["name"])] = str(names[0])
    return found


def spread(values: Sequence[float], *, sign: bool = False) -> str:
    """Return "mean ± deviation", the mean alone for one value, nothing for none."""
    if not values:
        return ""
    mean = f"{fmean(values):+.1f}" if sign else f"{fmean(values):.1f}"
    return mean + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def once(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in the order of its first place."""
    return tuple(dict.fromkeys(names))


def _tables(results: Results, name: str) -> Sequence[Mapping[str, object]]:
    try:
        found = tomllib.loads(results.recipe.text).get(name, [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{results.recipe.name}: its recipe is no TOML: {error}") from None
    return [each for each in found if isinstance(each, dict)]
