"""Runs an algorithm on learners in this process with exact sums: no masks, no messages.

What the protocol computes is defined here in ten lines, so that tests of learning need no protocol:
mean = sum(w x) / sum(w) per field. `quantise` adds what the encoding adds (docs/protocol.md 12.2):
clip, stochastic rounding to q bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeVar

import numpy as np

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
from dreamshare.learning.base import Data, Learner
from dreamshare.updates import Array, Field, Update, unflatten

S = TypeVar("S")


@dataclass(slots=True)
class Device:
    learner: Learner
    data: Data
    rng: np.random.Generator


@dataclass(slots=True)
class Run:
    """What happened: the result, and how often each step was asked for."""

    done: Done = dataclass_field(default_factory=Done)
    steps: list[str] = dataclass_field(default_factory=list)
    clipped: list[float] = dataclass_field(default_factory=list)
    bounds: list[float] = dataclass_field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0


def run(
    algorithm: Algorithm[S],
    devices: Sequence[Device],
    *,
    quantise: np.random.Generator | None = None,
    absent: Callable[[int], Iterable[int]] = lambda round_number: (),
    after: Callable[[Ask | Tell], None] = lambda plan: None,
    seed: int = 0,
) -> Run:
    """Run to the end. `absent(r)` are the devices that drop out of the r-th sum."""
    seen = Run()
    state = algorithm.init(np.random.default_rng(seed))
    sums = 0
    while not isinstance(plan := algorithm.plan(state), Done):
        seen.steps.append(plan.step)
        seen.bytes_down += sum(t.nbytes for t in plan.tensors.values())
        updates = [algorithm.local(plan, d.learner, d.data, d.rng) for d in devices]
        mean: dict[str, Array] = {}
        survivors = len(devices)
        if isinstance(plan, Ask):
            gone = set(absent(sums))
            sums += 1
            updates = [u for i, u in enumerate(updates) if i not in gone]
            survivors = len(updates)
            mean = mean_of(plan, updates, quantise)
            seen.bytes_up += sum(f.size * f.bits // 8 for f in plan.fields)
            if "clipped" in mean:
                seen.clipped.append(float(mean["clipped"]))
                seen.bounds.append(plan.fields[0].bound)
        state = algorithm.merge(state, mean, Crowd(len(devices), survivors))
        after(plan)
    seen.done = plan
    return seen


def mean_of(
    ask: Ask, updates: Sequence[Update], quantise: np.random.Generator | None = None
) -> dict[str, Array]:
    """Return sum(w x) / sum(w) per declared field."""
    weights = [u.weight / ask.weight_cap for u in updates]
    flats = [u.flatten(ask.fields) for u in updates]
    means = []
    for number, field in enumerate(ask.fields):
        shares = [flat[number] * w for flat, w in zip(flats, weights, strict=True)]
        if quantise is not None:
            shares = [_encoded(share, field, quantise) for share in shares]
        means.append(np.sum(shares, axis=0) / sum(weights))
    return unflatten(means, ask.fields)


def _encoded(share: np.ndarray, field: Field, rng: np.random.Generator) -> np.ndarray:
    levels = 2**field.bits - 1
    clipped = np.clip(share, -field.bound, field.bound)
    number = np.floor(
        (clipped + field.bound) * levels / (2 * field.bound) + rng.random(share.shape)
    )
    return np.clip(number, 0, levels) * 2 * field.bound / levels - field.bound
