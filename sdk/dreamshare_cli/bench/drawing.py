"""A public set that no device held: drawn from the moments of everybody's examples.

    [algorithm.config]
    public_set = "moments"     # seed_set, weights, start: the same; of `inputs` or `seeds` pictures

Rules:
- it is what `moments/1` draws, from exact sums: masked ones differ by what encoding rounds. What
  the sums cost is in a row of `moments/1`, and not in that of the algorithm that uses the set;
- a class of which a device has fewer than five is not summed there, as by its default policy.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from dreamshare.algorithms.base import Ask, Crowd
from dreamshare.algorithms.moments import MomentsConfig, MomentSharing, device
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.public import SIZES, PublicSet, SharingData
from dreamshare.updates import Update
from dreamshare_cli.bench.cells import Cell
from dreamshare_cli.bench.data.pool import Pool
from dreamshare_cli.bench.partitions import Dealt

MOMENTS = "moments"
FIELDS = (*SIZES, "weights", "start")
"""Fields of an algorithm's config that may name the drawn set."""

PICTURES = 1000
"""Of a set whose size the config does not say."""


def with_drawn(cell: Cell, pool: Pool, dealt: Dealt) -> Dealt:
    """Return a deal in which everybody holds the drawn set, where the cell's config names it.

    Raises:
        ConfigError: no class may be summed, or the examples have labels of pixels.
    """
    table = {} if cell.algorithm is None else json.loads(cell.algorithm.config)
    if not any(table.get(name) == MOMENTS for name in FIELDS):
        return dealt
    if pool.pixels:
        raise ConfigError("a set is drawn by class; these examples have one for each pixel")
    sizes = [table[size] for size in SIZES.values() if isinstance(table.get(size), int)]
    public = drawn_public(pool, dealt.data, sizes[0] if sizes else PICTURES, cell.seed)
    data = tuple(SharingData(own, (public,)) for own in dealt.data)
    return dataclasses.replace(dealt, public=public, data=data)


def drawn_public(pool: Pool, devices: Sequence[Data], pictures: int, seed: int) -> PublicSet:
    """Return so many pictures, classes in turn, drawn from what the devices hold together."""
    config = MomentsConfig(
        shape=pool.shape,
        classes=pool.labels,
        seed=seed,
        low=pool.low,
        high=pool.high,
        images=-(-pictures // pool.labels),
        warm_up_epochs=0,
    )
    algorithm = MomentSharing(config)
    state = algorithm.init(np.random.default_rng(seed))
    while isinstance(ask := algorithm.plan(state), Ask):
        answers = [_answer(config, ask, own) for own in devices]
        mean = {
            field.name: np.mean([answer.arrays[field.name] for answer in answers], axis=0)
            for field in ask.fields
        }
        state = algorithm.merge(state, mean, Crowd(len(devices), len(devices)))
    drawn = algorithm.lessons(state)
    if drawn is None or drawn.y_N is None:
        raise ConfigError("nothing could be drawn from the devices' moments")
    return PublicSet(drawn.x_NCHW[:pictures], drawn.y_N[:pictures])


def _answer(config: MomentsConfig, ask: Ask, own: Data) -> Update:
    match ask.step:
        case "count":
            return device.count(config, own)
        case "sketch":
            return device.sketch(config, ask, own)
        case _:
            return device.describe(config, ask, own)
