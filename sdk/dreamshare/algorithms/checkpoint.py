"""States and results as bytes: an .npz archive without pickles.

Rules:
- float32, float64, int64 and uint8 arrays in C order, as the wire carries them, and one JSON text
  for everything else; the same state gives the same bytes;
- sizes are read from the archive's directory and capped before anything is unpacked;
- a decoder raises ConfigError and nothing else.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from dreamshare.algorithms.trees import Tree, from_tree, to_tree
from dreamshare.errors import ConfigError
from dreamshare.updates import PublicArray

S = TypeVar("S")

MOST_BYTES = 2**30
"""Default limit of an unpacked archive."""

MOST_ARRAYS = 10_000
STATE = "state"
"""Name of the entry that holds a state's JSON."""

_DTYPES = frozenset({"<f4", "<f8", "<i8", "|u1"})
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,
    OSError,
    EOFError,
    KeyError,
    SyntaxError,
    RuntimeError,  # encrypted, or packed in a way that zipfile does not know
)


def encode_arrays(arrays: Mapping[str, PublicArray]) -> bytes:
    """Return an .npz archive of named arrays.

    Raises:
        ConfigError: another dtype, or a name with other characters than letters, digits, '_', '.'.
    """
    for name, array in arrays.items():
        if not name or not name.replace("_", "").replace(".", "").isalnum():
            raise ConfigError(f"array name {name!r}: use letters, digits, '_' and '.'")
        if array.dtype.newbyteorder("<").str not in _DTYPES:
            raise ConfigError(f"array {name}: dtype {array.dtype} is not one of {sorted(_DTYPES)}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            # ZipInfo without a date has a constant one, so equal arrays give equal bytes
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def decode_arrays(raw: bytes, most_bytes: int = MOST_BYTES) -> dict[str, PublicArray]:
    """Inverse of `encode_arrays`.

    Raises:
        ConfigError: not such an archive, or larger than `most_bytes` when unpacked.
    """
    arrays: dict[str, PublicArray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ARRAYS:
                raise ConfigError(f"archive holds {len(entries)} arrays; at most {MOST_ARRAYS}")
            if sum(entry.file_size for entry in entries) > most_bytes:
                raise ConfigError(f"archive unpacks to more than {most_bytes} bytes")
            for entry in entries:
                with archive.open(entry) as stream:
                    content = stream.read(entry.file_size)
                array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
                if array.dtype.str not in _DTYPES:
                    raise ConfigError(f"archive entry {entry.filename}: dtype {array.dtype}")
                arrays[entry.filename.removesuffix(".npy")] = array
    except _BROKEN as error:
        raise ConfigError(f"not an archive of arrays, or a damaged one ({error})") from None
    return arrays


def encode_state(state: object) -> bytes:
    """Return a state (frozen dataclass) as an archive.

    Raises:
        ConfigError: it holds something else than numbers, texts, tuples, arrays and mappings.
    """
    arrays: dict[str, PublicArray] = {}

    def store(array: PublicArray) -> str:
        name = f"a{len(arrays)}"
        arrays[name] = array
        return name

    tree = to_tree(state, store, at=type(state).__name__)
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    return encode_arrays({STATE: np.frombuffer(text, np.uint8), **arrays})


def decode_state(raw: bytes, kind: type[S], most_bytes: int = MOST_BYTES) -> S:
    """Inverse of `encode_state` for states of class `kind`.

    Raises:
        ConfigError: not such an archive, or a state of another class or shape.
    """
    arrays = decode_arrays(raw, most_bytes)

    def load(name: str) -> PublicArray:
        if name not in arrays:
            raise ConfigError(f"the stored state refers to an array {name!r} that is not there")
        return arrays[name]

    try:
        tree: Tree = json.loads(bytes(load(STATE)))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the stored state is not JSON ({error})") from None
    return from_tree(tree, kind, load)
