"""Results as Markdown: for each recipe a heading, and for each partition a table and its plots.

Rules:
- a function of the result files alone, so that a page can be held against them;
- accuracies are those of the test examples, in percent; curves elsewhere are validation;
- what failed or is missing is said, not left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, pstdev

from dreamshare_cli.bench.comparing import (
    ALONE,
    HISTOGRAM,
    Row,
    baselines_of,
    partitions_of,
    rows_of,
    single_architectures,
    spread,
)
from dreamshare_cli.bench.results import Results
from dreamshare_cli.bench.rows import DEVICES_IOU, STUDENT_IOU

HEAD = """# Results

Written by `dreamshare bench report` from result files, each with its recipe, its seeds, its machine
and its duration.

Accuracies are percent on test examples that were looked at once, when a cell ended: the mean over
the devices, then mean ± standard deviation (of a sample) over the seeds. Gains are points, paired:
differences to the baseline of the same seed, which had the same deal, then their mean ± standard
deviation. *between devices* is the standard deviation among the devices of a run. *student* is a
net that never saw an example of a device. *sums* are masked sums that were opened, each a round
trip. Bytes are those of one device, counted on the wire with masks, signatures and framing, the
set-up of keys and shares apart; device seconds are one thread's, learning and answering,
cryptography apart. Curves are accuracy on validation examples, with the range of the seeds behind.
*gain, by the run* is what a run that compares itself said of itself, on validation examples: below
one point it ended with the advice to use another algorithm.
An empty field means that there is nothing to measure. Where
labels are of pixels, accuracies are of pixels, and *mean IoU* is the mean of the classes'
intersections over unions, in percent.
"""

MOST_NAMED = 12
"""Missing cells that are called by their names."""

GAIN = "gain"
"""Metric of a run that compared itself with what it would have been without."""

Value = Callable[[Row], str]


def page(every: Sequence[Results], picture: Callable[[str], str] | None = None) -> str:
    """Return the page; `picture` turns a plot's name into its address, None leaves plots out."""
    parts = [HEAD]
    if not every:
        parts.append("No recipe has been run yet.\n")
    else:
        parts.append(_index(every, picture))
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
        f"Seeds {', '.join(map(str, results.seeds))}. Cells took {_minutes(results.seconds)} one "
        f"after the other, {_minutes(sum(cell.end.cpu_s for cell in results.cells))} of them "
        f"computing, on {machine.processor} ({machine.cores} cores, one a cell); {machine.system}, "
        f"Python {machine.python}, {said}. Recipe `{results.recipe.sha256[:12]}`:",
        "",
        "<details><summary>the recipe</summary>",
        "",
        "```toml",
        results.recipe.text.strip(),
        "```",
        "",
        "</details>",
        "",
    ]
    if results.missing:
        lines += [_missing(results), ""]
    alike = [f"{row} ({net})" for row, net in single_architectures(results).items()]
    if alike:
        lines += [f"All devices of one architecture: {', '.join(alike)}.", ""]
    for partition in partitions_of(results):
        heading = _heading(results, partition)
        lines += [f"### {heading}", "", *_table(results, partition), ""]
        if picture is not None:
            for kind, words in (("rounds", "rounds"), ("bytes", "bytes of a device")):
                name = plot_name(results, partition, kind)
                lines += [f"![{heading}: accuracy against {words}]({picture(name)})", ""]
    if picture is not None and any(cell.end.pictures for cell in results.cells):
        name = plot_name(results, "", "gallery")
        lines += [
            f"What was shared, the first of each class in the last round, seed {results.seeds[0]}:",
            "",
            f"![{results.recipe.name}: gallery]({picture(name)})",
            "",
        ]
    return "\n".join(lines)


def plot_name(results: Results, partition: str, kind: str) -> str:
    """Return the file name of a plot."""
    words = [results.recipe.name, *partition.lower().split(), kind]
    return "-".join(words).replace("/", "-") + ".svg"


def algorithm_pictures(every: Sequence[Results]) -> dict[str, tuple[tuple[Results, str], ...]]:
    """Return the results that the picture of each algorithm shows, by the picture's file name."""
    names = sorted({cell.algorithm for results in every for cell in results.cells} - {""})
    return {
        f"{name.partition('/')[0]}.svg": tuple(
            (results, name) for results in every if partitions_of(results, name)
        )
        for name in names
    }


def _index(every: Sequence[Results], picture: Callable[[str], str] | None) -> str:
    """Return in which tables each algorithm is, and where its curves are."""
    lines = ["| algorithm | tables | curves |", "| --- | --- | --- |"]
    for plot, held in algorithm_pictures(every).items():
        headings = [
            _heading(results, partition)
            for results, name in held
            for partition in partitions_of(results, name)
        ]
        tables = ", ".join(f"[{each}](#{_anchor(each)})" for each in headings)
        curves = "" if picture is None else f"[{plot}]({picture(plot)})"
        lines.append(f"| `{held[0][1]}` | {tables} | {curves} |")
    return "\n".join(lines) + "\n"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _missing(results: Results) -> str:
    names, count = results.missing, len(results.missing)
    more = "" if count <= MOST_NAMED else f" and {count - MOST_NAMED} more"
    return f"Not run, or failed: {', '.join(names[:MOST_NAMED])}{more}."


def _heading(results: Results, partition: str) -> str:
    return f"{results.recipe.name}, {partition}"


def _table(results: Results, partition: str) -> list[str]:
    rows = rows_of(results, partition)
    columns = _columns(results, rows)
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(value(row) for value in columns.values())} |" for row in rows]
    return lines


def _columns(results: Results, rows: Sequence[Row]) -> dict[str, Value]:
    """Return the headings with what fills them."""
    domains = any(cell.end.own for row in rows for cell in row.cells)
    columns: dict[str, Value] = {"method": lambda row: row.name}
    columns["devices, all domains" if domains else "devices"] = lambda row: spread(row.devices)
    if domains:
        columns["own domain"] = lambda row: spread(row.domains(own=True))
        columns["other domains"] = lambda row: spread(row.domains(own=False))
    columns["between devices"] = _between
    labels = baselines_of(results)
    by_name = {row.name: row for row in rows}
    for kind in (ALONE, HISTOGRAM):
        base = by_name.get(labels.get(kind, ""))
        if base is not None:
            columns[f"over {kind}"] = _over(base)
    if any(GAIN in cell.end.metrics for row in rows for cell in row.cells):
        columns["gain, by the run"] = _metric(GAIN, sign=True)
    columns["student"] = lambda row: spread(row.students)
    for name, words in ((DEVICES_IOU, "mean IoU"), (STUDENT_IOU, "student's mean IoU")):
        if any(name in cell.end.metrics for row in rows for cell in row.cells):
            columns[words] = _metric(name)
    columns["rounds"] = lambda row: str(
        max((cell.rounds[-1].round for cell in row.cells if cell.rounds), default=0)
    )
    columns["sums"] = _sums
    columns["MB up"] = lambda row: _sent(row, 1e6, up=True)
    columns["MB down"] = lambda row: _sent(row, 1e6, up=False)
    columns["set-up kB"] = _setup
    columns["device s"] = _seconds
    return columns


def _between(row: Row) -> str:
    return f"{fmean(100 * pstdev(cell.end.test) for cell in row.cells):.1f}"


def _over(base: Row) -> Value:
    return lambda row: "" if row is base else spread(row.over(base), sign=True)


def _metric(name: str, *, sign: bool = False) -> Value:
    """Return what shows a share among the metrics of cells, in percent."""
    return lambda row: spread(
        tuple(100 * c.end.metrics[name] for c in row.cells if name in c.end.metrics), sign=sign
    )


def _sums(row: Row) -> str:
    found = [cell.end.sums for cell in row.cells if cell.end.sums]
    return f"{fmean(found):.4g}" if found else ""


def _sent(row: Row, unit: float, *, up: bool) -> str:
    last = [cell.rounds[-1] for cell in row.cells if cell.rounds]
    counts = [each.bytes_up if up else each.bytes_down for each in last]
    return _mean((fmean(each) for each in counts if each), unit)


def _setup(row: Row) -> str:
    last = [cell.rounds[-1] for cell in row.cells if cell.rounds]
    found = (fmean(each.setup_up) + fmean(each.setup_down) for each in last if each.setup_up)
    return _mean(found, 1e3)


def _seconds(row: Row) -> str:
    last = [cell.rounds[-1] for cell in row.cells if cell.rounds]
    return _mean((fmean(each.compute_s) for each in last if each.compute_s), 1.0)


def _mean(values: Iterable[float], unit: float) -> str:
    numbers = list(values)
    if not numbers:
        return ""
    mean = fmean(numbers) / unit
    return f"{mean:.3f}" if mean < 0.1 else f"{mean:.2f}" if mean < 10 else f"{mean:.0f}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
