"""The history of a task's rounds: values to protobuf and back."""

from __future__ import annotations

from dreamshare.errors import AbortCode
from dreamshare.ids import TaskId
from dreamshare.protocol import history as h
from dreamshare.wire import limits
from dreamshare.wire.border import count, exactly, finite, name, refuse, text
from dreamshare_protos.v1 import control_pb2 as pb

_OUTCOMES = {
    pb.ROUND_OUTCOME_SUM: h.RoundOutcome.SUM,
    pb.ROUND_OUTCOME_ABANDONED: h.RoundOutcome.ABANDONED,
    pb.ROUND_OUTCOME_TOLD: h.RoundOutcome.TOLD,
}
_IN_WIRE = {outcome: wire for wire, outcome in _OUTCOMES.items()}


def fetch_to_wire(asked: h.FetchHistory) -> pb.FetchHistory:
    """Return the wire form of a request for a page."""
    return pb.FetchHistory(task=asked.task, after=asked.after, most=asked.most)


def fetch_from_wire(wire: pb.FetchHistory) -> h.FetchHistory:
    """Return a request for a page."""
    if wire.after > limits.REPORTS_LIMIT:
        raise refuse(f"rounds after number {wire.after}", AbortCode.TOO_LARGE)
    if not 1 <= wire.most <= limits.HISTORY_LIMIT:
        raise refuse(f"a page of {wire.most} rounds; 1 to {limits.HISTORY_LIMIT} can be asked for")
    task = TaskId(exactly(wire.task, limits.ID_BYTES, "task id"))
    return h.FetchHistory(task, wire.after, wire.most)


def page_to_wire(page: h.TaskHistory) -> pb.TaskHistory:
    """Return the wire form of a page."""
    return pb.TaskHistory(rounds=[_entry_to_wire(entry) for entry in page.rounds])


def page_from_wire(wire: pb.TaskHistory) -> h.TaskHistory:
    """Return a page."""
    count(wire.rounds, limits.HISTORY_LIMIT, "rounds")
    return h.TaskHistory(tuple(_entry_from_wire(entry) for entry in wire.rounds))


def _entry_to_wire(entry: h.RoundEntry) -> pb.RoundEntry:
    done = entry.done
    return pb.RoundEntry(
        number=entry.number,
        moment=entry.moment,
        step=done.step,
        cycle=done.cycle,
        outcome=_IN_WIRE[done.outcome],
        reason=done.reason,
        roster=done.roster,
        survivors=done.survivors,
        sent=done.sent,
    )


def _entry_from_wire(wire: pb.RoundEntry) -> h.RoundEntry:
    if wire.outcome not in _OUTCOMES:
        raise refuse(f"unknown outcome {wire.outcome} of a round")
    done = h.EndedRound(
        step=name(wire.step, "step"),
        cycle=wire.cycle,
        outcome=_OUTCOMES[wire.outcome],
        reason=text(wire.reason, "reason"),
        roster=wire.roster,
        survivors=wire.survivors,
        sent=wire.sent,
    )
    return h.RoundEntry(wire.number, finite(wire.moment, "moment of a round"), done)
