"""Questions of an operator to a task that waits for them, and their answers, as values.

Rules:
- a question that is asked again, as after a broken connection, gets the same answer;
- an answer holds sums over a crowd, and who was in it, which is public (docs/protocol.md 1.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare.ids import PartyId, TaskId


@dataclass(frozen=True, slots=True)
class AskTask:
    """Ask a task for one sum.

    Attributes:
        task: that waits.
        step: what is wanted; "" ends the task.
        archive: public arrays, an .npz without pickles (`dreamshare.algorithms.checkpoint`).
    """

    task: TaskId
    step: str
    archive: bytes = b""


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """Answer to AskTask.

    Attributes:
        archive: means over the survivors, as above; empty when the task was ended.
        survivors: who is in them.
        roster: size of the epoch's roster.
    """

    archive: bytes = b""
    survivors: tuple[PartyId, ...] = ()
    roster: int = 0
