"""Inputs and effects of the two secure-aggregation machines.

Rules:
- an input is a fact (past participle), an effect is an order to the caller (verb); both are values;
- effects are carried out in the order given; a `Persist` or `Keep` with `sync=True` is durable
  (written and fsynced) before anything after it is carried out (docs/protocol.md, 9.1);
- the machines never see a socket, a clock, a file or an entropy source they were not handed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from dreamshare_crypto.encoding import Params
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.keys import Secret
from dreamshare_crypto.secagg.shard_messages import FromShard, ToShard


class Stage(IntEnum):
    """Which SA-2 message a byte string is; travels in the signed envelope header (14.1)."""

    OFFER = 1
    ADVERTISE = 2
    ROSTER = 3
    PEER_KEYS = 4
    SHARES = 5
    DELIVER = 6
    READY = 7
    ROUND_START = 8
    MASKED_INPUT = 9
    SURVIVORS = 10
    AGREE = 11
    AGREE_SET = 12
    UNMASK_RESPONSE = 13
    ROUND_RESULT = 14
    ROUND_ABORT = 15
    REVEAL = 16  # profile K only
    SEED = 17  # profile K only


class RecordKind(IntEnum):
    """Journal records of docs/protocol.md, 9.1."""

    EPOCH = 1
    ROSTER = 2
    SESSION_SID = 3
    SESSION = 4
    SEED_ERASED = 5
    COMMIT = 6
    VECTOR = 7
    AGREE = 8
    ANSWER = 9
    CLOSED = 10
    ENDED = 11
    CHARGE = 12  # of a session that is over (9.2)
    DRAWN = 13  # profile K: a roster that gives a random graph was accepted (6.3)
    SEEDED = 14  # profile K: the graph's seed
    SERVER_EPOCH = 32  # aggregator: session material (9.8)
    SERVER_ROUND = 33  # aggregator: RoundStart
    SERVER_FIXED = 34  # aggregator: U_r, durable before Survivors leaves
    SERVER_DONE = 35  # aggregator: result or abandonment, and what it leaves behind
    SERVER_FAULTY = 36  # aggregator: a device that stays out of the task (11.3)
    SERVER_ASKED = 37  # aggregator: who was offered the epoch
    SERVER_TOOK = 38  # aggregator: an Advertise, Reveal or Ready
    SERVER_BOXES = 39  # aggregator: a member's Shares
    SERVER_MOVED = 40  # aggregator: a stage of the set-up is over
    SERVER_READY = 41  # aggregator: the last stage of the set-up is over
    SERVER_HEARD = 42  # aggregator: a vector's signature, an Agree or an answer
    SERVER_SUM = 43  # aggregator: the running sum of a round's vectors
    SERVER_AGREED = 44  # aggregator: AgreeSet, durable before it leaves
    SERVER_ENDED = 45  # aggregator: the epoch is over
    OWNER = 64  # written by the owner of the machine, who takes it out before a restore


@dataclass(frozen=True, slots=True)
class Record:
    """One journal record: its kind and its canonical body (secrets inside are sealed)."""

    kind: RecordKind
    body: bytes


class AbortReason(IntEnum):
    """Why the aggregator gave a round up (RoundAbort.reason)."""

    TOO_FEW_INPUTS = 1
    NO_QUORUM = 2
    TOO_FEW_ANSWERS = 3
    BAD_SHARES = 4
    RANGE = 5
    CANCELLED = 6
    RESTARTED = 7


class FaultReason(IntEnum):
    """What gave a faulty device away (11.3, 11.4)."""

    NOT_DECODABLE = 1  # it dealt shares that lie on no polynomial
    CONTRADICTION = 2  # it dealt another secret than it committed to
    MARKED_EDGES = 3  # more wrong shares between it and others than liars can explain


class EndReason(StrEnum):
    """Why an epoch ended."""

    EXHAUSTED = "exhausted"  # its rounds are used up
    EXPIRED = "expired"  # its life is over
    TOO_FEW = "too-few"  # fewer than A_min members are left
    UNSEEDED = "unseeded"  # a seeder's nonce never came (6.3)
    REFUSED = "refused"  # a refusal with effect E
    EVIDENCE = "evidence"  # a contradiction signed by the aggregator
    REPLACED = "replaced"  # a newer epoch was accepted
    CLOSED = "closed"  # the owner closed it
    ROLLED_BACK = "rolled-back"  # the journal is older than its anchor (J1)


# ---- client inputs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Payload:
    """What the caller found out about the plan that came with a RoundStart.

    Attributes:
        hash: Hb of docs/protocol.md 7.1, computed from the plan that arrived.
        base_hash: the same without the draw counter (13.3).
        draw: the plan's draw counter.
        refusal: S5 or S6 where the caller's own policy forbids the plan, else None.
    """

    hash: bytes
    base_hash: bytes
    draw: int
    refusal: RefusalCode | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived from the aggregator. `payload` belongs to ROUND_START alone."""

    stage: Stage
    body: bytes
    payload: Payload | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """The device's own update for a committed round: one flat float64 array per declared field."""

    round: int
    fields: tuple[NDArray[np.float64], ...]
    weight: float


@dataclass(frozen=True, slots=True)
class ComputeFailed:
    """The device could not or would not compute the committed round; nothing will be sent in it."""

    round: int
    code: RefusalCode  # S6 or E1


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time passed; sent when `deadline` is reached."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The owner ends the session (shutdown for good, task forgotten)."""


ClientInput = Received | Computed | ComputeFailed | Ticked | Abandoned

# ---- server inputs -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message arrived from one device (its id already authenticated by the envelope)."""

    device: bytes
    stage: Stage
    body: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """The owner opens the next round: payload hash, encoding and the seconds to collect in."""

    payload_hash: bytes
    params: Params
    collect_s: float
    reveal_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """A device is gone: its link is down past the grace time. Not waited for until `Returned`."""

    device: bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """A device is here but refused this stage: not waited for in it. The next one asks again."""

    device: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """A device is back, perhaps restarted: it is sent again what it still owes an answer to."""

    device: bytes


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The owner gives the open round up."""


@dataclass(frozen=True, slots=True)
class Acknowledging:
    """The owner is about to acknowledge what arrived: it must not be lost from now on (9.8)."""


ServerInput = (
    Acknowledging | Arrived | Opened | Left | Passed | Returned | Cancelled | Ticked | Abandoned
    | FromShard
)  # fmt: skip

# ---- effects -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message. Client: to the aggregator (`to` empty). Server: to the devices in `to`."""

    stage: Stage
    body: bytes
    to: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Persist:
    """Append this record to the journal; durable before the next effect when `sync`."""

    record: Record
    sync: bool = True


@dataclass(frozen=True, slots=True)
class Keep:
    """Overwrite the key slot `slot` with `secret`, durable before the next effect (9.3)."""

    slot: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Forget:
    """Destroy the key slot `slot` (9.4, 9.5)."""

    slot: str


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute the update of this round and answer with `Computed` or `ComputeFailed`."""

    round: int
    params: Params
    payload_hash: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """Name this refusal to the aggregator (10.1). `round` is None outside a round."""

    code: RefusalCode
    round: int | None
    text: str


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Two messages signed by one party that contradict each other; keep them for people."""

    code: RefusalCode
    first: bytes
    second: bytes
    device: bytes = b""  # set by the server: who signed both


@dataclass(frozen=True, slots=True)
class SessionReady:
    """Client: shares are in place. Server: `members` (ids in roster order) can run rounds.

    Attributes:
        crowd: E, the least devices in any sum that can be opened (4.4, 4.5).
        colluders: a, how many of the roster may collude with the aggregator (4.3).
    """

    session: bytes
    members: tuple[bytes, ...]
    crowd: int
    colluders: int


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """Client: the round ended; `reason` is None when the aggregator published a result.

    Attributes:
        included: the result names this device among the survivors.
    """

    round: int
    reason: AbortReason | None
    included: bool = False


@dataclass(frozen=True, slots=True)
class Summed:
    """Server: the round's exact totals.

    Attributes:
        sums: per field, the decoded sum over survivors of clip(x*w/W): flat float64 arrays.
        weight_sum: sum of the survivors' w/W, as decoded from the 16-bit weight coordinate.
        survivors: ids of the devices in the sum, roster order.
    """

    round: int
    sums: tuple[NDArray[np.float64], ...]
    weight_sum: float
    survivors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RoundAbandoned:
    """Server: no result; `answered`: a device may have answered, so ask with draw + 1 (7.1)."""

    round: int
    reason: AbortReason
    answered: bool


@dataclass(frozen=True, slots=True)
class Faulty:
    """Server: this device is proven to have lied; keep it out of the task's later epochs (11.3)."""

    device: bytes
    reason: FaultReason
    round: int


@dataclass(frozen=True, slots=True)
class EpochOver:
    """This session is over; its secrets are erased. A new epoch may follow."""

    reason: EndReason


ClientEffect = (
    Send | Persist | Keep | Forget | Compute | Refuse | KeepEvidence | SessionReady | RoundClosed
    | EpochOver
)  # fmt: skip
ServerEffect = (
    Send | Persist | Refuse | KeepEvidence | SessionReady | Summed | RoundAbandoned | Faulty
    | EpochOver | ToShard
)  # fmt: skip
