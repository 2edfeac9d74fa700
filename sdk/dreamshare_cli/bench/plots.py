"""Pictures of results as SVG: accuracy against rounds and bytes, galleries, one for an algorithm.

Rules:
- figures are made without pyplot, so no window is looked for; what they are drawn with is set for
  one picture and put back;
- the same results give the same bytes: no date, no random name; each picture says in its
  description of which results it is (`stamp_of`);
- text stays text, so that a picture is small and can be searched;
- curves are validation accuracy, the mean over seeds of the mean over devices, with the range of
  the seeds behind; baselines, which send nothing, are lines across the plot of bytes; the picture
  of an algorithm has its students, too, dotted.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from dreamshare_cli.bench.comparing import Row, baselines_of, partitions_of, rows_of
from dreamshare_cli.bench.gallery import gallery_svg
from dreamshare_cli.bench.results import Results
from dreamshare_cli.bench.rows import Round, fields_of
from dreamshare_cli.bench.tables import algorithm_pictures, plot_name
from dreamshare_cli.demo.palette import LIGHT

LINES = (
    *("#6a3df0", "#c2334d", "#0f7c82", "#b98a2f", "#2a62c9", "#5a8f29"),
    *("#e07ab8", "#d4722b", "#3aa7c9", "#7a4a2b", "#a3b82c", "#8d4f9e"),
)
STYLES = ("-", "--", ":", "-.")
PLAIN = ("#8d899c", "#625e75", "#1c1a27")
"""Of baselines, dashed."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One method's way: places on the axis, mean over seeds, lowest and highest seed, percent."""

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def plots_of(results: Results) -> dict[str, bytes]:
    """Return every picture of one result file by its name."""
    stamp, plain = stamp_of(results), tuple(baselines_of(results).values())
    found = {}
    for partition in partitions_of(results):
        rows = rows_of(results, partition)
        for kind in ("rounds", "bytes"):
            found[plot_name(results, partition, kind)] = curves_svg(rows, kind, plain, stamp)
    if any(cell.end.pictures for cell in results.cells):
        found[plot_name(results, "", "gallery")] = gallery_svg(results, stamp)
    return found


def stamp_of(results: Results) -> str:
    """Return what a picture says of the results that it was drawn from."""
    text = json.dumps(fields_of(results), sort_keys=True, allow_nan=False)
    return f"{results.recipe.name}, results {hashlib.sha256(text.encode()).hexdigest()}"


def curves_svg(rows: Sequence[Row], kind: str, plain: Sequence[str], stamp: str) -> bytes:
    """Draw validation accuracy against "rounds" or "bytes" (megabytes up and down of a device).

    Args:
        rows: the methods.
        kind: "rounds" or "bytes".
        plain: names of rows that are baselines, drawn thin and dashed.
        stamp: the picture's description.
    """
    figure = Figure(figsize=(7.6, 4.2), facecolor=LIGHT.card, layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, rows, kind, plain)
    _dress(axes, "rounds" if kind == "rounds" else "megabytes of a device, up and down")
    _name_lines(axes)
    return _svg(figure, stamp)


def algorithm_plots(every: Sequence[Results]) -> dict[str, bytes]:
    """Return a picture for each algorithm by its name: its rows beside the baselines, everywhere.

    Each recipe is a line of panels, one a partition, accuracy against rounds.
    """
    return {plot: _algorithm_svg(held) for plot, held in algorithm_pictures(every).items()}


def _algorithm_svg(held: Sequence[tuple[Results, str]]) -> bytes:
    wide = max(len(partitions_of(results, name)) for results, name in held)
    figure = Figure(
        figsize=(2.6 * wide + 2.6, 2.7 * len(held)), facecolor=LIGHT.card, layout="constrained"
    )
    grid = figure.add_gridspec(len(held), wide + 1)
    for line, (results, name) in enumerate(held):
        plain = tuple(baselines_of(results).values())
        places = partitions_of(results, name)
        for place, partition in enumerate(places):
            axes = figure.add_subplot(grid[line, place])
            rows = [
                row
                for row in rows_of(results, partition)
                if row.name in plain or row.algorithm == name
            ]
            _draw(axes, rows, "rounds", plain, students=True)
            _dress(axes, "rounds", "" if place else "validation accuracy, %")
            axes.set_title(f"{results.recipe.name}, {partition}", color=LIGHT.ink, fontsize=9)
            if partition == places[-1]:
                beside = figure.add_subplot(grid[line, place + 1])
                beside.set_axis_off()
                _name_lines(axes, beside)
    return _svg(figure, "; ".join(stamp_of(results) for results, _ in held))


def _draw(
    axes: Axes, rows: Sequence[Row], kind: str, plain: Sequence[str], *, students: bool = False
) -> None:
    methods = [row.name for row in rows if row.name not in plain]
    for row in rows:
        curve = curve_of(row, kind)
        if row.name in plain:
            colour, style, wide = PLAIN[list(plain).index(row.name) % len(PLAIN)], "--", 1.2
        else:
            place = methods.index(row.name)
            colour, wide = LINES[place % len(LINES)], 1.8
            style = STYLES[place // len(LINES) % len(STYLES)]
        if curve is None and row.cells:
            reached = fmean(100 * fmean(cell.rounds[-1].devices) for cell in row.cells)
            axes.axhline(reached, color=colour, ls="--", lw=wide, label=row.name)
        elif curve is not None:
            dots = "" if row.name in plain else "o"
            (line,) = axes.plot(curve.x, curve.mean, style, color=colour, lw=wide, label=row.name)
            line.set(marker=dots, markersize=3.0)
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.1, linewidth=0)
        taught = curve_of(row, kind, _student) if students else None
        if taught is not None:
            axes.plot(taught.x, taught.mean, ":.", color=colour, lw=wide, label="its student")
    if kind == "bytes" and any(curve_of(row, kind) for row in rows):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _devices(line: Round) -> float | None:
    return fmean(line.devices)


def _student(line: Round) -> float | None:
    return line.student


def curve_of(
    row: Row, kind: str, measured: Callable[[Round], float | None] = _devices
) -> Curve | None:
    """Return a method's curve; None for bytes of one that sends nothing, or without evaluations.

    Args:
        row: the method.
        kind: "rounds" or "bytes".
        measured: what of an evaluation is drawn, 0 to 1; None where there is nothing.
    """
    ways = [
        {each.round: each for each in cell.rounds if measured(each) is not None}
        for cell in row.cells
    ]
    shared = sorted(set.intersection(*(set(way) for way in ways))) if ways else []
    if not shared or (kind == "bytes" and not all(way[shared[0]].bytes_up for way in ways)):
        return None
    values = np.array([[100 * (measured(way[at]) or 0.0) for at in shared] for way in ways])
    x = [float(at) for at in shared]
    if kind == "bytes":
        x = [
            fmean(fmean(way[at].bytes_up) + fmean(way[at].bytes_down) for way in ways) / 1e6
            for at in shared
        ]
    return Curve(
        tuple(x), *(_floats(each) for each in (values.mean(0), values.min(0), values.max(0)))
    )


def _dress(axes: Axes, across: str, up: str = "validation accuracy, %") -> None:
    axes.set_facecolor(LIGHT.card)
    axes.set_xlabel(across, color=LIGHT.muted, fontsize=9)
    axes.set_ylabel(up, color=LIGHT.muted, fontsize=9)
    axes.grid(axis="y", color=LIGHT.line, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", colors=LIGHT.muted, length=0, labelsize=8.5)


def _name_lines(axes: Axes, beside: Axes | None = None) -> None:
    """Write the names of the lines to the right of a panel, or into an empty one beside it."""
    (beside or axes).legend(
        *axes.get_legend_handles_labels(),
        loc="center left",
        bbox_to_anchor=(1.0 if beside is None else 0.0, 0.5),
        fontsize=8,
        labelcolor=LIGHT.ink,
        frameon=False,
    )


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _svg(figure: Figure, stamp: str) -> bytes:
    file = io.BytesIO()
    FigureCanvasSVG(figure)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dreamshare"}):
        figure.savefig(
            file,
            format="svg",
            facecolor=figure.get_facecolor(),
            metadata={"Date": None, "Creator": None, "Description": stamp},
        )
    return file.getvalue()
