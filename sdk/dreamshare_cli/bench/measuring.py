"""How well the devices of a cell do, and the student that learns from what is public.

Rules:
- measuring leaves learners bit-identical: who takes over a public model for it is put back;
- validation on the way, test once, by whoever calls `tested`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from dreamshare.algorithms.base import Algorithm, Concludes, Teaches, TeachesHolders
from dreamshare.learning.base import Batch, GivesPosteriors, Learner
from dreamshare.learning.measures import measure, overlap
from dreamshare.learning.objectives import FitObjective
from dreamshare.learning.public import PublicSet
from dreamshare_cli.bench.partitions import Dealt
from dreamshare_cli.bench.recipe import StudentPlan
from dreamshare_cli.bench.rows import DEVICES_IOU, STUDENT_IOU

DIGITS = 6
"""Decimals of an accuracy: more than the examples decide."""


@dataclass(frozen=True, slots=True)
class Tested:
    """Accuracies on the test examples: over all domains, in a device's own, in the others."""

    everywhere: tuple[float, ...]
    own: tuple[float, ...]
    others: tuple[float, ...]


def validated(learners: Sequence[Learner], dealt: Dealt) -> tuple[float, ...]:
    """Return each device's accuracy on the validation examples, 0 to 1."""
    return tuple(accuracy(learner, dealt.validation) for learner in learners)


def tested(learners: Sequence[Learner], dealt: Dealt) -> Tested:
    """Return each device's accuracies on the test examples."""
    by_domain = [
        {name: measure(learner, batch).accuracy for name, batch in dealt.test.items()}
        for learner in learners
    ]
    everywhere = tuple(_rounded(fmean(each.values())) for each in by_domain)
    if len(dealt.test) == 1:
        return Tested(everywhere, (), ())
    pairs = tuple(zip(by_domain, dealt.domains, strict=True))
    own = tuple(_rounded(each[domain]) for each, domain in pairs)
    others = tuple(
        _rounded(fmean(value for name, value in each.items() if name != domain))
        for each, domain in pairs
    )
    return Tested(everywhere, own, others)


def mean_ious(
    learners: Sequence[Learner], student: Learner | None, dealt: Dealt
) -> Mapping[str, float]:
    """Return mean intersections over unions on the test examples, 0 to 1, where labels are pixels'.

    The devices' mean by the name `DEVICES_IOU`, and the student's by `STUDENT_IOU`.
    """
    batches = tuple(dealt.test.values())
    if any(batch.y_N is None or batch.y_N.ndim < 2 for batch in batches):
        return {}
    found = [fmean(overlap(each, batch).mean_iou for batch in batches) for each in learners]
    named = {DEVICES_IOU: _rounded(fmean(found))}
    if student is not None:
        named[STUDENT_IOU] = _rounded(fmean(overlap(student, b).mean_iou for b in batches))
    return named


def accuracy(learner: GivesPosteriors, domains: Mapping[str, Batch]) -> float:
    """Return the mean accuracy over the domains, 0 to 1."""
    return _rounded(fmean(measure(learner, batch).accuracy for batch in domains.values()))


def validated_at(
    algorithm: Algorithm[object], state: object, learners: Sequence[Learner], dealt: Dealt
) -> tuple[float, ...]:
    """Return the accuracies, were the run to end at this state (`Concludes`)."""
    last = algorithm.conclusion(state) if isinstance(algorithm, Concludes) else None
    if last is None:
        return validated(learners, dealt)
    rng = np.random.default_rng(0)
    found = []
    for learner, data in zip(learners, dealt.data, strict=True):
        before = learner.snapshot()
        algorithm.local(last, learner, data, rng)
        found.append(accuracy(learner, dealt.validation))
        learner.restore(before)
    return tuple(found)


class Student:
    """A net that learns from an algorithm's public examples, a few steps at each evaluation.

    Args:
        plan: of the recipe.
        learner: its net, fresh.
        seed: of its batches.
        public: the public set of the cell, where there is one.
    """

    def __init__(
        self, plan: StudentPlan, learner: Learner, seed: int, public: PublicSet | None = None
    ) -> None:
        self.learner = learner
        self._public = public
        self._plan = plan
        self._rng = np.random.default_rng([seed, 7])
        self._taught = False

    @property
    def taught(self) -> bool:
        """Whether it has had a lesson."""
        return self._taught

    def snapshot(self) -> bytes:
        """Return its weights and the state of its draws; of no length before its first lesson."""
        if not self._taught:
            return b""
        draws = json.dumps(self._rng.bit_generator.state).encode()
        return len(draws).to_bytes(4, "little") + draws + self.learner.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Go on from what `snapshot` returned after a lesson."""
        end = 4 + int.from_bytes(snapshot[:4], "little")
        self._rng.bit_generator.state = json.loads(snapshot[4:end])
        self.learner.restore(snapshot[end:])
        self._taught = True

    def learn(self, algorithm: Algorithm[object], state: object) -> None:
        """Take the plan's steps on what is public now; nothing where the algorithm teaches nothing.

        The first batch moves BatchNorm's running statistics, which distillation does not.
        """
        lessons = self._lessons(algorithm, state)
        if lessons is None:
            return
        self._taught = True
        objective = FitObjective(learning_rate=self._plan.learning_rate)
        self.learner.fit(self._steps(lessons), objective)

    def _lessons(self, algorithm: Algorithm[object], state: object) -> Batch | None:
        if isinstance(algorithm, Teaches):
            return algorithm.lessons(state)
        if self._public is not None and isinstance(algorithm, TeachesHolders):
            return algorithm.lessons_on(state, self._public)
        return None

    def _steps(self, lessons: Batch) -> Iterator[tuple[Batch, ...]]:
        count = len(lessons.x_NCHW)
        for _ in range(self._plan.steps):
            chosen = self._rng.integers(0, count, self._plan.batch)
            x_NCHW = lessons.x_NCHW[chosen]
            if lessons.targets_NK is None:
                yield (Batch(x_NCHW, None if lessons.y_N is None else lessons.y_N[chosen]),)
            else:
                soft_NK = lessons.targets_NK[chosen]
                hard_N = soft_NK.argmax(axis=-1).astype(np.int64)
                yield Batch(x_NCHW, hard_N), Batch(x_NCHW, targets_NK=soft_NK)


def _rounded(value: float) -> float:
    return round(value, DIGITS)
