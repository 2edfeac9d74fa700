"""Bundles that were made before, by what they were made from.

Rules:
- the key is a hash of the net's source file, the options, and the versions of torch, onnx,
  onnxruntime and of this package's own sources: what would give other bytes has another key;
- entries are whole files, renamed into place; a damaged one is made anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from dreamshare.learning.onnx.bundle import Bundle, read_bundle
from dreamshare.learning.onnx.errors import BundleError

_DISTRIBUTIONS = ("torch", "onnx", "onnxruntime", "numpy")


def content_key(parts: Sequence[bytes]) -> str:
    """Return the key of an export from `parts`, hexadecimal."""
    digest = hashlib.sha256()
    sources = sorted(Path(__file__).parents[1].rglob("*.py"))
    versions = [f"{name}=={version(name)}".encode() for name in _DISTRIBUTIONS]
    for part in (*(path.read_bytes() for path in sources), *versions, *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def cached(folder: Path, key: str, make: Callable[[], Bundle]) -> tuple[Bundle, bool]:
    """Return the bundle of a key and whether it was there; make and keep it where it was not."""
    path = folder / f"{key}.dream"
    if path.exists():
        try:
            return read_bundle(path), True
        except BundleError:
            path.unlink()
    bundle = make()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, bundle.to_bytes())
    return bundle, False


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
