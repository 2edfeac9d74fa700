"""A population: more devices than one cohort holds, and as values more than one process could hold.

Rules:
- devices have numbers; a group is a cohort's worth of them, fixed by the population and the size of
  a cohort, never by who computes it or how many do;
- between steps a device is its state, bytes of its learner; while its group's step runs it is a
  whole device, in whichever process that is;
- everything here is a value that can be sent to that process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.binding import Lookup
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Deadlines
from dreamshare.simulate.conditions import Conditions
from dreamshare.simulate.values import SimulatedDevice
from dreamshare.updates import Array
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.graph import LARGEST_COMPLETE

Bytes = NDArray[np.uint8]
"""Bytes as an array, which an engine shares instead of copying."""

LEAST_GROUP = 3
"""Devices without which no sum opens (docs/protocol.md, 4.1)."""


class Population(Protocol):
    """Where devices come from; a frozen dataclass of a module that workers can import."""

    @property
    def count(self) -> int:
        """How many devices there are."""
        ...

    def devices(self, places: Sequence[int]) -> tuple[SimulatedDevice, ...]:
        """Return devices as they are at first: a function of their numbers alone.

        Raises:
            ConfigError: they cannot be made here.
        """
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that form one cohort.

    Attributes:
        number: of the group, from 0.
        first, count: its devices' numbers are `first` to `first + count - 1`.
        states: of each device's learner, as bytes; of no length where it is as at first, and none
            at all where every one is.
    """

    number: int
    first: int
    count: int
    states: tuple[Bytes, ...] = ()


def groups_of(count: int, most: int) -> tuple[Group, ...]:
    """Divide devices into as few groups of nearly one size as there can be.

    Args:
        count: devices, >= 3.
        most: of a group, 3 to 128 (profile C), and such that no group is smaller than 3.

    Raises:
        ConfigError: out of range.
    """
    if not LEAST_GROUP <= most <= LARGEST_COMPLETE:
        raise ConfigError(f"cohorts of {most}; choose {LEAST_GROUP} to {LARGEST_COMPLETE} devices")
    number = max(1, -(-count // most))
    cuts = [count * place // number for place in range(number + 1)]
    if min(b - a for a, b in pairwise(cuts)) < LEAST_GROUP:
        raise ConfigError(
            f"{count} devices in cohorts of at most {most}: a cohort needs {LEAST_GROUP} or more"
        )
    return tuple(Group(i, cuts[i], cuts[i + 1] - cuts[i]) for i in range(number))


@dataclass(frozen=True, slots=True)
class Step:
    """What every group does next.

    Attributes:
        number: of the step, from 0.
        algorithm: its registered name.
        config: canonical JSON of its config.
        checkpoint: the algorithm's state, from which what is wanted follows.
        seed: of the run.
        population: of whom.
        conditions: how devices behave.
        deadlines: of a cohort's stages.
        floor: what every device insists on.
        lookup: where algorithms come from: a function at the top of a module.
    """

    number: int
    algorithm: str
    config: bytes
    checkpoint: bytes
    seed: int
    population: Population
    conditions: Conditions = Conditions()
    deadlines: Deadlines = Deadlines()
    floor: Floor = field(default_factory=Floor)
    lookup: Lookup = algorithm_from


@dataclass(frozen=True, slots=True)
class Cost:
    """What a group's step took, of the process that computed it.

    Attributes:
        setup_s, round_s: wall seconds, up to the end of the epoch's set-up and from there.
        setup_cpu_s, round_cpu_s: CPU seconds of the same.
        compute_s: CPU seconds in which its devices computed, cryptography apart.
        simulated_s: how far the clock went.
        worker: which process it was.
        peak_mb: the most memory that this process has ever held, 10^6 bytes.
    """

    setup_s: float = 0.0
    round_s: float = 0.0
    setup_cpu_s: float = 0.0
    round_cpu_s: float = 0.0
    compute_s: float = 0.0
    simulated_s: float = 0.0
    worker: str = ""
    peak_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class GroupDone:
    """What came of a group's step.

    Attributes:
        number: of the group.
        roster: devices that were there at the start of the round, or were told.
        survivors: devices in the sum, or that learnt; 0 where there was none.
        mean: of each field over the survivors; empty after a Tell.
        weight_sum: their weights.
        states: of all its devices, where they learnt; empty where they did not.
        bytes_up, bytes_down: of all its devices, set-up included.
        setup_up, setup_down: what of these had gone by at the end of the set-up.
        cost: what it took; not part of the result.
        trouble: why nothing came of it; empty where something did.
    """

    number: int
    roster: int
    survivors: int
    mean: Mapping[str, Array] = field(default_factory=dict)
    weight_sum: float = 0.0
    states: tuple[Bytes, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0
    setup_up: int = 0
    setup_down: int = 0
    cost: Cost = Cost()
    trouble: str = ""
