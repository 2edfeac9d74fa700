"""The aggregator's student of a synthetic set: a small classifier in numpy that sees nothing else.

Shape legend: M examples of the set, C channels, H height, W width, K classes.

Rules:
- it starts from the config's public seed and learns from what is public, so whoever follows a run
  could compute it: it tells nobody anything new (docs/adr/0023).
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from dreamshare.learning.base import Floats, Ints
from dreamshare.learning.plain import Trained, classifier
from dreamshare.learning.plain.training import distilled
from dreamshare.updates import PublicArray

StudentKind = Literal["none", "small"]

STREAM = 2**32 + 3
"""Keeps the student's random numbers apart from those of pictures."""


class HasStudent(Protocol):
    """What configs with a student have in common; each describes its own fields."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def student(self) -> StudentKind: ...
    @property
    def student_width(self) -> int: ...
    @property
    def student_steps(self) -> int: ...
    @property
    def student_rate(self) -> float: ...
    @property
    def synthetic_batch(self) -> int: ...


def first_student(config: HasStudent) -> Trained:
    """Return the student before it has learnt; empty without one."""
    c = config
    if c.student == "none":
        return Trained.start({})
    net = classifier(c.shape, c.classes, c.student_width)
    return Trained.start(net.start(np.random.default_rng([c.seed, STREAM])))


def taught(config: HasStudent, student: Trained, x_MCHW: Floats, labels_M: Ints) -> Trained:
    """Return the student after its steps on the set."""
    c = config
    if c.student == "none" or not len(labels_M):
        return student
    rng = np.random.default_rng([c.seed, STREAM, 1])
    net = classifier(c.shape, c.classes, c.student_width)
    targets_MK = np.eye(c.classes, dtype=np.float32)[labels_M]
    size = min(c.synthetic_batch, len(labels_M))
    for _ in range(c.student_steps):
        drawn = rng.choice(len(labels_M), size, replace=False)
        student = distilled(net, student, x_MCHW[drawn], targets_MK[drawn], c.student_rate, 1.0)
    return student


def result_of(student: Trained) -> dict[str, PublicArray]:
    """Return the student's parameters as arrays of a result, "student.*"."""
    return {f"student.{name}": array for name, array in student.values.items()}
