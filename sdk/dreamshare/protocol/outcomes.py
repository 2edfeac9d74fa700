"""What the machines tell their owners: outcomes, as values.

Rules:
- an outcome is a fact that has already happened, in the past tense, and final;
- a device's outcomes name the task, because one agent may serve several;
- an aborted round is an outcome and never an exception: stopping a round is always in the power of
  whoever carries the messages (docs/protocol.md, 1.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dreamshare.ids import PartyId, SessionId, TaskId
from dreamshare.updates import Array
from dreamshare_crypto.accounting import Charge
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import AbortReason, FaultReason

# ---- on a device ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EpochJoined:
    """This device's shares of an epoch are in place.

    Attributes:
        members: size of the roster.
        crowd: least devices in any sum of the epoch that can be opened (docs/protocol.md 4.4, 4.5).
        colluders: how many of the roster may collude with the aggregator.
    """

    task: TaskId
    members: int
    crowd: int
    colluders: int


@dataclass(frozen=True, slots=True)
class RoundDone:
    """The aggregator published the result of a round that this device took part in."""

    task: TaskId
    round: int
    algorithm: str
    step: str
    cycle: int


@dataclass(frozen=True, slots=True)
class RoundDeclined:
    """This device refused. `round` is None where the whole task or epoch was refused.

    Attributes:
        code: the row of docs/protocol.md section 10; it alone was told to the aggregator.
        text: the reason in words; it stays on the device.
        private: the words are those of the learner or the data and may name examples: not for logs.
    """

    task: TaskId
    round: int | None
    code: RefusalCode
    text: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class RoundAborted:
    """A round ended without a result; nothing of this device's update was learnt from it."""

    task: TaskId
    round: int
    reason: AbortReason


@dataclass(frozen=True, slots=True)
class TellLearnt:
    """The device learnt from the task's Tell of this number."""

    task: TaskId
    number: int
    step: str


@dataclass(frozen=True, slots=True)
class TaskOver:
    """The aggregator closed the task: "done", "failed", "cancelled" or "unknown"."""

    task: TaskId
    outcome: str


DeviceOutcome = EpochJoined | RoundDone | RoundDeclined | RoundAborted | TellLearnt | TaskOver

# ---- on the aggregator ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EpochStarted:
    """An epoch set-up ended well; `members` can run `rounds` rounds.

    Whatever the aggregator's machine or its operator does, no sum of fewer than `crowd` devices
    opens, of which `colluders` may work with the aggregator (docs/protocol.md 1.3, 1.4).
    """

    session: SessionId
    members: tuple[PartyId, ...]
    rounds: int
    crowd: int
    colluders: int


@dataclass(frozen=True, slots=True)
class EpochResumed:
    """The aggregator started again and goes on with the epoch that was running.

    As `EpochStarted`; `rounds` are those that are left.
    """

    session: SessionId
    members: tuple[PartyId, ...]
    rounds: int
    crowd: int
    colluders: int


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """The epoch is over and its secrets are erased; another may follow."""

    reason: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What a noisy round cost: every device that sent a vector charged this.

    Attributes:
        charge: of the least honest crowd (docs/protocol.md 12.7).
        honest: that crowd, E - a: the assumption that everything here rests on.
        multiplier: noise multiplier that the survivors really made, a of them colluding; 0 where
            nothing was opened.
    """

    charge: Charge
    honest: int
    multiplier: float


@dataclass(frozen=True, slots=True)
class SumDone:
    """A masked sum came out of a closed SA-2 round.

    Attributes:
        mean: per declared field sum(w x) / sum(w) over the survivors, in the declared shape,
            float64.
        weight_sum: sum of the survivors' weights, in units of the Ask's weight (not w/W).
        survivors: who is in the sum, in roster order.
        roster: size of the epoch's roster.
        step, cycle: of the plan that was asked.
        spent: what it cost; None without noise.
    """

    mean: Mapping[str, Array]
    weight_sum: float
    survivors: tuple[PartyId, ...]
    roster: int
    step: str
    cycle: int
    spent: Spent | None = None


@dataclass(frozen=True, slots=True)
class SumAbandoned:
    """A round gave no result. `again` says whether the same sum is asked once more."""

    reason: AbortReason
    again: bool
    step: str
    cycle: int
    spent: Spent | None = None


@dataclass(frozen=True, slots=True)
class TellSpread:
    """A Tell was sent to `sent_to` devices and `learnt` of them acknowledged it in time."""

    number: int
    sent_to: int
    learnt: int
    step: str
    cycle: int


@dataclass(frozen=True, slots=True)
class DeviceDropped:
    """A member of the epoch is gone; the run goes on while enough are left."""

    device: PartyId


@dataclass(frozen=True, slots=True)
class DeviceDeclined:
    """A device refused, with its code; `round` is None where it refuses the task's epochs."""

    device: PartyId
    code: RefusalCode
    round: int | None


@dataclass(frozen=True, slots=True)
class DeviceFaulty:
    """A device spoilt shares in this round; it is in no later epoch of the task (11.3, 11.4)."""

    device: PartyId
    reason: FaultReason
    round: int


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task cannot go on; the text says why and what to change."""

    reason: str


TaskOutcome = (
    EpochStarted
    | EpochResumed
    | EpochEnded
    | SumDone
    | SumAbandoned
    | TellSpread
    | DeviceDropped
    | DeviceDeclined
    | DeviceFaulty
    | TaskFailed
)
