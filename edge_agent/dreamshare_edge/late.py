"""Answers that came too late for their round, kept for the device's next one.

Rules:
- what is kept is the device's own plaintext: it lies in the device's own store, mode 0600, and
  leaves it only inside a masked answer;
- one answer a task, of at most `MOST_TASKS` tasks, for at most `LIFE_S`; the oldest goes first, and
  it goes with its task;
- an answer is added to the next one to the same step and marked with that one's cycle, durably,
  before that one can leave: it is in no two of them. A repeat for the same cycle (a crash, a round
  that is asked again) gets it again, a later cycle does not.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace

from dreamshare.algorithms.checkpoint import decode_arrays, encode_arrays
from dreamshare.errors import DreamshareError
from dreamshare.ids import TaskId
from dreamshare.protocol.plan import RoundPlan
from dreamshare.updates import PublicArray, Update
from dreamshare_edge.store import LATE, FileStore

LIFE_S = 86_400.0
"""Seconds that a late answer is kept."""

MOST_TASKS = 8
"""Tasks of which late answers are kept."""

_HEAD = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """A kept answer.

    Attributes:
        algorithm, step, cycle: of the plan that it answers.
        kept_at: Unix seconds.
        used: cycle of the answer that it was added to; None before.
        update: the answer.
    """

    algorithm: str
    step: str
    cycle: int
    kept_at: float
    used: int | None
    update: Update

    def serves(self, plan: RoundPlan, now: float) -> bool:
        """Say whether it belongs into the answer to this plan."""
        same = (plan.algorithm, plan.step) == (self.algorithm, self.step)
        fresh = plan.cycle > self.cycle and 0 <= now - self.kept_at <= LIFE_S
        return same and fresh and self.used in (None, plan.cycle)


class LateAnswers:
    """The late answers of one device.

    Args:
        store: the device's folder.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def keep(self, task: TaskId, plan: RoundPlan, update: Update, now: float) -> None:
        """Keep an answer that is in no sum, durably; raises OSError."""
        kept = LateAnswer(plan.algorithm, plan.step, plan.cycle, now, None, update)
        self._save(task, kept)
        ages = {each: self._load(each) for each in self._store.kept(LATE)}
        oldest = sorted(ages, key=lambda name: _age(ages[name], now))
        for name in [n for n in oldest if _age(ages[n], now) > LIFE_S] + oldest[MOST_TASKS:]:
            self._store.discard(name)

    def take(self, task: TaskId, plan: RoundPlan, now: float) -> Update | None:
        """Return what belongs into the answer to this plan, marked durably; None for nothing.

        What belongs into no later answer either is dropped. Raises OSError.
        """
        name = LATE + task.hex()
        found = self._load(name)
        if found is None or (plan.algorithm, plan.step) != (found.algorithm, found.step):
            return None
        if not found.serves(plan, now):
            if plan.cycle > found.cycle:
                self._store.discard(name)
            return None
        if found.used is None:
            self._save(task, replace(found, used=plan.cycle))
        return found.update

    def _save(self, task: TaskId, answer: LateAnswer) -> None:
        words = {
            "algorithm": answer.algorithm,
            "step": answer.step,
            "cycle": answer.cycle,
            "kept_at": answer.kept_at,
            "used": answer.used,
            "weight": answer.update.weight,
        }
        head = json.dumps(words).encode()
        arrays: dict[str, PublicArray] = dict(answer.update.arrays)
        content = _HEAD.pack(len(head)) + head + encode_arrays(arrays)
        self._store.save(LATE + task.hex(), content)

    def _load(self, name: str) -> LateAnswer | None:
        """Return a kept answer; one that cannot be read is none: a device can do without."""
        content = self._store.load(name)
        if content is None:
            return None
        try:
            (length,) = _HEAD.unpack_from(content)
            words = json.loads(content[_HEAD.size : _HEAD.size + length])
            arrays = decode_arrays(content[_HEAD.size + length :])
            update = Update(
                {key: array.astype("<f8") for key, array in arrays.items()},
                float(words["weight"]),
            )
            used = None if words["used"] is None else int(words["used"])
            return LateAnswer(
                str(words["algorithm"]),
                str(words["step"]),
                int(words["cycle"]),
                float(words["kept_at"]),
                used,
                update,
            )
        except (struct.error, KeyError, TypeError, ValueError, DreamshareError):
            self._store.discard(name)
            return None


def _age(answer: LateAnswer | None, now: float) -> float:
    return float("inf") if answer is None else now - answer.kept_at
