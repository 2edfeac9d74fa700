"""Named arrays and their declared fields: everything that leaves a device.

Rules:
- a `Field` declares name, shape, bound and bits *before* anything is computed: the fixed-point
  encoding, the clipping and the accountant need nothing else;
- an `Update` is checked against its fields once, at the border to the protocol;
- flattening order is the order of the declaration, C order inside an array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError

Array = NDArray[np.float32] | NDArray[np.float64]
"""What a device answers with."""

PublicArray = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint8]
"""What a plan or a result may carry: public tensors of four dtypes."""


@dataclass(frozen=True, slots=True)
class Field:
    """One named array of an update.

    Attributes:
        name: unique inside an Ask; lower-case letters, digits, '_'.
        shape: of the array; () is a scalar.
        bound: C > 0; every coordinate is clipped to [-C, C] (docs/protocol.md, 12.2).
        bits: q, 8 to 20; resolution of the fixed-point encoding, 2C/(2^q - 1).
    """

    name: str
    shape: tuple[int, ...]
    bound: float
    bits: int = 16

    def __post_init__(self) -> None:
        if not self.name or not all(c.islower() or c.isdigit() or c == "_" for c in self.name):
            raise ConfigError(f"field name {self.name!r}: use lower-case letters, digits and '_'")
        if any(n < 1 for n in self.shape):
            raise ConfigError(f"field {self.name}: every dimension of {self.shape} must be >= 1")
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ConfigError(f"field {self.name}: bound {self.bound} must be finite and > 0")
        if not 8 <= self.bits <= 20:
            raise ConfigError(f"field {self.name}: bits {self.bits} must be 8 to 20")

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Update:
    """What a device answers to an Ask.

    Attributes:
        arrays: one float array per declared field.
        weight: w >= 0, at most the Ask's weight cap; it travels only inside the masked vector.
    """

    arrays: Mapping[str, Array] = dataclass_field(default_factory=dict)
    weight: float = 1.0

    def flatten(self, fields: Sequence[Field]) -> tuple[NDArray[np.float64], ...]:
        """Return one flat float64 array per field, in the order declared.

        Raises:
            ConfigError: a field is missing, unknown, of another shape, or not finite.
        """
        unknown = set(self.arrays) - {f.name for f in fields}
        if unknown:
            raise ConfigError(f"update holds undeclared fields {sorted(unknown)}")
        flat = []
        for f in fields:
            if f.name not in self.arrays:
                raise ConfigError(f"update lacks the declared field {f.name!r}")
            array = np.asarray(self.arrays[f.name], dtype=np.float64)
            if array.shape != f.shape:
                raise ConfigError(f"field {f.name}: shape {array.shape}, declared {f.shape}")
            if not np.isfinite(array).all():
                raise ConfigError(f"field {f.name} has values that are not finite")
            flat.append(array.reshape(-1))
        return tuple(flat)


def unflatten(flat: Sequence[NDArray[np.float64]], fields: Sequence[Field]) -> dict[str, Array]:
    """Inverse of `Update.flatten`: named arrays of the declared shapes."""
    return {f.name: a.reshape(f.shape) for f, a in zip(fields, flat, strict=True)}
