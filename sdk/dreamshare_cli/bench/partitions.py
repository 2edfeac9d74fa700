"""How examples are dealt to devices, and what each device sees of them.

Rules:
- devices share nothing: an example belongs to one device;
- a deal is a function of its arguments;
- scenes are composed after the deal, of a device's own examples: classes are dealt as without;
- every device is measured on the same examples, whatever it holds; where there are domains, on
  those examples in every domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, Ints
from dreamshare.learning.data import ArrayData
from dreamshare.learning.domains import Domain, public_of
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
    if pool.pixels and (plan.public or plan.domains != ("plain",)):
        raise ConfigError("data.public and data.domains are for labels of images, not of pixels")
    if y_N.ndim > 1 and partition.kind == "dirichlet":
        raise ConfigError("kind 'dirichlet' deals by class; these examples have one for each pixel")
    if wanted + plan.public > len(y_N):
        raise ConfigError(
            f"{wanted + plan.public} training examples are wanted; the data has {len(y_N)}"
        )
    order = rng.permutation(len(y_N))
    chosen = order[:wanted]
    looks: dict[str, Domain] = {name: look_of(name, pool) for name in plan.domains}
    public = _public(pool, looks, order[wanted : wanted + plan.public])
    if partition.kind == "dirichlet":
        split = dirichlet_split(y_N[chosen], devices, rng, partition.alpha, pool.classes)
        places = [chosen[part] for part in split]
    else:
        places = np.array_split(chosen, devices)
    domains = tuple(plan.domains[device % len(plan.domains)] for device in range(devices))
    validation: dict[str, Batch] = {
        name: _seen(pool, pool.validation, look, 1) for name, look in looks.items()
    }
    test: dict[str, Batch] = {name: _seen(pool, pool.test, look, 2) for name, look in looks.items()}
    held_out = _joined(tuple(validation.values()))
    parts = [
        _seen(pool, taken(pool.train.x_NCHW, y_N, each), looks[domain], seed, devices, place)
        for place, (each, domain) in enumerate(zip(places, domains, strict=True))
    ]
    together = _joined(parts)
    return Dealt(
        data=tuple(
            _held(
                ArrayData(part.x_NCHW, _classes(part), held_out), public, list(looks).index(domain)
            )
            for part, domain in zip(parts, domains, strict=True)
        ),
        pooled=ArrayData(together.x_NCHW, _classes(together), held_out),
        public=public,
        domains=domains,
        validation=validation,
        test=test,
    )


def _public(pool: Pool, looks: Mapping[str, Domain], places: Ints) -> PublicSet | None:
    """Return the examples at these places as a public set, their domains in turn."""
    if len(places) == 0:
        return None
    y_N = _classes(pool.train)
    return public_of(tuple(looks.values()), pool.train.x_NCHW[places], y_N[places])


def _held(own: ArrayData, public: PublicSet | None, domain: int) -> Data:
    return own if public is None else SharingData(own, (public,), domain)


def look_of(name: str, pool: Pool) -> Domain:
    """Return how a domain shows the pool's examples; ConfigError for an unknown one."""
    match name:
        case "plain":
            return Domain(low=pool.low, high=pool.high)
        case "rotated":
            return Domain(degrees=90, low=pool.low, high=pool.high)
        case "inverted":
            return Domain(inverted=True, low=pool.low, high=pool.high)
    raise ConfigError(f"domain {name!r}: one of plain, rotated, inverted")


def _seen(pool: Pool, batch: Batch, look: Domain, *seed: int) -> Batch:
    """Return examples as a device has them; the seed is that of scenes."""
    shown = Batch(look.shown(batch.x_NCHW), batch.y_N)
    return pool.shown(shown, np.random.default_rng(seed))


def _joined(batches: Sequence[Batch]) -> Batch:
    x_NCHW = np.concatenate([batch.x_NCHW for batch in batches])
    return Batch(x_NCHW, np.concatenate([_classes(batch) for batch in batches]))


def _classes(batch: Batch) -> Ints:
    if batch.y_N is None:
        raise ConfigError("examples without classes cannot be dealt")
    return batch.y_N
