"""Named arrays in one file: the safetensors format, by numpy alone.

The layout is that of the safetensors specification: eight bytes with the header's length, a JSON
header of names, types, shapes and byte ranges, then the arrays, little-endian, without gaps.

Rules:
- nothing is unpickled; sizes are checked before anything is allocated;
- arrays come out writable and in C order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dreamshare.learning.onnx.errors import BundleError

Arrays = dict[str, NDArray[np.generic]]

MAX_HEADER = 4 << 20
_DTYPES = MappingProxyType(
    {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
)


def pack_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return the arrays as one file, names sorted; the same arrays give the same bytes.

    Raises:
        BundleError: a type that has no place in the format.
    """
    names = {np.dtype(code): name for name, code in _DTYPES.items()}
    header: dict[str, dict[str, object]] = {}
    parts: list[bytes] = []
    at = 0
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype not in names:
            raise BundleError(f"{name} holds {array.dtype}; the file takes {', '.join(_DTYPES)}")
        content = array.tobytes(order="C")
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + len(content)],
        }
        parts.append(content)
        at += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def unpack_arrays(content: bytes) -> Arrays:
    """Return the arrays of a file.

    Raises:
        BundleError: not such a file.
    """
    if len(content) < 8 or (size := int.from_bytes(content[:8], "little")) > MAX_HEADER:
        raise _damaged("it has no header of a known size")
    try:
        header = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError):
        raise _damaged("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged("its header is no table")
    body = memoryview(content)[8 + size :]
    arrays: Arrays = {}
    covered = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        array, length = _array(name, entry, body)
        arrays[name] = array
        covered += length
    if covered != len(body):
        raise _damaged(f"its arrays cover {covered} of {len(body)} bytes")
    return arrays


def _array(name: str, entry: object, body: memoryview) -> tuple[NDArray[np.generic], int]:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(stop)]}:
            pass
        case _:
            raise _damaged(f"the entry of {name!r} is not complete")
    if kind not in _DTYPES:
        raise _damaged(f"{name!r} has the unknown type {kind!r}")
    if len(shape) > 16 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise _damaged(f"{name!r} has no valid shape")
    dtype = np.dtype(_DTYPES[kind])
    length = math.prod(shape) * dtype.itemsize
    if not 0 <= start <= stop <= len(body) or stop - start != length:
        raise _damaged(f"{name!r} does not lie where the header says")
    return np.frombuffer(body[start:stop], dtype).reshape(shape).copy(), length


def _damaged(what: str) -> BundleError:
    return BundleError(f"this is not a file of arrays: {what}; was it cut or changed?")
