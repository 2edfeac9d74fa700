"""Dreams as a picture for the page: one PNG with every dream in a grid, and where each lies.

Shape legend: N dreams, C channels, H height, W width.

Rules:
- one channel is shown in the project's colours, three as they are; the scale is that of the whole
  sheet, between its 2nd and 98th percentile, so that a few extreme values do not dim the rest;
- at most `MOST` dreams: the newest cycle whole, of older ones the first of each class;
- the format is written here, 8 bits RGB without a filter: nothing else is needed of a PNG library.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dreamshare.payloads.gallery import COLOURS, Gallery

MOST = 240
COLUMNS = 16
_LARGEST = 128
"""Pixels of one side of a dream; larger ones are thinned out."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture of dreams.

    Attributes:
        png: the file.
        width, height: pixels of one tile.
        columns: tiles of a row.
        labels, cycles: of each tile, row by row.
        forming: tiles at the end that belong to the newest cycle.
    """

    png: bytes
    width: int
    height: int
    columns: int
    labels: tuple[int, ...]
    cycles: tuple[int, ...]
    forming: int


def sheet_of(gallery: Gallery) -> Sheet | None:
    """Return the picture of a gallery; None where it has nothing that can be drawn."""
    chosen = _chosen(gallery)
    if len(chosen) == 0 or gallery.dreams_NCHW.shape[1] not in (1, 3):
        return None
    thin = max(1, -(-max(gallery.dreams_NCHW.shape[2:]) // _LARGEST))
    dreams_NCHW = gallery.dreams_NCHW[chosen][:, :, ::thin, ::thin]
    count, channels, height, width = dreams_NCHW.shape
    if height == 0 or width == 0:
        return None
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, height, width, 3), np.uint8)
    scaled = _scaled(dreams_NCHW)
    sheet[:count] = _coloured(scaled[:, 0]) if channels == 1 else _eight_bits(scaled)
    tiled = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    cycles = gallery.cycles_N[chosen]
    return Sheet(
        png_of(tiled.reshape(rows * height, columns * width, 3)),
        width,
        height,
        columns,
        tuple(int(label) for label in gallery.labels_N[chosen]),
        tuple(int(cycle) for cycle in cycles),
        int((cycles == cycles[-1]).sum()),
    )


def png_of(pixels_HW3: NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file (ISO/IEC 15948), truecolour, 8 bits."""
    height, width, _ = pixels_HW3.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # a row begins with its filter: 0, none
    rows[:, 1:] = pixels_HW3.reshape(height, 3 * width)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 6)
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", body), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chosen(gallery: Gallery) -> NDArray[np.int64]:
    """Return the places of the dreams to show, oldest first."""
    if len(gallery) == 0:
        return np.zeros(0, np.int64)
    newest = np.flatnonzero(gallery.cycles_N == gallery.cycles_N[-1])[:MOST]
    older: list[NDArray[np.int64]] = []
    for cycle in np.unique(gallery.cycles_N)[:-1][::-1]:
        places = np.flatnonzero(gallery.cycles_N == cycle)
        _, first = np.unique(gallery.labels_N[places], return_index=True)
        if len(newest) + sum(len(some) for some in older) + len(first) > MOST:
            break
        older.append(places[first])
    return np.concatenate([*older[::-1], newest])


def _scaled(dreams_NCHW: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return values between 0 and 1."""
    finite = np.nan_to_num(dreams_NCHW.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(finite, (2, 98))
    scaled: NDArray[np.float64] = np.clip((finite - low) / max(high - low, 1e-6), 0, 1)
    return scaled


def _coloured(values_NHW: NDArray[np.float64]) -> NDArray[np.uint8]:
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS], np.float64)
    at = np.linspace(0, 1, len(stops))
    channels = [np.interp(values_NHW, at, stops[:, i]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _eight_bits(values_NCHW: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(values_NCHW.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
