"""A bundle that takes a second to make, and examples for it in every form that settings name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from dreamshare.learning.export import ExportSettings, compile
from dreamshare.learning.onnx.bundle import Bundle
from dreamshare.learning.onnx.manifest import Normalisation

CLASSES = 10
SHAPE = (1, 8, 8)
NORMALISATION = Normalisation((0.5,), (0.25,))


class Small(nn.Module):
    """A convolution with BatchNorm and a linear layer on 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(256, CLASSES)

    def forward(self, x_NCHW):  # type: ignore[no-untyped-def]
        return self.head(self.features(x_NCHW).flatten(1))


def small_bundle() -> Bundle:
    """Return the bundle of a new `Small`."""
    settings = ExportSettings("small", NORMALISATION, batches=1)
    return compile(Small(), SHAPE, classes=CLASSES, settings=settings)


def examples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy prototypes that every device shares, 0 to 255, and their classes."""
    prototypes = np.random.default_rng(5).uniform(0.2, 0.8, (CLASSES, *SHAPE))
    rng = np.random.default_rng([6, seed])
    y_N = np.arange(count) % CLASSES
    x = prototypes[y_N] + rng.normal(0, 0.1, (count, *SHAPE))
    return np.clip(255 * x, 0, 255).astype(np.uint8), y_N


def write_arrays(path: Path, count: int, seed: int) -> None:
    """Write the examples, 0 to 1, as `ArrayFile` reads them."""
    x, y = examples(count, seed)
    np.savez(path, x=(x / 255).astype(np.float32), y=y)


def write_pictures(folder: Path, count: int, seed: int) -> None:
    """Write the examples as pictures in folders, one a class."""
    for number, (x, y) in enumerate(zip(*examples(count, seed), strict=True)):
        (folder / f"digit-{y}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[0]).save(folder / f"digit-{y}" / f"{number:03}.png")


def write_table(path: Path, count: int, seed: int) -> tuple[str, ...]:
    """Write the examples as rows of a CSV file; return the columns of numbers."""
    x, y = examples(count, seed)
    columns = tuple(f"p{place}" for place in range(64))
    rows = [
        ",".join([*(str(v / 255) for v in a.reshape(-1)), f"digit-{b}"])
        for a, b in zip(x, y, strict=True)
    ]
    path.write_text("\n".join([",".join([*columns, "label"]), *rows]) + "\n", encoding="utf-8")
    return columns
