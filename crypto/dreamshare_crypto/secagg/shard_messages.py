"""What an aggregator and its shards say to each other about a round's masked vectors.

A shard takes vectors of some devices and adds them; the root decides whose count, asks for what
they add up to, and does everything else (docs/adr/0033). Both are the aggregator: they trust each
other, share its identity and tell nobody else any of this.

Rules:
- `Collect` names all that a shard has to know of a round; a later one ends the earlier one;
- a vector is added when the root has granted it and not before: a device that sent it over two
  shards is in one sum;
- `PartialSum` names whose vectors are in it, and is all that is left of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Collect:
    """Take vectors of this round.

    Attributes:
        session: sid, 32 bytes.
        round: its number.
        context: rctx, 32 bytes.
        words: 64-bit words of a vector.
        keys: identity keys of the active devices, by device id.
    """

    session: bytes
    round: int
    context: bytes
    words: int
    keys: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """A device's vector is here and what it signed holds; `receipt` is that, without the vector."""

    device: bytes
    receipt: bytes


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to a claim: add the vector, or drop it."""

    session: bytes
    round: int
    device: bytes
    granted: bool


@dataclass(frozen=True, slots=True)
class GiveSum:
    """Say what the vectors that were granted add up to, and begin anew with none."""

    session: bytes
    round: int


@dataclass(frozen=True, slots=True)
class PartialSum:
    """What these devices' vectors add up to: little-endian 64-bit words."""

    session: bytes
    round: int
    members: frozenset[bytes]
    total: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """The shard is gone, with all vectors that it has not given the sum of."""


ToShardMessage = Granted | GiveSum
FromShardMessage = Claim | PartialSum | Lost


@dataclass(frozen=True, slots=True)
class ToShard:
    """Say this to the shard of this number."""

    shard: int
    message: ToShardMessage


@dataclass(frozen=True, slots=True)
class FromShard:
    """The shard of this number said this."""

    shard: int
    message: FromShardMessage
