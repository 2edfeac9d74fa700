"""Inputs and effects of the two round machines.

Rules:
- an input is a fact (past participle), an effect is an order to the driver (verb); both are values;
- effects are carried out in the order given: a `Persist` with `sync`, a `Keep` or a `Forget` is
  durable before anything after it (docs/protocol.md, 9.1);
- `Persist`, `Keep`, `Forget` and `KeepEvidence` are those of the secure-aggregation machines,
  passed through untouched;
- at most one computation runs per participant: a new `Compute` or `Learn` replaces the last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from dreamshare.ids import PartyId
from dreamshare.protocol.messages import Declined, DownMessage, Sa2, TellDone, UpMessage
from dreamshare.protocol.outcomes import DeviceOutcome, TaskOutcome
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import Field, Update
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Abandoned as Abandoned
from dreamshare_crypto.secagg.events import Acknowledging as Acknowledging
from dreamshare_crypto.secagg.events import Forget as Forget
from dreamshare_crypto.secagg.events import Keep as Keep
from dreamshare_crypto.secagg.events import KeepEvidence as KeepEvidence
from dreamshare_crypto.secagg.events import Persist as Persist
from dreamshare_crypto.secagg.events import Ticked as Ticked
from dreamshare_crypto.secagg.shard_messages import FromShard, ToShard

# ---- participant: inputs -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the aggregator arrived; its envelope holds."""

    message: DownMessage


@dataclass(frozen=True, slots=True)
class Connected:
    """The way to the aggregator is open (again)."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The computation that `Compute(payload_hash=...)` ordered is done."""

    payload_hash: bytes
    update: Update


@dataclass(frozen=True, slots=True)
class ComputeFailed:
    """The computation could not be done (E1) or was not allowed (S6)."""

    payload_hash: bytes
    text: str
    code: RefusalCode = RefusalCode.E1


@dataclass(frozen=True, slots=True)
class Learnt:
    """The device learnt from the Tell of this number, and its new weights are durable."""

    number: int


@dataclass(frozen=True, slots=True)
class LearnFailed:
    """The device cannot learn from the Tell of this number."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The owner's conditions no longer allow computing (on battery, shutting down)."""

    text: str


ParticipantInput = (
    Heard | Connected | Computed | ComputeFailed | Learnt | LearnFailed | Interrupted | Ticked
    | Abandoned
)  # fmt: skip

# ---- participant: effects ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this to the aggregator."""

    message: UpMessage


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute the answer to `plan` and say `Computed` or `ComputeFailed` with the same hash.

    Attributes:
        payload_hash: Hb of the plan; the same plan has the same answer.
        fields: what is answered; bounds and bits are those of the signed parameters.
        weight_cap: W, the largest weight.
        noise: standard deviation of the noise under the sum over its least honest crowd, in bounds
            of the fields, as signed; 0 without noise.
    """

    payload_hash: bytes
    plan: RoundPlan
    fields: tuple[Field, ...]
    weight_cap: float
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class Learn:
    """Learn from the Tell of this number and say `Learnt` or `LearnFailed`.

    Learning is a pure function of (weights at its start, Tell, seed). Whoever carries it out
    stores the new weights together with `number`; when it is ordered again after a crash and that
    number is already stored, there is nothing left to do but to say `Learnt`.
    """

    number: int
    plan: RoundPlan


@dataclass(frozen=True, slots=True)
class SetAside:
    """This answer is in no sum, and its round is closed: it may be carried over to the next."""

    plan: RoundPlan
    update: Update


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the running computation; its result is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the owner."""

    outcome: DeviceOutcome


@dataclass(frozen=True, slots=True)
class Close:
    """The machine has nothing left to do; its owner may drop it and its journal's key slots."""


ParticipantEffect = (
    Send | Persist | Keep | Forget | KeepEvidence | Compute | Learn | SetAside | Stop | Emit | Close
)

# ---- coordinator: inputs -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Joined:
    """A device checked in.

    Attributes:
        algorithms: what it is willing to compute.
        fresh: its process started anew, so whatever was sent to the last one may be lost.
        attributes: what its owner made public for the choice of cohorts.
    """

    device: PartyId
    algorithms: tuple[str, ...]
    fresh: bool = True
    attributes: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Departed:
    """A device's link is down past the grace time."""

    device: PartyId


@dataclass(frozen=True, slots=True)
class HeardFrom:
    """A message of a device arrived; its envelope holds."""

    device: PartyId
    message: Sa2 | Declined | TellDone


@dataclass(frozen=True, slots=True)
class Asked:
    """The owner wants one masked sum. Legal when no other order is open.

    Attributes:
        plan: what the devices are asked; the machine itself sets `draw` and `last_tell`.
        fields: bounds and bits of the fields that the plan names.
        weight_cap: W.
        sums: masked sums that the whole run still needs, this one included (sizes an epoch).
    """

    plan: RoundPlan
    fields: tuple[Field, ...]
    weight_cap: float = 1.0
    sums: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """The owner wants every device to learn this. Legal when no other order is open."""

    plan: RoundPlan


@dataclass(frozen=True, slots=True)
class Finished:
    """The task is over: "done", "failed" or "cancelled". An open round is given up."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Held:
    """The owner wants nothing begun until `Released`: what is open is finished first.

    Attributes:
        give_up: an open round is given up instead; it is asked again when the task goes on.
    """

    give_up: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The owner wants the task to go on."""


CoordinatorInput = (
    Joined
    | Departed
    | HeardFrom
    | Asked
    | Told
    | Held
    | Released
    | Finished
    | Ticked
    | Acknowledging
    | FromShard
)

# ---- coordinator: effects ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send this to every one of these devices."""

    devices: tuple[PartyId, ...]
    message: DownMessage


@dataclass(frozen=True, slots=True)
class KeepTell:
    """Store the Tell of this number durably before it leaves; devices that were away fetch it."""

    number: int
    plan: RoundPlan


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the owner of the task."""

    outcome: TaskOutcome


CoordinatorEffect = SendTo | Persist | KeepTell | KeepEvidence | Report | Close | ToShard
