"""Ports: the inputs and outputs of a graph, in its own order; a size of "N" is the batch."""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare.learning.onnx.errors import BundleError

STATISTICS = "S/"
"""Begins the names of a device's own feature statistics, "S/0.mean", "S/0.var", ..."""

DTYPES = ("float32", "float64", "int64", "bool")


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a graph.

    Attributes:
        name: such as "x", "P/fc.weight" (a parameter), "B/bn.running_mean", "P_/..." (its new
            value).
        dtype: of `DTYPES`.
        shape: sizes; "N" is the batch.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        if not self.name or self.dtype not in DTYPES:
            raise BundleError(f"port {self.name!r} has the unknown type {self.dtype!r}")
        if not all(size == "N" or (type(size) is int and 0 <= size < 2**31) for size in self.shape):
            raise BundleError(f"port {self.name!r} has no valid shape")
