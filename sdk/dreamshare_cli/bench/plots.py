"""Pictures of results as PNG bytes: accuracy against rounds and bytes, and a gallery of dreams.

Rules:
- figures are made without pyplot, so nothing global is set and no window is looked for;
- curves are validation accuracy, the mean over seeds of the mean over devices, with the range of
  the seeds behind; baselines, which send nothing, are lines across the plot of bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from dreamshare.payloads.gallery import COLOURS
from dreamshare_cli.bench.results import Results
from dreamshare_cli.bench.rows import Pictures
from dreamshare_cli.bench.tables import Row, plot_name, rows_of
from dreamshare_cli.demo.palette import LIGHT

DPI = 120
LINES = ("#6a3df0", "#c2334d", "#0f7c82", "#b98a2f", "#2a62c9", "#5a8f29", "#8d4f9e", "#8d899c")
STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True, slots=True)
class Curve:
    """One method's way: places on the axis, mean over seeds, lowest and highest seed, percent."""

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def plots_of(results: Results) -> dict[str, bytes]:
    """Return every picture of one result file by its name."""
    found = {}
    for partition in dict.fromkeys(cell.partition for cell in results.cells):
        rows = rows_of(results, partition)
        for kind in ("rounds", "bytes"):
            found[plot_name(results, partition, kind)] = curves_png(rows, kind)
    if any(cell.end.pictures for cell in results.cells):
        found[plot_name(results, "", "gallery")] = gallery_png(results)
    return found


def curves_png(rows: Sequence[Row], kind: str) -> bytes:
    """Draw validation accuracy against "rounds" or "bytes" (megabytes up and down of a device)."""
    figure = Figure(figsize=(7.2, 3.9), dpi=DPI, facecolor=LIGHT.card, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        colour = LINES[place % len(LINES)]
        style = STYLES[place // len(LINES) % len(STYLES)]
        curve = curve_of(row, kind)
        if curve is None and row.devices:
            reached = fmean(100 * fmean(cell.rounds[-1].devices) for cell in row.cells)
            axes.axhline(reached, color=colour, ls=":", lw=1.4, label=row.name)
        elif curve is not None:
            axes.plot(
                curve.x, curve.mean, style, color=colour, lw=2, ms=3.5, marker="o", label=row.name
            )
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0)
    if kind == "bytes":
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _dress(axes, "rounds" if kind == "rounds" else "megabytes of a device, up and down")
    return _png(figure)


def curve_of(row: Row, kind: str) -> Curve | None:
    """Return a method's curve; None for bytes of one that sends nothing, or without evaluations."""
    ways = [{each.round: each for each in cell.rounds} for cell in row.cells]
    shared = sorted(set.intersection(*(set(way) for way in ways))) if ways else []
    if not shared or (kind == "bytes" and not all(way[shared[0]].bytes_up for way in ways)):
        return None
    values = np.array([[100 * fmean(way[at].devices) for at in shared] for way in ways])
    x = [float(at) for at in shared]
    if kind == "bytes":
        x = [
            fmean(fmean(way[at].bytes_up) + fmean(way[at].bytes_down) for way in ways) / 1e6
            for at in shared
        ]
    return Curve(
        tuple(x), *(_floats(each) for each in (values.mean(0), values.min(0), values.max(0)))
    )


def gallery_png(results: Results) -> bytes:
    """Draw one line of pictures for each cell that has some: a public picture of each class."""
    lines = [
        (f"{cell.row}\n{cell.partition}", images_of(cell.end.pictures), cell.end.pictures.labels)
        for cell in results.cells
        if cell.end.pictures is not None
    ]
    columns = max(len(labels) for _, _, labels in lines)
    figure = Figure(
        figsize=(1.6 + 0.62 * columns, 0.68 * len(lines) + 0.1), dpi=DPI, facecolor=LIGHT.card
    )
    FigureCanvasAgg(figure)
    left = 1.5 / (1.6 + 0.62 * columns)
    axes = figure.add_axes((left, 0.0, 1.0 - left, 1.0))
    colours = LinearSegmentedColormap.from_list("dream", list(COLOURS))
    for top, (name, images_NHWC, _) in enumerate(lines):
        axes.text(-0.1, top + 0.47, name, color=LIGHT.ink, size=7.5, ha="right", va="center")
        for place, image in enumerate(images_NHWC):
            axes.imshow(
                image[..., 0] if image.shape[-1] != 3 else image,
                cmap=colours,
                interpolation="nearest",
                extent=(place, place + 0.94, top + 0.94, top),
            )
    axes.set_xlim(0, columns)
    axes.set_ylim(len(lines), 0)
    axes.set_axis_off()
    return _png(figure)


def images_of(pictures: Pictures) -> NDArray[np.uint8]:
    """Return pictures as (N, H, W, C)."""
    raw = np.frombuffer(base64.b64decode(pictures.pixels), np.uint8)
    return raw.reshape(pictures.shape).transpose(0, 2, 3, 1)


def _dress(axes: Axes, across: str) -> None:
    axes.set_facecolor(LIGHT.card)
    axes.set_xlabel(across, color=LIGHT.muted, fontsize=9)
    axes.set_ylabel("validation accuracy, %", color=LIGHT.muted, fontsize=9)
    axes.grid(axis="y", color=LIGHT.line, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=LIGHT.muted, length=0, labelsize=8.5)
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=8,
        labelcolor=LIGHT.ink,
        frameon=False,
    )


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(
        file, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None}
    )
    return file.getvalue()
