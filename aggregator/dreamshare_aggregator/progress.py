"""What an operator sees of a task, as a pure function of what its coordinator reported.

Rules:
- a status is a value; each outcome gives the next one and the name of a report;
- `secure_aggregation` is derived: it is true only while every sum that was merged came out of a
  round that closed under a session which this task saw start (docs/protocol.md 7.8); nothing else
  can set it;
- `faulty` names the devices that lied; they stay on it until the task ends (11.3);
- a task that is paused stays so through everything that its open round still brings;
- `dropped` counts the devices that were members and are gone; one that comes back is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dreamshare.ids import PartyId, SessionId, short
from dreamshare.protocol.crowds import Guarantee
from dreamshare.protocol.messages import TaskPhase, TaskStatus
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceDropped,
    DeviceFaulty,
    EpochEnded,
    EpochResumed,
    EpochStarted,
    SumAbandoned,
    SumDone,
    TaskFailed,
    TaskOutcome,
    TellSpread,
)

EVENTS: Mapping[type[TaskOutcome], str] = MappingProxyType(
    {
        EpochStarted: "epoch",
        EpochResumed: "resumed",
        EpochEnded: "epoch-ended",
        SumDone: "round",
        SumAbandoned: "abandoned",
        TellSpread: "tell",
        DeviceDropped: "dropped",
        DeviceDeclined: "declined",
        DeviceFaulty: "faulty",
        TaskFailed: "failed",
    }
)
"""The event of a report, by outcome."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a task stands.

    Attributes:
        status: what is shown and stored.
        session: of the epoch that runs now; None between epochs.
        gone: members that dropped and did not come back.
        paused: an operator wants it to rest.
    """

    status: TaskStatus
    session: SessionId | None = None
    gone: frozenset[PartyId] = frozenset()
    paused: bool = False

    @classmethod
    def stored(cls, status: TaskStatus) -> Progress:
        """Return the progress of a task whose status comes from the database."""
        return cls(status, paused=status.phase is TaskPhase.PAUSED)

    def after(self, outcome: TaskOutcome, sums_left: int = 0) -> tuple[Progress, str]:
        """Return the next progress and the event's name in the task's reports.

        Args:
            sums_left: masked sums that the run still needs then.
        """
        status, session, gone = self.status, self.session, self.gone
        match outcome:
            case EpochStarted(session, members, rounds, crowd, colluders):
                gone = gone - set(members)
                status = replace(
                    status,
                    phase=TaskPhase.RUNNING,
                    detail=f"{len(members)} devices can run {rounds} rounds; "
                    f"{Guarantee(crowd, colluders, len(members))}",
                    roster=len(members),
                    alive=len(members),
                )
            case EpochResumed(session, members, rounds):
                status = replace(
                    status,
                    phase=TaskPhase.RUNNING,
                    detail=f"goes on after a restart: {len(members)} devices, {rounds} rounds left",
                    roster=len(members),
                    alive=len(members),
                )
            case EpochEnded(reason):
                session = None
                detail = f"the epoch ended: {reason}"
                status = replace(status, phase=TaskPhase.SETTING_UP, detail=detail)
            case SumDone(survivors=survivors, roster=roster, step=step, cycle=cycle):
                gone = gone - set(survivors)
                before = status.secure_aggregation or status.aggregations == 0
                status = replace(
                    status,
                    phase=TaskPhase.RUNNING,
                    detail=f"{step}: sum over {len(survivors)} of {roster} devices",
                    cycle=cycle,
                    aggregations=status.aggregations + 1,
                    alive=len(survivors),
                    secure_aggregation=before and session is not None,
                )
            case SumAbandoned(reason, again, step):
                why = reason.name.lower().replace("_", " ")
                then = "; it is asked again" if again else ""
                status = replace(
                    status,
                    detail=f"{step}: the round was given up ({why}){then}",
                    abandoned=status.abandoned + 1,
                )
            case TellSpread(_, sent_to, learnt, step, cycle):
                detail = f"{step}: {learnt} of {sent_to} devices learnt"
                status = replace(status, detail=detail, cycle=cycle)
            case DeviceDropped(device):
                alive = max(0, status.alive - (device not in gone))
                gone = gone | {device}
                status = replace(status, detail=f"device {short(device)} is gone", alive=alive)
            case DeviceDeclined(device, code):
                status = replace(status, detail=f"device {short(device)} declined ({code})")
            case DeviceFaulty(device, reason):
                why = reason.name.lower().replace("_", " ")
                status = replace(
                    status,
                    detail=f"device {short(device)} spoilt shares ({why}) and stays out",
                    faulty=(*status.faulty, device),
                )
            case TaskFailed(reason):
                session = None
                status = replace(status, phase=TaskPhase.FAILED, detail=reason)
        if self.paused and status.phase is not TaskPhase.FAILED:
            status = replace(status, phase=TaskPhase.PAUSED)
        status = replace(status, dropped=len(gone), planned=status.aggregations + sums_left)
        return replace(self, status=status, session=session, gone=gone), EVENTS[type(outcome)]

    def waiting(self, wanted: str, sums_left: int = 0) -> Progress:
        """Return the progress of a task that waits for `wanted`, in words."""
        status = replace(self.status, planned=self.status.aggregations + sums_left)
        phase = TaskPhase.PAUSED if self.paused else TaskPhase.WAITING
        return replace(self, status=status).now(phase, f"waits for {wanted}")

    def pause(self) -> Progress:
        """Return the progress of a task that rests from now on."""
        return replace(self.in_phase(TaskPhase.PAUSED, "paused by an operator"), paused=True)

    def resume(self) -> Progress:
        """Return the progress of a task that goes on when its turn comes."""
        phase = TaskPhase.WAITING if self.session is None else TaskPhase.RUNNING
        return replace(self.in_phase(phase, "goes on when its turn comes"), paused=False)

    def joined(self, here: int, wanted: str) -> Progress | None:
        """Return the progress when `here` devices are here; None where it does not wait for any."""
        if self.status.phase not in (TaskPhase.WAITING, TaskPhase.SETTING_UP):
            return None
        return self.now(self.status.phase, f"{here} here; waits for {wanted}")

    def now(self, phase: TaskPhase, detail: str) -> Progress:
        """Return the progress of a task that waits, is set up again, or is over."""
        return replace(self.in_phase(phase, detail), session=None)

    def in_phase(self, phase: TaskPhase, detail: str) -> Progress:
        """Return the progress with another phase and nothing else changed."""
        return replace(self, status=replace(self.status, phase=phase, detail=detail))
