"""What an aggregator and its shards say to each other, as values (docs/adr/0033).

Rules:
- a trunk is one connection between two processes of one aggregator; it lives as long as the shard's
  part in anything, and what was said over it is worth nothing afterwards;
- what it carries is in order: a round's `Order` goes before the opening that devices answer;
- bodies are messages as devices send and get them, encoded; the shard signs and checks frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.envelope import Address
from dreamshare_crypto.secagg.shard_messages import Claim, Collect, GiveSum, Granted, PartialSum

# ---- root to shard -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The largest message that a device of the tasks at work may have to send, bytes."""

    largest: int


@dataclass(frozen=True, slots=True)
class Post:
    """Send a message to these devices, as far as they are here."""

    address: Address
    devices: tuple[PartyId, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """Vectors of this task's round come in now."""

    task: TaskId
    collect: Collect


@dataclass(frozen=True, slots=True)
class Answer:
    """What the root says about vectors of a task."""

    task: TaskId
    message: Granted | GiveSum


@dataclass(frozen=True, slots=True)
class Handled:
    """The root has made durable what it heard under this number."""

    number: int


@dataclass(frozen=True, slots=True)
class TaskOver:
    """What is left of a task here is needed no more."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Invite:
    """A party asked to come in at a broker, with this nonce: admit it there (17.38)."""

    broker: str
    party: PartyId
    opener: bytes


@dataclass(frozen=True, slots=True)
class Revoked:
    """The newest revocation list that the root has, encoded."""

    body: bytes


# ---- shard to root -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Came:
    """A device checked in. `fresh`: it missed messages, or its process is new."""

    device: PartyId
    fresh: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Went:
    """A device departed."""

    device: PartyId


@dataclass(frozen=True, slots=True)
class Heard:
    """A device said something to a task; the answer is `Handled` with this number."""

    number: int
    task: TaskId
    device: PartyId
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What the shard says about vectors of a task."""

    task: TaskId
    message: Claim | PartialSum


@dataclass(frozen=True, slots=True)
class Seated:
    """The shard has come to a broker, or (not `there`) is there no more."""

    broker: str
    there: bool


@dataclass(frozen=True, slots=True)
class NoDevice:
    """A party came in that is no device: it belongs to the root."""

    party: PartyId


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of devices' connections, since this was said last: device, from it, to it."""

    counts: tuple[tuple[PartyId, int, int], ...]


ToShardPart = Wanted | Post | Order | Answer | Handled | TaskOver | Revoked | Invite
FromShardPart = Came | Went | Heard | Said | Seated | NoDevice | Moved
TrunkMessage = ToShardPart | FromShardPart
