"""Arrays in a NumPy file: `np.savez("examples.npz", x=inputs, y=classes)`.

Classes are those of the inputs, (N,), or of their pixels, (N, H, W).

Shape legend: N examples, K classes; an example's shape is the file's.

Rules:
- numbers are taken as they are, of any kind but complex ones: 0 to 255 stays 0 to 255, and the
  model's normalisation is what it was trained with;
- nothing is unpickled: an array of Python objects is refused;
- what is kept in memory is the file's own type, one byte a pixel where it holds bytes.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.data import labels_fit

_NUMBERS = "biuf"


class ArrayFile:
    """See `dreamshare.learning.data_lazy.Source`.

    Args:
        path: an .npz file with `x`, N examples of one shape, and `y`, their N classes or those of
            their pixels.

    Raises:
        ConfigError: the file cannot be read, lacks an array, or the two do not fit.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        try:
            with self._path.open("rb") as file:
                found = np.load(file, allow_pickle=False)
                if not isinstance(found, np.lib.npyio.NpzFile):
                    raise self._broken("it is one array; np.savez(..., x=, y=) writes two")
                if missing := {"x", "y"} - set(found.files):
                    raise self._broken(f"it lacks {sorted(missing)}; it has {found.files}")
                self._x: NDArray[np.generic] = found["x"]
                y_N: NDArray[np.generic] = found["y"]
        except FileNotFoundError:
            raise ConfigError(f"there is no file {self._path}") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self._broken(f"it is no file of arrays ({error})") from None
        if self._x.dtype.kind not in _NUMBERS or self._x.ndim < 2:
            raise self._broken(f"x has shape {self._x.shape} of {self._x.dtype}; give numbers")
        if self._x.dtype.kind == "f" and not np.isfinite(self._x).all():
            raise self._broken("x holds values that are not finite")
        if y_N.dtype.kind not in "iu" or not labels_fit(self._x.shape, y_N.shape):
            raise self._broken(
                f"y has shape {y_N.shape} of {y_N.dtype}; {len(self._x)} whole numbers are wanted, "
                "or one for each pixel"
            )
        self._y = y_N.astype(np.int64)

    def labels(self) -> Ints:
        return self._y

    def read(self, places: Ints) -> Floats:
        return self._x[places].astype(np.float32)

    def _broken(self, what: str) -> ConfigError:
        return ConfigError(f"{self._path}: {what}")
