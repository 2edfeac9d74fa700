"""Draws the growth that was measured, and what it leads to, from benchmarks/results.

    python -m benchmarks.scaling_plots        # writes docs/images/scaling.svg

Rules: what was measured is a line with dots; what is counted or extrapolated is dashed. The same
results give the same bytes.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS, PICTURE = ROOT / "benchmarks" / "results", ROOT / "docs" / "images" / "scaling.svg"
MEASURED, DEVICE, BEYOND = "#6a3df0", "#1d8a6b", "#c2334d"
CLAIM_MB = 1000.0


def rows_of(name: str, table: str = "rows") -> list[dict[str, Any]]:
    """Return the rows of a file of results."""
    found: list[dict[str, Any]] = json.loads((RESULTS / name).read_text(encoding="utf-8"))[table]
    return found


def memory(axes: Axes) -> None:
    """Memory of the aggregator against devices; a straight line through what was measured."""
    rows = [(r["devices"], r["peak_mb"]) for r in rows_of("aggregator_memory.json")]
    (x0, y0), (x1, y1) = rows[0], rows[-1]
    axes.plot(*zip(*rows, strict=True), "o-", color=MEASURED, label="measured")
    beyond = (x1, 1.5 * x1), (y1, y1 + (y1 - y0) / (x1 - x0) * 0.5 * x1)
    axes.plot(*beyond, "--", color=BEYOND, label="extrapolated")
    axes.axhline(CLAIM_MB, color="#8d899c", linewidth=0.8)
    axes.set(xlabel="devices, d = 1,000,000", ylabel="aggregator's peak, MB", ylim=(0, None))


def shards(axes: Axes) -> None:
    """Processor seconds of a round against shards."""
    rows = rows_of("shards.json")
    found = [(r["shards"], r["server_s"], r["predicted_server_s"]) for r in rows]
    x, measured, planned = zip(*found, strict=True)
    axes.plot(x, measured, "o-", color=MEASURED, label="measured")
    axes.plot(x, planned, "--", color=BEYOND, label="planned")
    axes.set(xlabel="shards, 48 devices of d = 500,000", ylabel="shard and root, s", ylim=(0, None))


def devices(axes: Axes) -> None:
    """A device's check of its roster, and the aggregator's unmasking, against the cohort."""
    rows = rows_of("secagg_scaling.json")
    found = [(r["n"], r["measured"]["roster_check_s"], r["counted"]["unmask_s"]) for r in rows]
    x, check, unmask = zip(*found, strict=True)
    axes.plot(x, check, "o-", color=MEASURED, label="a roster's check, measured")
    axes.plot(x, unmask, "--", color=BEYOND, label="unmasking, counted")
    axes.set(xlabel="devices of a cohort", ylabel="processor seconds", xscale="log", yscale="log")


def growth(axes: Axes, table: str, key: str, label: str, *, wide: bool) -> None:
    """Processor seconds of a round at either end against one of its sizes.

    Args:
        axes: what is drawn on.
        table, key: of the results.
        label: of the size.
        wide: the size and the seconds go over decades.
    """
    rows = rows_of("growth.json", table)
    x = [r[key] for r in rows]
    for name, who, style in (("server_s", "aggregator", "o-"), ("device_s", "a device", "s-")):
        colour = MEASURED if who == "aggregator" else DEVICE
        axes.plot(x, [r[name] for r in rows], style, color=colour, label=f"{who}, measured")
    scale = "log" if wide else "linear"
    axes.set(xlabel=label, ylabel="processor seconds of a round", xscale=scale, yscale=scale)


def sizes(axes: Axes) -> None:
    """Growth with the devices of a cohort."""
    growth(axes, "devices", "n", "devices of a cohort, d = 100,000", wide=True)


def lengths(axes: Axes) -> None:
    """Growth with the coordinates of a vector, and ten times farther in proportion."""
    growth(axes, "dims", "dims", "coordinates d, 64 devices", wide=True)
    last = rows_of("growth.json", "dims")[-1]
    for name in ("server_s", "device_s"):
        beyond = (last["dims"], 10 * last["dims"]), (last[name], 10 * last[name])
        axes.plot(*beyond, "--", color=BEYOND, label="in proportion" if name == "device_s" else "")


def dropouts(axes: Axes) -> None:
    """Growth with the part of the devices that vanishes in mid-round."""
    growth(axes, "dropouts", "drop", "part that vanishes, 64 devices, d = 100,000", wide=False)
    axes.set_ylim(0, None)


PANELS = (sizes, lengths, dropouts, memory, shards, devices)


def picture() -> bytes:
    """Return the picture."""
    look = {"svg.hashsalt": "scaling", "svg.fonttype": "none", "font.size": 9}
    with rc_context(look):
        figure = Figure(figsize=(11, 6.6), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, draw in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
            draw(axes)
            axes.legend(frameon=False)
            axes.spines[["top", "right"]].set_visible(False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def main() -> int:
    """Write the picture."""
    PICTURE.write_bytes(picture())
    return 0


if __name__ == "__main__":
    sys.exit(main())
