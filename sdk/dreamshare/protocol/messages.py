"""Messages between a device, the aggregator and an operator, as values (protobuf stays in `wire`).

Rules:
- SA-2 messages are canonical bytes inside `Sa2` and `RoundOpening`; nothing here re-encodes them;
- a message says what the sender did or wants in one sentence; no optional maybe-fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum

from dreamshare.ids import PartyId, TaskId
from dreamshare.privacy.wanted import Privacy
from dreamshare.protocol.history import FetchHistory, TaskHistory
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.questions import AskTask, TaskAnswer
from dreamshare.showing import Shown
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.suite import Suite

# ---- both directions -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sa2:
    """One SA-2 message other than RoundStart, canonical bytes."""

    stage: Stage
    body: bytes


# ---- aggregator to device ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoundOpening:
    """An SA-2 RoundStart and the plan that hashes to its Hb."""

    start: bytes
    plan: RoundPlan


@dataclass(frozen=True, slots=True)
class TellOrder:
    """Public knowledge to learn from. `number` counts the task's Tells from 1."""

    number: int
    plan: RoundPlan


@dataclass(frozen=True, slots=True)
class TaskClosed:
    """The task is over; the device may forget its session. `outcome` as in TaskStatus."""

    outcome: str


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """No task needs this device now; it may hang up and come back in `for_s` seconds, > 0."""

    for_s: float


# ---- device to aggregator ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A device is here and willing to compute these algorithms; none while it is not ready.

    Attributes:
        algorithms: registered names.
        label: what the operator sees beside the id, e.g. the architecture.
        attributes: what the owner makes public for the choice of cohorts, e.g. region = "eu".
    """

    algorithms: tuple[str, ...]
    label: str = ""
    attributes: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declined:
    """The device refuses; the code of docs/protocol.md section 10 and nothing else."""

    code: RefusalCode
    round: int | None


@dataclass(frozen=True, slots=True)
class TellDone:
    """The newest Tell that this device journalled and learnt from; 0 for none.

    Sent after each Tell, and whenever the device cannot know whether the aggregator knows: after
    each connection, and beside a refusal because it is behind.
    """

    number: int


DownMessage = Sa2 | RoundOpening | TellOrder | TaskClosed
UpMessage = CheckIn | Sa2 | Declined | TellDone

# ---- operator (control) --------------------------------------------------------------------------


class TaskPhase(StrEnum):
    """Where a task stands. `WAITING` until enough devices have checked in."""

    WAITING = "waiting"
    SETTING_UP = "setting-up"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Devices with a public attribute of this value, and how many of them a roster takes.

    Attributes:
        attribute, value: as a device's CheckIn names them.
        least: fewest of a roster; an epoch waits for them.
        most: most of a roster; 0 for no limit.
    """

    attribute: str
    value: str
    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who takes part.

    Attributes:
        least: smallest roster, >= 3.
        most: largest roster, <= 10,000; above 128 (profile K) `least` is above 128 too.
        survivors: least crowd of a sum; 0 takes the smallest that the protocol allows.
        suite: ciphers of its epochs; CHACHA for devices without AES instructions (2.6).
        dropouts: 0 for agreed mode. Above 0: bounded mode, in which a round survives the loss of
            this part of a roster and guarantees a smaller crowd; see `crowds` (4.5).
        target: devices that are wanted in a round, `least` to `most`; 0 for as many as there are.
        spare: over-selection: the part of `target` that is invited on top of it, 0 to 4.
        quorum: part of a round's devices whose answers close its collecting; 0 waits for all
            until the deadline.
        strata: how many devices of some kinds a roster has.
    """

    least: int
    most: int
    survivors: int = 0
    suite: Suite = Suite.AES
    dropouts: float = 0.0
    target: int = 0
    spare: float = 0.0
    quorum: float = 0.0
    strata: tuple[Stratum, ...] = ()


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a stage may take: set-up, collect (compute included), reveal.

    With `adapt_s` above 0, a round's deadlines follow how long devices take, between `adapt_s` and
    these; the offer signs these (docs/protocol.md, section 6).
    """

    setup_s: float = 60.0
    collect_s: float = 120.0
    reveal_s: float = 30.0
    adapt_s: float = 0.0


MOST_PRIORITY = 9
"""Tasks of priority 9 go first, those of 0 last."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Start a task.

    Attributes:
        algorithm: registered name.
        config: canonical JSON.
        cohort: who takes part.
        deadlines: of each stage.
        seed: public, >= 0.
        name: for people.
        privacy: noise of every sum; None for none.
        priority: 0 to 9; tasks of a higher one go first.
        key: 16 random bytes that name this submission: one that comes twice is taken once. Empty
            for none.
    """

    algorithm: str
    config: bytes
    cohort: Cohort
    deadlines: Deadlines = Deadlines()
    seed: int = 0
    name: str = ""
    privacy: Privacy | None = None
    priority: int = 0
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class ListTasks:
    """Ask for every task's status."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Ask for reports of a task from report number `after` on, until it ends."""

    task: TaskId
    after: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a task; an open round is given up."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class Pause:
    """Let a task rest until `Resume`: its open round is finished first, or given up."""

    task: TaskId
    give_up: bool = False


@dataclass(frozen=True, slots=True)
class Resume:
    """Let a paused task go on."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Ask for the public result of a finished task."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class ListDevices:
    """Ask who is connected."""


@dataclass(frozen=True, slots=True, repr=False)
class TaskStatus(Shown):
    """One task as the operator sees it. Byte counts are application bytes, frames included."""

    task: TaskId
    name: str
    algorithm: str
    phase: TaskPhase
    detail: str
    cycle: int
    aggregations: int  # closed masked sums
    abandoned: int  # rounds given up
    roster: int
    alive: int
    dropped: int
    submitted: float  # Unix seconds
    secure_aggregation: bool  # true only when every merged sum came out of a closed SA-2 round
    faulty: tuple[PartyId, ...] = ()  # devices that lied and stay out of the task (11.3)
    planned: int = 0  # masked sums of the whole run, as far as it is known; 0 before it began
    priority: int = 0


@dataclass(frozen=True, slots=True)
class TaskList:
    """Answer to ListTasks."""

    tasks: tuple[TaskStatus, ...]


@dataclass(frozen=True, slots=True, repr=False)
class DeviceStatus(Shown):
    """One device as the aggregator sees it."""

    device: PartyId
    label: str
    connected: bool
    algorithms: tuple[str, ...]
    bytes_up: int
    bytes_down: int
    attributes: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceList:
    """Answer to ListDevices."""

    devices: tuple[DeviceStatus, ...]


@dataclass(frozen=True, slots=True, repr=False)
class TaskReport(Shown):
    """One event of a task, numbered from 1; `metrics` are public scalars made from sums."""

    number: int
    status: TaskStatus
    event: str  # "joined", "epoch", "round", "abandoned", "tell", "dropped", "done", "failed", ...
    metrics: Mapping[str, float] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Answer to FetchResult: public arrays of `Done` and its metrics; never pickled."""

    status: TaskStatus
    archive: bytes  # an .npz without pickles, see dreamshare.algorithms.checkpoint
    metrics: Mapping[str, float] = dataclass_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlError:
    """The aggregator could not do what an operator asked; the text says why."""

    text: str


ControlRequest = (
    Submit
    | ListTasks
    | Watch
    | Cancel
    | Pause
    | Resume
    | FetchResult
    | FetchHistory
    | ListDevices
    | AskTask
)
ControlReply = (
    TaskStatus
    | TaskList
    | DeviceList
    | TaskReport
    | TaskResult
    | TaskHistory
    | TaskAnswer
    | ControlError
)


@dataclass(frozen=True, slots=True)
class Request:
    """An operator's request; replies repeat `number`."""

    number: int
    request: ControlRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to the request of the same number; `last` ends a stream."""

    number: int
    reply: ControlReply
    last: bool = True


Message = DownMessage | NotNeeded | UpMessage | Request | Reply
