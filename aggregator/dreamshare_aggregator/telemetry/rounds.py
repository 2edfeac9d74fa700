"""Rounds as they happen, put together from the driver's facts.

Rules:
- one round of a task is open at a time; set-ups of epochs are followed the same way;
- a device has `sent` when its masked input came; only an outcome says who is in the sum, because
  a message is judged after it was heard (`dreamshare.driver.trace`);
- pure: facts in, rounds out; time comes with the facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from dreamshare.driver.trace import Fact, Heard, Reported, RoundBegan, Sent
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.outcomes import (
    EpochEnded,
    EpochStarted,
    SumAbandoned,
    SumDone,
    TaskFailed,
)
from dreamshare_crypto.secagg.events import Stage


class RoundStage(StrEnum):
    """Where a round, or the set-up before rounds, stands."""

    SETUP = "setup"
    COLLECT = "collect"
    AGREE = "agree"
    REVEAL = "reveal"
    DONE = "done"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class StageSpan:
    """A stage that is over; `began` and `ended` are Unix seconds."""

    stage: RoundStage
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.ended - self.began)


@dataclass(slots=True)
class LiveRound:
    """One round, from its opening to its end; read it, do not write it.

    Attributes:
        task: whose it is.
        key: counts the rounds that this process saw, from 1.
        number: in its epoch, from 0; None for a set-up.
        step, cycle: what is asked.
        members: devices that were asked.
        began: Unix seconds; so is `ended`, None while it is open.
        stage: where it stands.
        sent, agreed, opened: whose masked input, agreement, unmasking answer came.
        survivors: who is in the sum, once it is opened.
        reason: why it was given up.
        spans: stages that are over.
    """

    task: TaskId
    key: int
    number: int | None
    step: str
    cycle: int
    members: tuple[PartyId, ...]
    began: float
    stage: RoundStage
    ended: float | None = None
    sent: set[PartyId] = field(default_factory=set)
    agreed: set[PartyId] = field(default_factory=set)
    opened: set[PartyId] = field(default_factory=set)
    survivors: tuple[PartyId, ...] = ()
    reason: str = ""
    spans: list[StageSpan] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.ended is not None

    @property
    def since(self) -> float:
        """When the present stage began."""
        return self.spans[-1].ended if self.spans else self.began

    def enter(self, stage: RoundStage, at: float) -> None:
        """Go on to another stage."""
        self.spans.append(StageSpan(self.stage, self.since, at))
        self.stage = stage

    def end(self, stage: RoundStage, at: float, reason: str = "") -> None:
        """Close it."""
        self.enter(stage, at)
        self.ended, self.reason = at, reason


class RoundWatch:
    """Follows the rounds of every task."""

    def __init__(self) -> None:
        self._open: dict[TaskId, LiveRound] = {}
        self._seen = 0

    def take(self, fact: Fact) -> LiveRound | None:
        """Take a fact; return the round that it changed, if any."""
        match fact:
            case RoundBegan():
                return self._begin(fact)
            case Sent(stage=Stage.OFFER) if fact.task not in self._open:
                return self._start(
                    fact.task, None, "set-up", 0, fact.devices, fact.at, RoundStage.SETUP
                )
            case Sent():
                return self._sent(fact)
            case Heard():
                return self._heard(fact)
            case Reported():
                return self._reported(fact)
        return None

    def open_rounds(self) -> tuple[LiveRound, ...]:
        """Return the rounds and set-ups that are under way."""
        return tuple(self._open.values())

    def _begin(self, fact: RoundBegan) -> LiveRound:
        known = self._open.get(fact.task)
        if known is not None and known.number == fact.round and known.stage is RoundStage.COLLECT:
            return known  # sent again to a device that came back
        return self._start(
            fact.task,
            fact.round,
            fact.step,
            fact.cycle,
            fact.devices,
            fact.at,
            RoundStage.COLLECT,
        )

    def _start(
        self,
        task: TaskId,
        number: int | None,
        step: str,
        cycle: int,
        devices: tuple[PartyId, ...],
        at: float,
        stage: RoundStage,
    ) -> LiveRound:
        self._seen += 1
        found = LiveRound(task, self._seen, number, step, cycle, devices, at, stage)
        self._open[task] = found
        return found

    def _sent(self, fact: Sent) -> LiveRound | None:
        found = self._open.get(fact.task)
        if found is None:
            return None
        match fact.stage, found.stage:
            case Stage.SURVIVORS, RoundStage.COLLECT:
                found.enter(RoundStage.AGREE, fact.at)
            case Stage.AGREE_SET, RoundStage.AGREE:
                found.enter(RoundStage.REVEAL, fact.at)
            case Stage.OFFER, RoundStage.SETUP if not set(fact.devices) <= set(found.members):
                found.members = tuple(dict.fromkeys((*found.members, *fact.devices)))
            case _:
                return None
        return found

    def _heard(self, fact: Heard) -> LiveRound | None:
        found = self._open.get(fact.task)
        if found is None:
            return None
        match fact.stage, found.stage:
            case Stage.READY, RoundStage.SETUP:
                heard = found.sent
            case Stage.MASKED_INPUT, RoundStage.COLLECT:
                heard = found.sent
            case Stage.AGREE, RoundStage.AGREE | RoundStage.REVEAL:
                heard = found.agreed
            case Stage.UNMASK_RESPONSE, RoundStage.AGREE:  # bounded mode: nothing to agree on
                found.stage = RoundStage.REVEAL
                heard = found.opened
            case Stage.UNMASK_RESPONSE, RoundStage.REVEAL:
                heard = found.opened
            case _:
                return None
        heard.add(fact.device)
        return found

    def _reported(self, fact: Reported) -> LiveRound | None:
        found = self._open.get(fact.task)
        if found is None:
            return None
        match fact.outcome:
            case SumDone(survivors=survivors):
                found.survivors = survivors
                found.end(RoundStage.DONE, fact.at)
            case SumAbandoned(reason=reason):
                found.end(RoundStage.ABANDONED, fact.at, reason.name.lower().replace("_", " "))
            case EpochStarted(members=members) if found.stage is RoundStage.SETUP:
                found.survivors = members
                found.end(RoundStage.DONE, fact.at)
            case EpochEnded(reason=why) if found.stage is RoundStage.SETUP:
                found.end(RoundStage.ABANDONED, fact.at, str(why))
            case TaskFailed():
                found.end(RoundStage.ABANDONED, fact.at, "the task failed")
            case _:
                return None
        del self._open[fact.task]
        return found

    def drop(self, task: TaskId, at: float) -> LiveRound | None:
        """The task is over; return the round that was open, given up now."""
        found = self._open.pop(task, None)
        if found is not None:
            found.end(RoundStage.ABANDONED, at, "cancelled")
        return found
