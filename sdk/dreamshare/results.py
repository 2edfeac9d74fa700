"""What a task leaves: its public arrays and scalars, and how to keep them.

Rules:
- everything in a result is public: sums over a crowd and what was made of them;
- names come from another party: they go into one archive of arrays, never into a file's path, and
  nothing is pickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.protocol.messages import TaskResult, TaskStatus
from dreamshare.showing import Rows, Shown
from dreamshare.updates import PublicArray


class TaskEnded(DreamshareError):
    """A task ended without a result; the text says why and what to change."""


@dataclass(frozen=True, slots=True, repr=False)
class Artifact(Shown):
    """One public array of a result.

    Attributes:
        name: unique in its task: letters, digits, '_' and '.'.
        dtype: float32, float64, int64 or uint8.
        shape: of the array.
        size: bytes of its content.
        sha256: of its content in C order, little-endian, in hex: equal runs give equal ones.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, array: PublicArray) -> Self:
        """Return what there is to say of an array."""
        content = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C").tobytes()
        digest = hashlib.sha256(content).hexdigest()
        return cls(name, array.dtype.name, tuple(array.shape), len(content), digest)


@dataclass(frozen=True, slots=True, repr=False)
class Result(Shown):
    """The public result of a finished task.

    Attributes:
        status: how it ended.
        arrays: what the algorithm gives out, by name.
        metrics: named scalars.
    """

    status: TaskStatus
    arrays: Mapping[str, PublicArray]
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, found: TaskResult) -> Self:
        """Return what an aggregator answered; raises ConfigError where its archive is none."""
        return cls(found.status, decode_arrays(found.archive), found.metrics)

    @property
    def artifacts(self) -> Rows[Artifact]:
        """Its arrays, described, in their order."""
        return Rows(Artifact.of(name, array) for name, array in self.arrays.items())

    def save(self, path: Path, only: Collection[str] = ()) -> None:
        """Write the arrays to a .npz file without pickles; `numpy.load` reads it.

        Args:
            path: of the file; one that is there is replaced.
            only: names of the arrays that are wanted; empty for all.

        Raises:
            ConfigError: there is no such array, or the file cannot be written.
        """
        missing = sorted(set(only) - set(self.arrays))
        if missing:
            there = ", ".join(sorted(self.arrays)) or "none"
            raise ConfigError(f"the result has no array {', '.join(missing)}; there are: {there}")
        wanted = {name: a for name, a in self.arrays.items() if not only or name in only}
        try:
            path.write_bytes(encode_arrays(wanted))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
