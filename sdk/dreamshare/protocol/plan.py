"""The plan of a round: what every device is asked, and the hash that binds it.

Rules:
- the hash (docs/protocol.md 7.1) covers algorithm, step, config, cycle, draw, last Tell and
  tensors in declared order, never round counters, times or transport ids;
- tensors are C-contiguous little-endian arrays of four dtypes; nothing else travels.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.updates import Field, PublicArray
from dreamshare_crypto.encoding import Params
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.secagg.events import Payload

DTYPES = ("<f4", "<f8", "<i8", "|u1")
"""dtypes that a plan may carry, by wire number."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a device is asked to compute or, for a Tell, to learn from.

    Attributes:
        algorithm: registered id with its version, e.g. "codream/1".
        step: a step that the algorithm registers.
        config: canonical JSON of the algorithm's config (UTF-8).
        cycle: the algorithm's outer counter.
        draw: 0 at first; +1 when a round was abandoned after any answer.
        tensors: public arrays, in declared order.
        last_tell: hash of the last Tell of the task, empty when there was none.
        field_names: names of the answered fields, in order (empty for a Tell); their shapes are in
            `field_shapes`; bounds and bits travel in SA-2's own params.
    """

    algorithm: str
    step: str
    config: bytes
    cycle: int = 0
    draw: int = 0
    tensors: Mapping[str, PublicArray] = dataclass_field(default_factory=dict)
    last_tell: bytes = b""
    field_names: tuple[str, ...] = ()
    field_shapes: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        for name, tensor in self.tensors.items():
            if tensor.dtype.newbyteorder("<").str not in DTYPES:
                raise ConfigError(f"tensor {name}: dtype {tensor.dtype} cannot travel; {DTYPES}")

    def payload(self) -> Payload:
        """Return Hb with and without the draw (no refusal set)."""
        return Payload(hash=self._hash(self.draw), base_hash=self._hash(None), draw=self.draw)

    def _hash(self, draw: int | None) -> bytes:
        parts = [
            self.algorithm.encode(),
            self.step.encode(),
            self.config,
            struct.pack("<I", self.cycle),
            b"" if draw is None else struct.pack("<I", draw),
            self.last_tell,
            struct.pack("<I", len(self.field_names)),
        ]
        for name, shape in zip(self.field_names, self.field_shapes, strict=True):
            parts += [name.encode(), struct.pack(f"<{len(shape)}Q", *shape)]
        parts.append(struct.pack("<I", len(self.tensors)))
        for name, tensor in self.tensors.items():
            little = np.asarray(tensor, dtype=tensor.dtype.newbyteorder("<"), order="C")
            parts += [
                name.encode(),
                little.dtype.str.encode(),
                struct.pack(f"<{little.ndim}Q", *little.shape),
                little.tobytes(),
            ]
        return hash_parts("sa2/v1/payload", *parts)


def signed_fields(plan: RoundPlan, params: Params) -> tuple[Field, ...] | None:
    """Return the plan's fields with the signed bounds and bits.

    None where they disagree, or where a name or shape of the plan, which is a peer's, cannot be a
    field's.
    """
    if len(plan.field_names) != len(params.fields):
        return None
    declared = zip(plan.field_names, plan.field_shapes, params.fields, strict=True)
    try:
        fields = tuple(Field(name, shape, p.clip, p.bits) for name, shape, p in declared)
    except ConfigError:
        return None
    agree = all(f.size == signed.dims for f, signed in zip(fields, params.fields, strict=True))
    return fields if agree else None
