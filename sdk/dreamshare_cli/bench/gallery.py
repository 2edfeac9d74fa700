"""What was shared in the cells of a recipe, as one SVG: a line of pictures for each cell.

Rules:
- pictures are drawn pixel by pixel, neither chosen nor smoothed; time series (height 1) as lines;
- one channel is shown in the colours of `dreamshare.payloads.gallery`, three as they are;
- written by hand, with images as palettes of 256 colours: noise costs a byte a pixel, not four;
- the same results give the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dreamshare.payloads.gallery import COLOURS
from dreamshare_cli.bench.results import Results
from dreamshare_cli.bench.rows import Pictures
from dreamshare_cli.demo.palette import LIGHT

TILE, GAP = 52, 4
"""Side of a picture and space around it, in pixels of the drawing."""

CHARACTER = 6.8
"""Width of a letter of the names, generously."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Line:
    """Pictures of one cell with its name, in two lines."""

    name: str
    partition: str
    images_NHWC: Bytes


def gallery_svg(results: Results, stamp: str) -> bytes:
    """Draw one line for each cell that has pictures; `stamp` is the drawing's description."""
    lines = [
        Line(cell.row, cell.partition, images_of(cell.end.pictures))
        for cell in results.cells
        if cell.end.pictures is not None
    ]
    left = 12 + round(CHARACTER * max(len(text) for each in lines for text in _names(each)))
    step = TILE + GAP
    width = left + step * max(len(each.images_NHWC) for each in lines)
    height = step * len(lines) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f"<desc>{escape(stamp)}</desc>",
        f'<rect width="{width}" height="{height}" fill="{LIGHT.card}"/>',
    ]
    for row, each in enumerate(lines):
        top = GAP + row * step
        middle = top + TILE // 2
        for offset, text, ink in zip((-3, 12), _names(each), (LIGHT.ink, LIGHT.muted), strict=True):
            parts.append(
                f'<text x="{left - 8}" y="{middle + offset}" fill="{ink}" text-anchor="end">'
                f"{escape(text)}</text>"
            )
        for place, image_HWC in enumerate(each.images_NHWC):
            parts.append(_drawn(image_HWC, left + place * step, top))
    parts.append("</svg>\n")
    return "\n".join(parts).encode()


def images_of(pictures: Pictures) -> Bytes:
    """Return pictures as (N, H, W, C)."""
    raw = np.frombuffer(base64.b64decode(pictures.pixels), np.uint8)
    return raw.reshape(pictures.shape).transpose(0, 2, 3, 1)


def _names(line: Line) -> tuple[str, str]:
    return line.name, line.partition


def _drawn(image_HWC: Bytes, x: int, y: int) -> str:
    if image_HWC.shape[0] == 1:
        return _series(image_HWC[0, :, 0], x, y)
    data = base64.b64encode(_png(image_HWC)).decode()
    return (
        f'<image x="{x}" y="{y}" width="{TILE}" height="{TILE}" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def _series(values_W: Bytes, x: int, y: int) -> str:
    across = np.linspace(x, x + TILE, len(values_W))
    up = y + TILE * (1 - values_W / 255)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{COLOURS[2]}" stroke-width="1"/>'


def _png(image_HWC: Bytes) -> bytes:
    if image_HWC.shape[-1] == 3:
        image = Image.fromarray(image_HWC)
    else:
        image = Image.fromarray(np.ascontiguousarray(image_HWC[..., 0]), "P")
        image.putpalette(_palette(COLOURS))
    file = io.BytesIO()
    image.save(file, format="png", optimize=True)
    return file.getvalue()


def _palette(colours: Sequence[str]) -> list[int]:
    """Return 256 colours between these, as red, green, blue in turn."""
    known = np.array([[int(each[at : at + 2], 16) for at in (1, 3, 5)] for each in colours])
    places = np.linspace(0, len(colours) - 1, 256)
    found = [np.interp(places, np.arange(len(colours)), known[:, c]) for c in range(3)]
    return [int(value) for value in np.rint(np.stack(found, axis=1)).ravel()]
