"""Which engine, as config: a name, how many places, and for a cluster its address."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, get_args

from dreamshare.engine.batches import BatchEngine
from dreamshare.errors import ConfigError

Kind = Literal["local", "processes", "ray"]

MOST_PLACES = 4096


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """An engine by its name.

    Attributes:
        kind: "local" (threads of this process), "processes" (of this machine) or "ray" (a cluster).
        at_once: pieces of work at a time, 1 to 4,096; 0 for one a core, of the cluster with "ray".
        address: of a Ray cluster: "host:port", "ray://host:port", or "auto" for the one that this
            machine belongs to; empty starts one here, which ends with the engine.
    """

    kind: Kind = "processes"
    at_once: int = 0
    address: str = ""

    def __post_init__(self) -> None:
        kind_of(self.kind)
        if not 0 <= self.at_once <= MOST_PLACES:
            raise ConfigError(f"{self.at_once} pieces at a time; use 0 to {MOST_PLACES}")
        if self.address and self.kind != "ray":
            raise ConfigError(f"an address belongs to engine 'ray', not to {self.kind!r}")


def kind_of(name: str) -> Kind:
    """Return the engine of this name.

    Raises:
        ConfigError: there is none.
    """
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        if kind == name:
            return kind
    raise ConfigError(f"there is no engine {name!r}; choose one of {', '.join(kinds)}")


def open_engine(config: EngineConfig) -> BatchEngine:
    """Return the engine; use it in an `async with` block, or close it.

    It may block for as long as a cluster takes to be reached or started.

    Raises:
        ConfigError: this system lacks what it needs: the package ray, for example.
        Unreachable: no cluster answers at the address.
    """
    from dreamshare.engine.running import PlacedEngine

    at_once = config.at_once or cores()
    match config.kind:
        case "local":
            from dreamshare.engine.local import LocalBackend

            return PlacedEngine(LocalBackend(), at_once)
        case "processes":
            from dreamshare.engine.processes import ProcessBackend

            return PlacedEngine(ProcessBackend(at_once), at_once)
        case "ray":
            from dreamshare.engine.cluster import RayBackend

            cluster = RayBackend(config.address, config.at_once)
            return PlacedEngine(cluster, cluster.at_once)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
