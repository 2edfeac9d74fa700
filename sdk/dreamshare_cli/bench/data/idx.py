"""Images and labels in MNIST's file format (IDX), gzipped or not, and a way to fetch them.

Rules:
- sizes are read from the header and compared with the file before an array is made of it;
- a downloaded file is used only with the checksum that the recipe names; it is kept under its
  checksum, so a second run needs no network.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare_cli.bench.recipe import DataFile

PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
MOST_BYTES = 1 << 30
PATIENCE_S = 60.0
UNSIGNED_BYTES = 0x08


def read_folder(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the four arrays of `PARTS` by name.

    Raises:
        ConfigError: one is missing, damaged, or images and labels differ in number.
    """
    found = {}
    for name in PARTS:
        paths = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not paths:
            raise ConfigError(f"{folder} holds no {name} and no {name}.gz")
        found[name] = read_idx(paths[0])
    for images, labels in (PARTS[:2], PARTS[2:]):
        if found[images].ndim != 3 or found[labels].shape != found[images].shape[:1]:
            raise ConfigError(f"{folder}: {images} and {labels} do not belong together")
    return found


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the bytes of one IDX file in their shape; ConfigError where it is none."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{path} holds more than {MOST_BYTES} bytes")
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != UNSIGNED_BYTES or not 1 <= raw[3] <= 3:
        raise ConfigError(f"{path} is no IDX file of bytes with one to three dimensions")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise ConfigError(f"{path} ends in its header")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if math.prod(shape) != len(raw) - start:
        raise ConfigError(f"{path} says {shape} and holds {len(raw) - start} bytes")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def fetched(files: Sequence[DataFile], folder: Path) -> Path:
    """Download what is missing and return a folder with the four files under their usual names.

    Raises:
        ConfigError: a file cannot be had, has another checksum, or one of the four is not named.
    """
    names = _names(files)
    kept = folder / hashlib.sha256("".join(f.sha256 for f in files).encode()).hexdigest()[:16]
    kept.mkdir(parents=True, exist_ok=True)
    for name, file in names.items():
        path = kept / name
        if not path.is_file() or _digest(path.read_bytes()) != file.sha256:
            _keep(path, _download(file))
    return kept


def cache_folder() -> Path:
    """Return where downloads are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dreamshare" / "data"


def _names(files: Sequence[DataFile]) -> Mapping[str, DataFile]:
    names = {file.url.rpartition("/")[2]: file for file in files}
    if {name.removesuffix(".gz") for name in names} != set(PARTS):
        raise ConfigError(
            f"data.files must be four, called {', '.join(PARTS)}, with .gz or without"
        )
    return names


def _download(file: DataFile) -> bytes:
    try:
        with urllib.request.urlopen(file.url, timeout=PATIENCE_S) as answer:  # noqa: S310 - checked
            raw: bytes = answer.read(MOST_BYTES + 1)
    except (urllib.error.URLError, OSError) as error:
        raise ConfigError(f"{file.url} cannot be downloaded: {error}") from None
    if _digest(raw) != file.sha256:
        raise ConfigError(
            f"{file.url} has the SHA-256 {_digest(raw)}, not the recipe's; do not use it"
        )
    return raw


def _keep(path: Path, raw: bytes) -> None:
    """Write a file whole: two processes may do so at once."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(raw)
    Path(file.name).replace(path)


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
