"""Results as Markdown: for each recipe a heading, and for each partition a table and its plots.

Rules:
- a function of the result files alone, so that a page can be held against them;
- accuracies are those of the test examples, in percent; curves elsewhere are validation;
- what failed or is missing is said, not left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from dreamshare_cli.bench.results import CellResult, Results

HEAD = """# Results

Written by `dreamshare bench report` from result files, each with its recipe, its seeds, its machine
and its duration.

Accuracies are percent on test examples that were looked at once, when a cell ended: the mean over
the devices, then mean ± standard deviation over the seeds. *between devices* is the standard
deviation among the devices of a run. *student* is a net that never saw a real example. Bytes are
those of one device, counted on the wire with masks, signatures and framing, the set-up of keys and
shares apart; device seconds are one thread's, learning and answering, cryptography apart. An empty
field means that there is nothing to measure.
"""
COLUMNS = (
    "method",
    "devices",
    "between devices",
    "student",
    "rounds",
    "MB up",
    "MB down",
    "set-up kB",
    "device s",
)


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
    def devices(self) -> tuple[float, ...]:
        """Mean test accuracy of the devices, percent, for each seed."""
        return tuple(100 * fmean(cell.end.test) for cell in self.cells)

    @property
    def students(self) -> tuple[float, ...]:
        """Test accuracy of the students, percent, for each seed that has one."""
        found = [cell.end.student for cell in self.cells]
        return tuple(100 * each for each in found if each is not None)


def page(every: Sequence[Results], picture: Callable[[str], str] | None = None) -> str:
    """Return the page; `picture` turns a plot's name into its address, None leaves plots out."""
    parts = [HEAD]
    if not every:
        parts.append("No recipe has been run yet.\n")
    parts += [section(results, picture) for results in every]
    return "\n".join(parts)


def section(results: Results, picture: Callable[[str], str] | None) -> str:
    """Return the section of one recipe."""
    machine, versions = results.machine, results.versions
    said = ", ".join(f"{name} {versions[name]}" for name in sorted(versions))
    lines = [
        f"## {results.recipe.name}",
        "",
        results.recipe.about.strip(),
        "",
        f"Recipe `{results.recipe.sha256[:12]}`, seeds {_listed(results.seeds)}, "
        f"{results.seconds / 60:.0f} minutes of cells on {machine.processor} ({machine.cores} "
        f"cores, one a cell), {said}.",
        "",
    ]
    if results.missing:
        lines += [f"Not run, or failed: {', '.join(results.missing)}.", ""]
    for partition in _once(cell.partition for cell in results.cells):
        lines += [f"### {partition}", "", *_table(rows_of(results, partition)), ""]
        if picture is not None:
            for kind, words in (("rounds", "rounds"), ("bytes", "bytes of a device")):
                name = plot_name(results, partition, kind)
                lines += [f"![Validation accuracy against {words}]({picture(name)})", ""]
    if picture is not None and any(cell.end.pictures for cell in results.cells):
        lines += [f"![What was shared]({picture(plot_name(results, '', 'gallery'))})", ""]
    return "\n".join(lines)


def rows_of(results: Results, partition: str) -> tuple[Row, ...]:
    """Return the rows of one partition in the recipe's order."""
    here = [cell for cell in results.cells if cell.partition == partition]
    return tuple(
        Row(name, tuple(cell for cell in here if cell.row == name))
        for name in _once(cell.row for cell in here)
    )


def plot_name(results: Results, partition: str, kind: str) -> str:
    """Return the file name of a plot."""
    words = [results.recipe.name, *partition.lower().split(), kind]
    return "-".join(words).replace("/", "-") + ".png"


def _table(rows: Sequence[Row]) -> list[str]:
    domains = any(cell.end.own for row in rows for cell in row.cells)
    columns = (*COLUMNS[:2], "own domain", "other domains", *COLUMNS[2:]) if domains else COLUMNS
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for row in rows:
        first, *rest = _values(row)
        inside = [_domain(row, own=True), _domain(row, own=False)] if domains else []
        lines.append(f"| {' | '.join((row.name, first, *inside, *rest))} |")
    return lines


def _values(row: Row) -> tuple[str, ...]:
    last = [cell.rounds[-1] for cell in row.cells if cell.rounds]
    between = fmean(100 * pstdev(cell.end.test) for cell in row.cells)
    sent = [each for each in last if each.bytes_up]
    return (
        _spread(row.devices),
        f"{between:.1f}",
        _spread(row.students),
        str(max((each.round for each in last), default=0)),
        _mean((fmean(each.bytes_up) for each in sent), 1e6),
        _mean((fmean(each.bytes_down) for each in sent), 1e6),
        _mean((fmean(each.setup_up) + fmean(each.setup_down) for each in sent), 1e3),
        _mean((fmean(each.compute_s) for each in last if each.compute_s), 1.0),
    )


def _domain(row: Row, *, own: bool) -> str:
    found = [cell.end.own if own else cell.end.others for cell in row.cells]
    return _spread(tuple(100 * fmean(each) for each in found if each))


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{fmean(values):.1f}" + (f" ± {pstdev(values):.1f}" if len(values) > 1 else "")


def _mean(values: Iterable[float], unit: float) -> str:
    numbers = list(values)
    if not numbers:
        return ""
    mean = fmean(numbers) / unit
    return f"{mean:.3f}" if mean < 0.1 else f"{mean:.2f}" if mean < 10 else f"{mean:.0f}"


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(str(seed) for seed in seeds)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
