"""Pictures in folders, one folder a class, read and scaled when they are needed.

    photos/cat/1.jpg   photos/cat/2.png   photos/dog/a.jpg

Rules:
- classes are the sub-folders' names in order, unless they are given: a device that lacks a class
  gives the names, or its numbers would differ from everybody else's;
- a picture that cannot be read is an error that names it; other files are left out;
- Pillow (extra `images`) is imported when the first picture is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
"""What counts as a picture."""


class ImageFolder:
    """See `dreamshare.learning.data_lazy.Source`; examples are (C, H, W), 0 to 1.

    Args:
        root: holds a sub-folder for each class.
        size: (height, width) in pixels that pictures are scaled to, each 1 or more.
        channels: 1 for grey, 3 for red, green, blue.
        classes: names of the sub-folders, in the order of the model's classes; empty takes those
            that are there, sorted.

    Raises:
        ConfigError: there is no such folder, none with pictures, or one that no class names.
    """

    def __init__(
        self,
        root: Path | str,
        size: tuple[int, int],
        channels: Literal[1, 3] = 3,
        classes: Sequence[str] = (),
    ) -> None:
        folder = Path(root)
        if min(size) < 1 or channels not in (1, 3):
            raise ConfigError(f"pictures of {size} pixels and {channels} channels: use 1 or 3")
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}")
        there = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
        self.classes = tuple(classes) or tuple(there)
        unknown = [name for name in there if name not in self.classes]
        if unknown:
            raise ConfigError(f"{folder / unknown[0]} is none of the classes {self.classes}")
        self._size, self._mode = size, "L" if channels == 1 else "RGB"
        found = [
            (path, number)
            for number, name in enumerate(self.classes)
            for path in (sorted((folder / name).iterdir()) if name in there else ())
            if path.suffix.lower() in SUFFIXES
        ]
        if not found:
            raise ConfigError(f"{folder} holds no pictures in folders, one for each class")
        self._paths = [path for path, _ in found]
        self._labels = np.array([number for _, number in found], np.int64)

    def labels(self) -> Ints:
        return self._labels

    def read(self, places: Ints) -> Floats:
        return np.stack([self._picture(self._paths[place]) for place in places])

    def _picture(self, path: Path) -> Floats:
        try:
            from PIL import Image
        except ModuleNotFoundError:
            raise ConfigError("pictures need Pillow: pip install 'dreamshare[images]'") from None
        height, width = self._size
        try:
            with Image.open(path) as picture:
                scaled = picture.convert(self._mode).resize((width, height))
                x_HWC = np.asarray(scaled, np.float32).reshape(height, width, -1) / 255.0
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ConfigError(f"the picture {path} cannot be read: {error}") from None
        return x_HWC.transpose(2, 0, 1).astype(np.float32)
