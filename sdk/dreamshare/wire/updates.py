"""Tensors, field declarations and metrics: values to protobuf and back.

Rules:
- arrays travel as little-endian bytes in C order and come back as read-only views of those bytes;
- the length of the bytes is checked against shape and type before an array exists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dreamshare.errors import AbortCode
from dreamshare.protocol.plan import DTYPES
from dreamshare.updates import PublicArray
from dreamshare.wire import limits
from dreamshare.wire.border import count, name, refuse, unique
from dreamshare_protos.v1 import update_pb2 as pb


def tensors_to_wire(tensors: Mapping[str, PublicArray]) -> list[pb.Tensor]:
    """Return `tensors` in their order; wire numbers are positions in `plan.DTYPES`, from 1."""
    made = []
    for label, array in tensors.items():
        little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        made.append(
            pb.Tensor(
                name=label,
                type=pb.TensorType.ValueType(DTYPES.index(little.dtype.str) + 1),
                shape=little.shape,
                data=little.tobytes(),
            )
        )
    return made


def tensors_from_wire(wires: Sequence[pb.Tensor]) -> dict[str, PublicArray]:
    """Return the named arrays, read-only, in their order."""
    count(wires, limits.TENSORS_LIMIT, "tensors")
    unique((wire.name for wire in wires), "tensor")
    return {name(wire.name, "tensor name"): _array(wire) for wire in wires}


def _array(wire: pb.Tensor) -> PublicArray:
    if not 1 <= wire.type <= len(DTYPES):
        raise refuse(f"tensor {wire.name!r} of unknown type {wire.type}")
    dtype = np.dtype(DTYPES[wire.type - 1])
    shape = _shape(wire.shape, f"tensor {wire.name!r}")
    data = wire.data
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise refuse(f"tensor {wire.name!r}: {len(data)} bytes for shape {shape} of {dtype}")
    array: PublicArray = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array


def fields_to_wire(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[pb.FieldShape]:
    """Return one declaration per name."""
    return [pb.FieldShape(name=n, shape=s) for n, s in zip(names, shapes, strict=True)]


def fields_from_wire(
    wires: Sequence[pb.FieldShape],
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the names and the shapes, in their order."""
    count(wires, limits.FIELDS_LIMIT, "fields")
    unique((wire.name for wire in wires), "field")
    names, shapes = [], []
    for wire in wires:
        names.append(name(wire.name, "field name"))
        shape = _shape(wire.shape, f"field {wire.name!r}")
        if 0 in shape:
            raise refuse(f"field {wire.name!r}: shape {shape} has an empty dimension")
        shapes.append(shape)
    return tuple(names), tuple(shapes)


def _shape(wire: Iterable[int], what: str) -> tuple[int, ...]:
    shape = tuple(wire)
    count(shape, limits.DIMENSIONS_LIMIT, f"dimensions of {what}")
    if math.prod(max(n, 1) for n in shape) > limits.VALUES_LIMIT:
        raise refuse(f"{what}: shape {shape} is too large", AbortCode.TOO_LARGE)
    return shape


def metrics_to_wire(metrics: Mapping[str, float]) -> list[pb.Metric]:
    """Return the public scalars in their order."""
    return [pb.Metric(name=label, value=value) for label, value in metrics.items()]


def metrics_from_wire(wires: Sequence[pb.Metric]) -> dict[str, float]:
    """Return the public scalars; a value may be infinite or not a number (a loss that diverged)."""
    count(wires, limits.METRICS_LIMIT, "metrics")
    unique((wire.name for wire in wires), "metric")
    return {name(wire.name, "metric name"): wire.value for wire in wires}
