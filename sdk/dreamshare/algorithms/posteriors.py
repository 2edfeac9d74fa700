"""Posteriors on a public set as a field, and what the algorithms that share them have in common.

Shape legend: M public inputs, K classes.

Rules:
- a probability travels as p - 1/2, clipped at 1/2: all levels of the encoding are used;
- the order of the inputs is the public set's; nothing else of it travels;
- what is drawn for training comes from the device's generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, GivesPosteriors
from dreamshare.learning.measures import softmax
from dreamshare.updates import Array, Field, PublicArray

POSTERIORS = "posteriors"

Told = Literal["float32", "uint8"]
"""How posteriors travel to the devices: exactly, or in a quarter of the bytes, to 1/510."""


def posterior_field(inputs: int, classes: int, bits: int) -> Field:
    """Return the field `posteriors`."""
    return Field(POSTERIORS, (inputs, classes), bound=0.5, bits=bits)


def posteriors(
    learner: GivesPosteriors, x_NCHW: Floats, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) of every input, rows in its order."""
    return softmax(learner.logits(x_NCHW) / temperature)


def sent(p_MK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return posteriors as they travel."""
    return p_MK - 0.5


def received(mean: Mapping[str, Array]) -> NDArray[np.float64]:
    """Return mean posteriors from the mean of the field, 0 to 1."""
    p_MK: NDArray[np.float64] = np.clip(mean[POSTERIORS].astype(np.float64) + 0.5, 0.0, 1.0)
    return p_MK


def normalised(p_MK: NDArray[np.float64]) -> Floats:
    """Return rows that sum to 1: what rounding left of their sum is divided out."""
    positive_MK = np.maximum(p_MK, 0.0)
    sum_M1 = positive_MK.sum(axis=1, keepdims=True)
    even = 1.0 / p_MK.shape[1]
    shares_MK: Floats = np.where(
        sum_M1 > 0, positive_MK / np.where(sum_M1 > 0, sum_M1, 1.0), even
    ).astype(np.float32)
    return shares_MK


def packed(p_MK: Floats | NDArray[np.float64], kind: Told) -> PublicArray:
    """Return posteriors as they are told."""
    if kind == "uint8":
        return np.rint(p_MK * 255.0).astype(np.uint8)
    return p_MK.astype(np.float32)


def unpacked(
    tensors: Mapping[str, PublicArray], name: str, shape: tuple[int, ...], kind: Told
) -> NDArray[np.float64]:
    """Inverse of `packed`; raises ConfigError where the tensor is missing or another."""
    p_MK = told(tensors, name, shape)
    return p_MK / 255.0 if kind == "uint8" else p_MK


def told(
    tensors: Mapping[str, PublicArray], name: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return a public tensor of a Tell; raises ConfigError where it is missing or another."""
    if name not in tensors or tensors[name].shape != shape:
        raise ConfigError(f"the public tensor {name!r} of shape {shape} did not come")
    return tensors[name].astype(np.float64)


def local_steps(
    data: Data, rng: np.random.Generator, batch: int, steps: int
) -> Iterator[tuple[Batch]]:
    """Yield `steps` steps of one local batch each."""
    batches = data.batches(rng, batch)
    for _ in range(steps):
        yield (next(batches),)


def steps_beside(
    data: Data,
    rng: np.random.Generator,
    batch: int,
    steps: int,
    x_NCHW: Floats,
    targets_MK: Floats,
    public_batch: int,
) -> Iterator[tuple[Batch, Batch]]:
    """Yield `steps` steps of a local batch and one drawn from public inputs, without repetition."""
    for (local,) in local_steps(data, rng, batch, steps):
        size = min(public_batch, len(x_NCHW))
        drawn = rng.choice(len(x_NCHW), size=size, replace=False)
        yield local, Batch(x_NCHW[drawn], targets_NK=targets_MK[drawn])
