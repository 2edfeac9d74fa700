"""Public tensors of a CoDream plan by name, as the types that a device computes with.

Shape legend: B dreams, C channels, H height, W width, K classes.

Rules: what a step needs and did not get is one ConfigError that names it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.codream.config import CodreamConfig
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Floats
from dreamshare.payloads.pixels import unpacked
from dreamshare.updates import PublicArray


def dreams_of(config: CodreamConfig, tensors: Mapping[str, PublicArray]) -> Floats:
    """Return the dreams of a plan, unpacked where they came as bytes."""
    return unpacked(_tensor(tensors, "dreams"), config.low, config.high)


def _tensor(tensors: Mapping[str, PublicArray], name: str) -> PublicArray:
    if name not in tensors:
        raise ConfigError(f"codream/1 needs the public tensor {name!r}, which did not come")
    return tensors[name]


def floats_of(tensors: Mapping[str, PublicArray], name: str) -> Floats:
    """Return a tensor of a plan or of the memory as float32."""
    return _tensor(tensors, name).astype(np.float32, copy=False)


def doubles_of(tensors: Mapping[str, PublicArray], name: str) -> NDArray[np.float64]:
    """Return a tensor of a plan as float64."""
    return _tensor(tensors, name).astype(np.float64, copy=False)


def integers_of(tensors: Mapping[str, PublicArray], name: str) -> NDArray[np.int64]:
    """Return a tensor of a plan as int64."""
    return _tensor(tensors, name).astype(np.int64, copy=False)
