"""Outcomes in words for people, and as fields for programs.

Rules:
- words go into logs: what an error of the learner or the data says is left out of them, because it
  may name examples. The fields have it; they are for the device's own report and for programs.
"""

from __future__ import annotations

from dreamshare.ids import short
from dreamshare.protocol.crowds import Guarantee
from dreamshare.protocol.outcomes import (
    DeviceOutcome,
    EpochJoined,
    RoundAborted,
    RoundDeclined,
    RoundDone,
    TaskOver,
    TellLearnt,
)

Fields = dict[str, str | int | float | bool | None]
"""One JSON object of scalars."""


def fields_of(outcome: DeviceOutcome) -> Fields:
    """Return an outcome as the fields of a JSON object; "event" says which it is."""
    match outcome:
        case EpochJoined(task, members, crowd, colluders):
            return {
                "event": "epoch",
                "task": task.hex(),
                "members": members,
                "crowd": crowd,
                "colluders": colluders,
            }
        case RoundDone(task, number, algorithm, step, cycle):
            return {
                "event": "round",
                "task": task.hex(),
                "round": number,
                "algorithm": algorithm,
                "step": step,
                "cycle": cycle,
            }
        case RoundDeclined(task, round_, code, text, _):
            return {
                "event": "declined",
                "task": task.hex(),
                "round": round_,
                "code": code.value,
                "text": text,
            }
        case RoundAborted(task, number, reason):
            why = reason.name.lower()
            return {"event": "aborted", "task": task.hex(), "round": number, "reason": why}
        case TellLearnt(task, number, step):
            return {"event": "learnt", "task": task.hex(), "number": number, "step": step}
        case TaskOver(task, ended):
            return {"event": "task-over", "task": task.hex(), "outcome": ended}


def sentence_of(outcome: DeviceOutcome) -> str:
    """Return an outcome as one line."""
    start = f"task {short(outcome.task)}:"
    match outcome:
        case EpochJoined(_, members, crowd, colluders):
            guarantee = Guarantee(crowd, colluders, members)
            return f"{start} one of {members} in an epoch; {guarantee}"
        case RoundDone(_, number, _, step, cycle):
            return f"{start} round {number} ({step}, cycle {cycle}) is closed"
        case RoundDeclined(_, round_, code, text, private):
            what = "this task" if round_ is None else f"round {round_}"
            return f"{start} declined {what} ({code}): {_kind(text) if private else text}"
        case RoundAborted(_, number, reason):
            return f"{start} round {number} was given up ({reason.name.lower().replace('_', ' ')})"
        case TellLearnt(_, number, step):
            return f"{start} learnt from tell {number} ({step})"
        case TaskOver(_, ended):
            return f"{start} {ended}"


def _kind(text: str) -> str:
    """Return which error it was, without its own words."""
    name, colon, _ = text.partition(":")
    kind = name if colon and name.isidentifier() else "an error"
    return f"{kind} of the learner or the data; the device's report and the outcome say more"
