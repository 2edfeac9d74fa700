"""The history of a task's rounds in the database, kept when their records are long gone.

Rules:
- a round is written in the transaction of the step that it ended, so a restart repeats none;
- it says how many took part and how it ended, never who; reports have the details while they last.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dreamshare.ids import TaskId
from dreamshare.protocol.history import EndedRound, RoundEntry, RoundOutcome
from dreamshare.protocol.outcomes import SumAbandoned, SumDone, TaskOutcome, TellSpread
from dreamshare_aggregator.schema import HISTORY


def round_of(outcome: TaskOutcome, roster: int, sent: int) -> EndedRound | None:
    """Return the round that an outcome ended, or None where it ended none.

    Args:
        outcome: what the coordinator reported.
        roster: size of the epoch's roster as the task's status has it.
        sent: bytes since the round before.
    """
    match outcome:
        case SumDone(survivors=survivors, roster=size, step=step, cycle=cycle):
            return EndedRound(step, cycle, RoundOutcome.SUM, "", size, len(survivors), sent)
        case SumAbandoned(reason, again, step, cycle):
            words = reason.name.lower().replace("_", " ") + ("; asked again" if again else "")
            return EndedRound(step, cycle, RoundOutcome.ABANDONED, words, roster, 0, sent)
        case TellSpread(_, sent_to, learnt, step, cycle):
            return EndedRound(step, cycle, RoundOutcome.TOLD, "", sent_to, learnt, sent)
    return None


async def add_round(
    connection: AsyncConnection, task: TaskId, done: EndedRound, moment: float
) -> None:
    """Append a round to a task's history, in the caller's transaction."""
    last = await connection.scalar(select(func.max(HISTORY.c.number)).where(HISTORY.c.task == task))
    await connection.execute(
        insert(HISTORY).values(
            task=task,
            number=(last or 0) + 1,
            moment=moment,
            step=done.step,
            cycle=done.cycle,
            outcome=done.outcome.value,
            reason=done.reason,
            roster=done.roster,
            survivors=done.survivors,
            dropped=done.roster - done.survivors,
            bytes=done.sent,
        )
    )


async def read_history(
    connection: AsyncConnection, task: TaskId, after: int, most: int
) -> Sequence[RoundEntry]:
    """Return at most `most` rounds with a number above `after`, in order."""
    query = select(HISTORY).where(HISTORY.c.task == task, HISTORY.c.number > after)
    rows = await connection.execute(query.order_by(HISTORY.c.number).limit(most))
    return [
        RoundEntry(
            row.number,
            row.moment,
            EndedRound(
                row.step,
                row.cycle,
                RoundOutcome(row.outcome),
                row.reason,
                row.roster,
                row.survivors,
                row.bytes,
            ),
        )
        for row in rows
    ]
