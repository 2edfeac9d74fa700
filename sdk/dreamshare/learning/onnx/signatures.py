"""What a program of a bundle takes and gives: the part of the manifest that says so.

A program is a pure function of *arguments* (arrays of a request, differentiated) and *data* (the
device's own, never differentiated); its *results* are summed over devices, so no result has the
size of the batch. Its transforms are graphs of their own, "NAME.TRANSFORM":

    value   argument/, data/                        -> value/
    vjp     argument/, data/, cotangent/            -> value/, gradient/
    jvp     argument/, data/, tangent/              -> value/, pushed/
    hvp     argument/, data/, cotangent/, tangent/  -> gradient/, product/

With J the derivative of the results by the arguments: gradient = J^T cotangent, pushed = J tangent,
product = d gradient / d arguments, along the tangents.

Rules:
- names and shapes follow from the signature; a manifest whose graphs have other ports is refused;
- a net's parameters are arguments under their port names, "P/fc.weight".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dreamshare.learning.onnx import fields
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.ports import Port

Transform = Literal["value", "vjp", "jvp", "hvp"]
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
MAX_PROGRAMS = 12
MAX_ELEMENTS = 1 << 28
"""Of one argument, data array (without the batch) or result."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}/[1-9][0-9]{0,5}")
_ARRAY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}|P/[^\x00-\x1f]{1,200}")
_FLOATS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Argument:
    """An array that comes with a request, and that a program is differentiated by.

    Attributes:
        name: letters, digits and "_"; or "P/..." for a parameter of the net.
        shape: sizes >= 1; () is one number.
        dtype: "float32" or "float64".
        low: least value of the export's self-check.
        high: largest value of the export's self-check, > low. Neither bounds a request.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check("argument", self.name, self.shape, self.dtype, _FLOATS)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise BundleError(f"argument {self.name!r} needs finite numbers low < high")


@dataclass(frozen=True, slots=True)
class DataArray:
    """An array of the device's own.

    Attributes:
        name: as of an argument.
        shape: sizes >= 1; the first may be "N", the number of examples, equal for all arrays.
        dtype: "float32", "float64", "int64" or "bool".
        below: of int64 only: values lie in [0, below); 0 means that any value is allowed.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    below: int = 0

    def __post_init__(self) -> None:
        sizes = self.shape[1:] if self.shape[:1] == ("N",) else self.shape
        _check("data array", self.name, sizes, self.dtype, (*_FLOATS, "int64", "bool"))
        if not 0 <= self.below < 2**31 or (self.below and self.dtype != "int64"):
            raise BundleError(f"data array {self.name!r} has no valid `below`; only int64 has one")


@dataclass(frozen=True, slots=True)
class Result:
    """An array that a program gives; attributes as of an argument."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _check("result", self.name, self.shape, self.dtype, _FLOATS)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a program takes and gives.

    Attributes:
        name: "loss/1": a name and a version.
        arguments: at least one.
        data: may be empty.
        results: at least one.
        transforms: of `TRANSFORMS`, at least one, each once.
    """

    name: str
    arguments: tuple[Argument, ...]
    data: tuple[DataArray, ...]
    results: tuple[Result, ...]
    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        check_name(self.name)
        check_transforms(self.name, self.transforms)
        for kind, arrays in (
            ("argument", self.arguments),
            ("data array", self.data),
            ("result", self.results),
        ):
            names = [each.name for each in arrays]
            if len(set(names)) < len(names) or (not names and kind != "data array"):
                raise BundleError(f"program {self.name} needs its {kind}s, each of its own name")

    def graph(self, transform: str) -> str:
        """Return the name of a transform's graph."""
        return f"{self.name}.{transform}"

    def inputs(self, transform: str) -> tuple[Port, ...]:
        """Return the ports that a transform's graph takes."""
        ports = [*_ports("argument", self.arguments), *_ports("data", self.data)]
        if transform in ("vjp", "hvp"):
            ports += _ports("cotangent", self.results)
        if transform in ("jvp", "hvp"):
            ports += _ports("tangent", self.arguments)
        return tuple(ports)

    def outputs(self, transform: str) -> tuple[Port, ...]:
        """Return the ports that a transform's graph gives."""
        ports = [] if transform == "hvp" else _ports("value", self.results)
        if transform in ("vjp", "hvp"):
            ports += _ports("gradient", self.arguments)
        if transform == "jvp":
            ports += _ports("pushed", self.results)
        if transform == "hvp":
            ports += _ports("product", self.arguments)
        return tuple(ports)


def check_name(name: str) -> None:
    """Raise BundleError unless `name` is a program's: "loss/1"."""
    if not _NAME.fullmatch(name):
        raise BundleError(
            f"program {name!r}: a name is lower-case letters, digits and '_', then '/' and a "
            "version from 1 on, such as loss/1"
        )


def check_transforms(name: str, transforms: Sequence[str]) -> None:
    """Raise BundleError unless these are transforms, at least one and each once."""
    known = set(transforms) <= set(TRANSFORMS)
    if not transforms or not known or len(set(transforms)) < len(transforms):
        raise BundleError(
            f"program {name} has the transforms {list(transforms)}; name some of "
            f"{', '.join(TRANSFORMS)}, each once"
        )


def signature_from(given: object) -> Signature:
    """Return a signature from a manifest; raises BundleError, KeyError or TypeError."""
    match given:
        case {
            "name": str(name),
            "arguments": list(arguments),
            "data": list(data),
            "results": list(results),
            "transforms": list(transforms),
            **others,
        } if not others:
            pass
        case _:
            raise BundleError("a program of the bundle is not complete")
    named = {each: each for each in TRANSFORMS}
    check_transforms(name, [fields.text(each) for each in transforms])
    return Signature(
        name,
        tuple(_argument(each) for each in arguments),
        tuple(_data(each) for each in data),
        tuple(_result(each) for each in results),
        tuple(named[each] for each in transforms),
    )


def _argument(given: Mapping[str, object]) -> Argument:
    low, high = fields.number(given["low"]), fields.number(given["high"])
    return Argument(fields.text(given["name"]), _sizes(given), _dtype(given), low, high)


def _data(given: Mapping[str, object]) -> DataArray:
    shape = fields.listed(given["shape"])
    sizes = tuple("N" if each == "N" else fields.whole(each) for each in shape)
    below = fields.whole(given["below"])
    return DataArray(fields.text(given["name"]), sizes, _dtype(given), below)


def _result(given: Mapping[str, object]) -> Result:
    return Result(fields.text(given["name"]), _sizes(given), _dtype(given))


def _sizes(given: Mapping[str, object]) -> tuple[int, ...]:
    return tuple(fields.whole(each) for each in fields.listed(given["shape"]))


def _dtype(given: Mapping[str, object]) -> str:
    return fields.text(given["dtype"])


def _ports(group: str, arrays: Sequence[Argument | DataArray | Result]) -> list[Port]:
    return [Port(f"{group}/{each.name}", each.dtype, each.shape) for each in arrays]


def _check(
    kind: str, name: str, sizes: Sequence[int | str], dtype: str, dtypes: Sequence[str]
) -> None:
    if not _ARRAY.fullmatch(name):
        raise BundleError(f"{kind} {name!r}: a name is letters, digits and '_'")
    if dtype not in dtypes:
        raise BundleError(f"{kind} {name!r} is {dtype}; it may be {' or '.join(dtypes)}")
    whole = [size for size in sizes if type(size) is int and size >= 1]
    if len(whole) < len(sizes) or len(sizes) > 8 or math.prod(whole) > MAX_ELEMENTS:
        raise BundleError(f"{kind} {name!r} has no valid shape: sizes >= 1, 'N' only first")
