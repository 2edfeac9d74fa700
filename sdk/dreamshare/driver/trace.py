"""What a task's driver tells whoever watches it work: facts, never payloads.

Rules:
- a fact says who, which stage, when and how much; no bytes of a message are in it, so that nothing
  that watches can leak one. Outcomes are in it as the coordinator reported them: public already;
- `Heard` is told before a message is judged: who lies is named by an outcome, later;
- watchers are called on the event loop, in order, and must be quick; what they raise ends the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.messages import DownMessage, RoundOpening, Sa2
from dreamshare.protocol.outcomes import TaskOutcome
from dreamshare_crypto.secagg.events import Stage


@dataclass(frozen=True, slots=True)
class Heard:
    """A device's message of secure aggregation arrived.

    Attributes:
        round: the round that was open then, None between rounds and in a set-up.
        size: of its body, bytes.
        at: Unix seconds, here and below.
    """

    task: TaskId
    device: PartyId
    stage: Stage
    round: int | None
    size: int
    at: float


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of secure aggregation was queued for these devices."""

    task: TaskId
    devices: tuple[PartyId, ...]
    stage: Stage
    round: int | None
    at: float


@dataclass(frozen=True, slots=True)
class RoundBegan:
    """A round was opened to these devices; its `Sent` follows no more."""

    task: TaskId
    devices: tuple[PartyId, ...]
    round: int | None
    step: str
    cycle: int
    at: float


@dataclass(frozen=True, slots=True)
class Reported:
    """The coordinator reported an outcome."""

    task: TaskId
    outcome: TaskOutcome
    at: float


@dataclass(frozen=True, slots=True)
class Stored:
    """Records of a step are durable; `seconds` is what was waited for it."""

    task: TaskId
    records: int
    seconds: float
    at: float


Fact = Heard | Sent | RoundBegan | Reported | Stored
Trace = Callable[[Fact], None]


def untraced(fact: Fact) -> None:
    """Watch without looking."""


def sending(
    task: TaskId, devices: tuple[PartyId, ...], message: DownMessage, round_: int | None, at: float
) -> Sent | RoundBegan | None:
    """Return what is told of a message that leaves; None for what is no secure aggregation."""
    match message:
        case RoundOpening(plan=plan):
            return RoundBegan(task, devices, round_, plan.step, plan.cycle, at)
        case Sa2(stage):
            return Sent(task, devices, stage, round_, at)
    return None
