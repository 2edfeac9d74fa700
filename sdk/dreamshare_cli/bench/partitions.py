"""How examples are dealt to devices, and what each device sees of them.

Rules:
- devices share nothing: an example belongs to one device;
- a deal is a function of its arguments;
- every device is measured on the same examples, whatever it holds; where there are domains, on
  those examples in every domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Floats, Ints
from dreamshare.learning.data import ArrayData
from dreamshare.learning.public import PublicSet, SharingData
from dreamshare_cli.bench.data.pool import Pool, taken
from dreamshare_cli.bench.recipe import DataPlan, Partition
from dreamshare_cli.demo.digits import dirichlet_split


@dataclass(frozen=True, slots=True)
class Dealt:
    """What the devices of one cell hold.

    Attributes:
        data: of each device; its held-out examples are the validation examples.
        pooled: everybody's examples in one place.
        public: examples that everybody holds, where the recipe wants some.
        domains: of each device.
        validation, test: by domain; x and y as in `Pool`.
    """

    data: tuple[Data, ...]
    pooled: Data
    public: PublicSet | None
    domains: tuple[str, ...]
    validation: Mapping[str, Batch]
    test: Mapping[str, Batch]


def deal(pool: Pool, plan: DataPlan, partition: Partition, devices: int, seed: int) -> Dealt:
    """Return what each device holds.

    Raises:
        ConfigError: there are too few examples, or no draw gives every device its least share.
    """
    rng = np.random.default_rng([seed, devices])
    wanted = devices * (partition.samples or plan.samples)
    y_N = _classes(pool.train)
    if wanted + plan.public > len(y_N):
        raise ConfigError(
            f"{wanted + plan.public} training examples are wanted; the data has {len(y_N)}"
        )
    order = rng.permutation(len(y_N))
    chosen = order[:wanted]
    public = _public(pool, plan, order[wanted : wanted + plan.public])
    if partition.kind == "dirichlet":
        split = dirichlet_split(y_N[chosen], devices, rng, partition.alpha, pool.classes)
        places = [chosen[part] for part in split]
    else:
        places = np.array_split(chosen, devices)
    domains = tuple(plan.domains[device % len(plan.domains)] for device in range(devices))
    validation: dict[str, Batch] = {name: _seen(pool.validation, name) for name in plan.domains}
    test: dict[str, Batch] = {name: _seen(pool.test, name) for name in plan.domains}
    held_out = _joined(tuple(validation.values()))
    parts = [
        _seen(taken(pool.train.x_NCHW, y_N, each), domain)
        for each, domain in zip(places, domains, strict=True)
    ]
    together = _joined(parts)
    return Dealt(
        data=tuple(
            _held(ArrayData(part.x_NCHW, _classes(part), held_out), public, plan, domain)
            for part, domain in zip(parts, domains, strict=True)
        ),
        pooled=ArrayData(together.x_NCHW, _classes(together), held_out),
        public=public,
        domains=domains,
        validation=validation,
        test=test,
    )


def _public(pool: Pool, plan: DataPlan, places: Ints) -> PublicSet | None:
    """Return the examples at these places as a public set, their domains in turn."""
    if len(places) == 0:
        return None
    drawn = taken(pool.train.x_NCHW, _classes(pool.train), places)
    domains_N = np.arange(len(places), dtype=np.int64) % len(plan.domains)
    x_NCHW = np.array(drawn.x_NCHW)
    for number, name in enumerate(plan.domains):
        x_NCHW[domains_N == number] = seen_as(name, x_NCHW[domains_N == number])
    return PublicSet(x_NCHW, _classes(drawn), domains_N)


def _held(own: ArrayData, public: PublicSet | None, plan: DataPlan, domain: str) -> Data:
    if public is None:
        return own
    place = [str(name) for name in plan.domains].index(domain)
    return SharingData(own, (public,), place)


def seen_as(domain: str, x_NCHW: Floats) -> Floats:
    """Return inputs as a domain shows them; ConfigError for an unknown one."""
    match domain:
        case "plain":
            return x_NCHW
        case "rotated":
            return np.ascontiguousarray(np.rot90(x_NCHW, axes=(2, 3)))
        case "inverted":
            return -x_NCHW
    raise ConfigError(f"domain {domain!r}: one of plain, rotated, inverted")


def _seen(batch: Batch, domain: str) -> Batch:
    return Batch(seen_as(domain, batch.x_NCHW), batch.y_N)


def _joined(batches: Sequence[Batch]) -> Batch:
    x_NCHW = np.concatenate([batch.x_NCHW for batch in batches])
    return Batch(x_NCHW, np.concatenate([_classes(batch) for batch in batches]))


def _classes(batch: Batch) -> Ints:
    if batch.y_N is None:
        raise ConfigError("examples without classes cannot be dealt")
    return batch.y_N
