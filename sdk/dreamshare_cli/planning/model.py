"""What a fleet takes: cohorts, shards, cores, memory, bytes, seconds (docs/scaling.md).

Rules:
- counted is what the protocol asks for, times the unit costs; `HANDLING` alone was found by running
  whole rounds;
- seconds are of processor time on one core of the machine that was calibrated, and of networks at
  the rates that are given; what devices compute is not in them;
- processes share no core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dreamshare.errors import ConfigError
from dreamshare.protocol.crowds import claims_of
from dreamshare.protocol.messages import Cohort
from dreamshare_cli.planning.units import Units
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.graph import LARGEST_COMPLETE, derive_parameters
from dreamshare_crypto.lanes import FieldParams

MESSAGES_IN = 2
"""Of a device in a round beside its vector: agreement, answer."""

MESSAGES_OUT = 4
"""To a device in a round: opening, survivors, quorum, result."""

SMALL_BYTES = 700.0
"""Of such a message, header and acknowledgement included, about."""

HANDLING = 1.0
"""What a message's step in the machine and its records in the store take, of what it takes to come
in: 1.0 with 48 and with 128 devices (`benchmarks.shards`, root against plan)."""

ROOM_MB = 134.2
"""Memory for vectors on their way in (docs/protocol.md 17.8)."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is asked about.

    Attributes:
        devices: in a round, all cohorts together; 3 or more.
        dim: coordinates of a vector, 1 or more.
        bits: of a coordinate, 8 to 20.
        dropout: part of the devices that vanish before they send, 0 to below 1.
        cohort: largest cohort, 3 to 10,000; above 128 devices share secrets along a random graph.
        payload: bytes that every device is sent in a round's opening.
        shards: processes that take vectors beside the root; 0 finds out how many are needed.
        seconds: that a round may take the aggregator, > 0; for finding that out.
        uplink: bytes a second that a device sends, > 0.
        network: bytes a second that the aggregator's machines take together, > 0.
    """

    devices: int
    dim: int
    bits: int = 16
    dropout: float = 0.0
    cohort: int = LARGEST_COMPLETE
    payload: int = 0
    shards: int = 0
    seconds: float = 60.0
    uplink: float = 1e6
    network: float = 1.25e9

    def __post_init__(self) -> None:
        checks = (
            (self.devices >= 3, f"{self.devices} devices; a sum takes 3"),
            (self.dim >= 1, f"{self.dim} coordinates; 1 or more"),
            (0 <= self.dropout < 1, f"dropout {self.dropout}; 0 to below 1"),
            (3 <= self.cohort <= 10_000, f"a cohort of {self.cohort}; 3 to 10,000"),
            (self.payload >= 0 and self.shards >= 0, "payload and shards are 0 or more"),
            (min(self.seconds, self.uplink, self.network) > 0, "seconds and rates are above 0"),
        )
        for holds, text in checks:
            if not holds:
                raise ConfigError(f"plan: {text}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes, a round.

    Attributes:
        cohorts: sums, each over `cohort` devices or fewer.
        cohort: devices of the largest.
        neighbours: that each masks against.
        vector_bytes: of a masked vector.
        shards: processes that take vectors; 0: the roots do.
        roots: processes that run protocols, each for some of the cohorts.
        shard_s: processor seconds of the busiest shard.
        root_s: of the busiest root.
        device_upload_s: a device's vector at its uplink.
        network_s: all vectors at the aggregator's network.
        seconds: from the first vector to the last sum, the longest of them in turn.
        cores: one for each process.
        memory_mb: of the largest process.
        bytes_in, bytes_out: of the aggregator, all devices.
        bottleneck: which of the seconds is the longest.
    """

    cohorts: int
    cohort: int
    neighbours: int
    vector_bytes: int
    shards: int
    roots: int
    shard_s: float
    root_s: float
    device_upload_s: float
    network_s: float
    seconds: float
    cores: int
    memory_mb: float
    bytes_in: float
    bytes_out: float
    bottleneck: str


def plan_for(fleet: Fleet, units: Units) -> Plan:
    """Return what a fleet takes.

    Raises:
        ConfigError: cohorts of this size cannot be had; the text says why.
    """
    cohorts = math.ceil(fleet.devices / fleet.cohort)
    size = math.ceil(fleet.devices / cohorts)
    try:
        least = LARGEST_COMPLETE + 1 if size > LARGEST_COMPLETE else 3
        derived = derive_parameters(size, claims_of(Cohort(least, max(size, least))))
        words = FieldParams.create(fleet.dim, fleet.bits, 1.0, size).words + 1
    except CryptoError as error:
        raise ConfigError(f"plan: cohorts of {size} cannot be had: {error}") from None
    neighbours, vector = derived.k or size - 1, 8 * words
    alive = size * (1 - fleet.dropout)
    edge = _edge(fleet, units, vector) * fleet.devices * (1 - fleet.dropout)
    hearing = alive * (1 + MESSAGES_IN) * units.message_s
    protocol = _protocol(units, size, alive, derived.t, neighbours, words, sets=derived.k > 0)
    protocol += HANDLING * hearing
    if fleet.shards:
        shards = fleet.shards
    else:
        shards = 0 if edge + cohorts * protocol <= fleet.seconds else max(2, _needs(edge, fleet))
    rooted = cohorts * (protocol + (hearing if shards else 0.0))
    roots = 1 if fleet.shards else max(1, min(cohorts, _needs(rooted, fleet)))
    root_s = rooted / roots + (0.0 if shards else edge)
    shard_s = edge / shards if shards else 0.0
    upload, network = vector / fleet.uplink, fleet.devices * vector / fleet.network
    stages = {"devices' uplinks": upload, "network": network}
    stages |= {"shards' processors" if shards else "processor": max(shard_s, root_s)}
    if shards and root_s > shard_s:
        stages = {**stages, "roots' processors": root_s}
    per_process = fleet.devices / max(shards, 1)
    largest = units.base_mb + ROOM_MB + units.device_mb * per_process + 4 * vector / 1e6
    return Plan(
        cohorts=cohorts,
        cohort=size,
        neighbours=neighbours,
        vector_bytes=vector,
        shards=shards,
        roots=roots,
        shard_s=shard_s,
        root_s=root_s,
        device_upload_s=upload,
        network_s=network,
        seconds=max(upload, network, shard_s) + root_s,
        cores=shards + roots,
        memory_mb=largest,
        bytes_in=fleet.devices * (1 - fleet.dropout) * (vector + MESSAGES_IN * SMALL_BYTES),
        bytes_out=fleet.devices * (fleet.payload + MESSAGES_OUT * SMALL_BYTES),
        bottleneck=max(stages, key=lambda name: stages[name]),
    )


def _needs(seconds: float, fleet: Fleet) -> int:
    return math.ceil(seconds / fleet.seconds)


def _edge(fleet: Fleet, units: Units, vector: int) -> float:
    """Return what a device costs the process that it is connected to, a round."""
    return (
        units.vector_s
        + vector * units.vector_byte_s
        + MESSAGES_IN * units.message_s
        + MESSAGES_OUT * units.post_s
        + fleet.payload * units.post_byte_s
    )


def _protocol(
    units: Units, size: int, alive: float, t: int, neighbours: int, words: int, *, sets: bool
) -> float:
    """Return what a cohort's unmasking costs its root: masks, secrets, the sum."""
    gone = size - alive
    masks = alive + gone * neighbours
    answer_sets = size if sets else 1
    return (
        masks * 8 * words * units.mask_byte_s
        + gone * neighbours * units.agreement_s
        + answer_sets * t * t * units.pair_s
        + size * t * units.share_s
        + words * units.word_s
    )
