"""A learner's state as one safetensors file, in the layout of the torch learner's snapshots.

    model/NAME                    parameters and buffers by the net's own names
    optimizer                     number of the optimiser's kind
    optimizer/NAME/exp_avg        Adam's first moment; exp_avg_sq the second, step their number
    optimizer/NAME/momentum_buffer
    memory/NAME                   what the learner remembers

A device may thus go on with ONNX where it stopped with torch, and the other way round.

Rules:
- a file of another net is refused before anything is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.objectives import OPTIMIZERS
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.manifest import Manifest
from dreamshare.learning.onnx.tensors import Arrays, pack_arrays, unpack_arrays
from dreamshare.learning.onnx.training import TrainState
from dreamshare.updates import PublicArray

_MOMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"": {}, "adam": {"M": "exp_avg", "V": "exp_avg_sq"}, "sgd": {"M": "momentum_buffer"}}
)


def pack(state: TrainState, memory: Mapping[str, PublicArray]) -> bytes:
    """Return weights, optimiser and memory as bytes."""
    named: Arrays = {f"model/{name}": array for name, array in state.weights.items()}
    named["optimizer"] = np.asarray(OPTIMIZERS.index(state.kind), np.int64)
    keys = _MOMENTS[state.kind]
    for path, array in state.moments.items():
        group, _, name = path.partition("/")
        named[f"optimizer/{name}/{keys[group]}"] = array
        if state.kind == "adam":
            named[f"optimizer/{name}/step"] = np.asarray(state.steps, np.float32)
    named |= {f"memory/{name}": array for name, array in memory.items()}
    return pack_arrays(named)


def unpack(
    snapshot: bytes, manifest: Manifest, own: Arrays
) -> tuple[TrainState, dict[str, PublicArray]]:
    """Return what `pack` stored; `own` are the weights of the net as it is.

    Raises:
        ConfigError: not a snapshot, or of another net.
    """
    try:
        named = unpack_arrays(snapshot)
        kind = OPTIMIZERS[int(named.pop("optimizer"))]
    except (BundleError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(
            f"this is not a learner's snapshot ({error}); was the file cut?"
        ) from None
    groups: dict[str, Arrays] = {"model": {}, "optimizer": {}, "memory": {}}
    for path, array in named.items():
        group, _, name = path.partition("/")
        if group not in groups:
            raise ConfigError(f"a learner's snapshot holds no {path!r}; it has another format")
        groups[group][name] = array
    mine, theirs = (
        {(name, array.shape, array.dtype) for name, array in arrays.items()}
        for arrays in (own, groups["model"])
    )
    if mine != theirs:
        differing = sorted({name for name, *_ in mine ^ theirs})
        raise ConfigError(f"the snapshot is of another net: {differing[:4]} differ")
    moments, steps = _optimizer(kind, groups["optimizer"], manifest, own)
    state = TrainState({n: groups["model"][n] for n in manifest.state}, kind, steps, moments)
    return state, {name: _public(name, array) for name, array in groups["memory"].items()}


def _optimizer(kind: str, stored: Arrays, manifest: Manifest, own: Arrays) -> tuple[Arrays, int]:
    """Return the moments as the graphs name them, and how many steps were taken."""
    groups = {key: group for group, key in _MOMENTS[kind].items()}
    moments: Arrays = {}
    steps = 0
    for path, array in stored.items():
        name, _, key = path.rpartition("/")
        if name not in manifest.parameters:
            raise ConfigError(f"snapshot holds optimiser state of an unknown {name!r}")
        if key == "step" and kind == "adam" and array.size == 1:
            steps = max(steps, int(array.reshape(())))
        elif key in groups and (array.shape, array.dtype) == (own[name].shape, own[name].dtype):
            moments[f"{groups[key]}/{name}"] = array
        else:
            raise ConfigError(f"snapshot holds optimiser state {path!r}, which does not fit")
    if moments:  # torch keeps none for a parameter that never had a gradient
        for group in groups.values():
            for name in manifest.parameters:
                moments.setdefault(f"{group}/{name}", np.zeros_like(own[name]))
    return moments, steps


def _public(name: str, array: NDArray[np.generic]) -> PublicArray:
    match array.dtype.str:
        case "<f4":
            return array.astype(np.float32, copy=False)
        case "<f8":
            return array.astype(np.float64, copy=False)
        case "<i8":
            return array.astype(np.int64, copy=False)
        case "|u1":
            return array.astype(np.uint8, copy=False)
    raise ConfigError(f"the snapshot remembers {name!r} as {array.dtype}; nothing public has")
