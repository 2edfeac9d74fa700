"""The demo's pictures as PNG bytes: accuracy curves, and a gallery of what was made or drawn.

Shape legend: N pictures, C channels, H height, W width.

Rules:
- figures are made without pyplot, so nothing global is set and no window is looked for;
- a curve shows test accuracy as the devices reported it, over local steps in cycles of CoDream,
  which every algorithm and both baselines take equally many of;
- a gallery shows what everybody got, not chosen and not smoothed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec, SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dreamshare.payloads.gallery import COLOURS, Gallery
from dreamshare_cli.demo.palette import Palette
from dreamshare_cli.demo.result import ClientResult, DemoResult, RunResult
from dreamshare_cli.demo.wording import WORDINGS

DPI = 144
CLASSES = 10
MEAN_GAP = 0.25
"""Space above the row of means, in tiles."""


# ---- accuracy ------------------------------------------------------------------------------------


def accuracy_png(result: DemoResult, palette: Palette, *, narrow: bool = False) -> bytes:
    """Draw each device's accuracy over its steps, beside what it reaches alone, and the mean.

    `narrow` stacks the panels for a phone.
    """
    count = len(result.clients)
    columns = 2 if narrow else max(2, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    stacked = narrow or count > 6
    width = 4.6 if narrow else 2.4 * columns if stacked else 5.0 + 2.25 * columns
    figure = Figure(
        figsize=(width, 3.4 + 1.75 * rows) if stacked else (width, 2.2 * max(rows, 2)),
        dpi=DPI,
        facecolor=palette.card,
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.03),
    )
    FigureCanvasAgg(figure)
    grid = (
        figure.add_gridspec(2, 1, height_ratios=(3.2, 1.75 * rows))
        if stacked
        else figure.add_gridspec(1, 2, width_ratios=(4.4, 2.25 * columns))
    )
    _draw_mean(figure.add_subplot(grid[0]), result, palette)
    _draw_devices(figure, grid[1], (rows, columns), result, palette)
    return _png(figure)


def _draw_mean(axes: Axes, result: DemoResult, palette: Palette) -> None:
    survivors = result.survivors
    runs = {run: _mean_curve([c.part(run.name).curve for c in survivors]) for run in result.runs}
    balanced = _mean_curve([c.balanced_curve for c in survivors])
    alone = _mean_curve([c.independent_curve for c in survivors])
    values = np.concatenate((*runs.values(), balanced, alone))
    low, high = float(values.min()), float(values.max())
    room = max(2.0, high - low)
    # The lower right belongs to the legend: curves that rise leave it empty.
    space = 0.25 + 0.1 * len(runs)
    _dress(axes, palette, (low - space * room, high + 0.1 * room), _cycles(result))
    for run, curve in runs.items():
        _shade(axes, run.lessons, curve, alone, palette.of(run.name))
        axes.plot(
            run.lessons,
            curve,
            color=palette.of(run.name),
            lw=3,
            marker="o",
            ms=5.5,
            label=f"{WORDINGS[run.name].sharing}  {result.mean(run.name):.1f} %",
        )
    axes.plot(
        balanced,
        ":",
        color=palette.middle,
        lw=2.2,
        label=f"alone, label histogram used  {result.mean_balanced:.1f} %",
    )
    axes.plot(
        alone, "--", color=palette.alone, lw=2, label=f"alone  {result.mean_independent:.1f} %"
    )
    axes.legend(
        loc="lower right",
        fontsize=9,
        labelcolor=palette.ink,
        facecolor=palette.card,
        edgecolor=palette.card,
        framealpha=1.0,
    )
    axes.set_title("mean of the devices", loc="left", color=palette.ink, fontsize=11, weight="bold")
    axes.set_ylabel("test accuracy, %", color=palette.muted, fontsize=9)
    axes.set_xlabel("local steps, in cycles", color=palette.muted, fontsize=9)


def _draw_devices(
    figure: Figure,
    where: SubplotSpec,
    shape: tuple[int, int],
    result: DemoResult,
    palette: Palette,
) -> None:
    limits = _range(result)
    inner = GridSpecFromSubplotSpec(*shape, subplot_spec=where)
    for place, client in enumerate(result.clients):
        axes = figure.add_subplot(inner[place // shape[1], place % shape[1]])
        _dress(axes, palette, limits, _cycles(result))
        axes.tick_params(
            labelleft=place % shape[1] == 0,
            labelbottom=place + shape[1] >= len(result.clients),
            labelsize=7,
        )
        _draw_client(axes, client, result.runs, palette)


def _draw_client(
    axes: Axes, client: ClientResult, runs: Sequence[RunResult], palette: Palette
) -> None:
    if client.alive:
        axes.plot(client.balanced_curve, ":", color=palette.middle, lw=1.5)
        axes.plot(client.independent_curve, "--", color=palette.alone, lw=1.3)
    for run in runs:
        curve = np.asarray(client.part(run.name).curve)
        places = run.lessons[: len(curve)]
        colour = palette.of(run.name) if client.alive else palette.lost
        if client.alive:
            _shade(axes, places, curve, np.asarray(client.independent_curve), colour)
        axes.plot(places, curve, color=colour, lw=2, marker="o", ms=3)
        if len(curve) and not client.alive and len(curve) < len(run.lessons):
            axes.plot(places[-1], curve[-1], marker="x", ms=9, mew=2.2, color=palette.lost)
    axes.set_title(client.name, loc="left", color=palette.ink, fontsize=8.5, weight="bold", pad=13)
    detail = client.architecture if client.alive else f"{client.architecture}, killed"
    axes.text(
        0,
        1.03,
        detail,
        transform=axes.transAxes,
        color=palette.muted,
        fontsize=7.5,
        va="bottom",
    )


def _shade(
    axes: Axes,
    places: Sequence[int],
    together: NDArray[np.float64],
    alone: NDArray[np.float64],
    colour: str,
) -> None:
    """Shade what sharing brought; nothing where the curve of the baseline ends before."""
    if len(together) == len(places) and max(places, default=0) < len(alone):
        at = np.arange(max(places, default=0) + 1)
        reached = np.interp(at, places, together)
        axes.fill_between(at, alone[: len(at)], reached, color=colour, alpha=0.1, linewidth=0)


def _mean_curve(curves: list[tuple[float, ...]]) -> NDArray[np.float64]:
    length = min((len(c) for c in curves), default=0)
    stacked = np.asarray([c[:length] for c in curves], dtype=np.float64)
    mean: NDArray[np.float64] = stacked.mean(axis=0)
    return mean


def _cycles(result: DemoResult) -> int:
    return max(run.lessons[-1] for run in result.runs)


def _range(result: DemoResult) -> tuple[float, float]:
    parts = [part.curve for client in result.clients for part in client.parts.values()]
    alone = [(*c.independent_curve, *c.balanced_curve) for c in result.clients]
    values = [v for curve in (*parts, *alone) for v in curve]
    low, high = min(values), max(values)
    room = max(4.0, 0.12 * (high - low))
    return max(0.0, low - room), min(104.0, high + room)


def _dress(axes: Axes, palette: Palette, limits: tuple[float, float], cycles: int) -> None:
    axes.set_facecolor(palette.card)
    axes.set_ylim(*limits)
    axes.set_xlim(-0.25, cycles + 0.25)
    axes.grid(axis="y", color=palette.line, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=palette.muted, length=0, labelsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


# ---- galleries -----------------------------------------------------------------------------------


def gallery_png(
    gallery: Gallery, palette: Palette, word: str, *, narrow: bool = False, most_rows: int = 6
) -> bytes:
    """Draw one column per digit, one row per cycle with the first picture of each, and their mean.

    With more than `most_rows` cycles the rows are spread evenly, the last cycle included. The last
    row is the mean of *all* pictures of each digit, with a contrast of its own. `word` stands
    before a row's number. `narrow` writes larger, for a phone.
    """
    cycles = np.unique(gallery.cycles_N)
    if len(cycles) > most_rows:
        cycles = cycles[np.unique(np.linspace(0, len(cycles) - 1, most_rows).round().astype(int))]
    rows = len(cycles) + 1 + MEAN_GAP
    width, margin = (4.6, 0.42) if narrow else (7.6, 0.68)
    tile = (width - margin - 0.1) / CLASSES
    height = 0.5 + rows * tile
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=palette.card)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (margin / width, 0.08 / height, 1 - (margin + 0.1) / width, rows * tile / height)
    )
    for place, cycle in enumerate(cycles):
        _row(axes, _firsts(gallery, cycle), place)
        text = str(cycle) if narrow else f"{word} {cycle}"
        _beside(axes, place, text, palette)
    _row(axes, _means(gallery), rows - 1)
    _beside(axes, rows - 1, "mean", palette)
    axes.set_xlim(0, CLASSES)
    axes.set_ylim(rows, 0)
    axes.set_axis_off()
    for digit in range(CLASSES):
        above = {"ha": "center", "va": "bottom"}
        axes.text(digit + 0.47, -0.1, str(digit), above, color=palette.ink, size=12, weight="bold")
    return _png(figure)


def _row(axes: Axes, images: Mapping[int, NDArray[np.float32]], top: float) -> None:
    """Draw images by digit; every tile is a unit square with a gap of 0.06 to the next."""
    if not images:
        return
    # Percentiles, so that a few extreme pixels do not dim the rest.
    low, high = np.percentile(np.stack(list(images.values())), (2, 98))
    colours = LinearSegmentedColormap.from_list("dream", list(COLOURS))
    for digit, image in images.items():
        axes.imshow(
            image,
            cmap=colours,
            vmin=low,
            vmax=max(high, low + 1e-6),
            interpolation="nearest",
            extent=(digit, digit + 0.94, top + 0.94, top),
        )


def _beside(axes: Axes, top: float, text: str, palette: Palette) -> None:
    aligned = {"ha": "right", "va": "center"}
    axes.text(-0.12, top + 0.47, text, aligned, color=palette.muted, size=8.5)


def _firsts(gallery: Gallery, cycle: int) -> dict[int, NDArray[np.float32]]:
    """Return the first picture of each digit in this cycle."""
    found = {}
    for digit in range(CLASSES):
        places = np.flatnonzero((gallery.cycles_N == cycle) & (gallery.labels_N == digit))
        if len(places):
            found[digit] = gallery.dreams_NCHW[places[0], 0]
    return found


def _means(gallery: Gallery) -> dict[int, NDArray[np.float32]]:
    """Return the mean of all pictures of each digit."""
    return {
        int(digit): gallery.dreams_NCHW[gallery.labels_N == digit, 0].mean(axis=0)
        for digit in np.unique(gallery.labels_N)
    }


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(
        stream,
        format="png",
        facecolor=figure.get_facecolor(),
        metadata={"Software": ""},
    )
    return stream.getvalue()
