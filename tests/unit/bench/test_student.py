"""A student's state: what a cell that goes on takes up."""

from __future__ import annotations

from typing import cast

import numpy as np

from dreamshare.algorithms.base import Algorithm
from dreamshare.learning.base import Batch
from dreamshare_cli.bench.learners import make_learner
from dreamshare_cli.bench.measuring import Student
from dreamshare_cli.bench.recipe import DevicePlan, StudentPlan


class Shows:
    """Stands for an algorithm that shows 32 examples of two classes."""

    def lessons(self, _state: object) -> Batch | None:
        rng = np.random.default_rng(5)
        y_N = np.arange(32, dtype=np.int64) % 2
        x_NCHW = rng.normal(y_N[:, None, None, None], 0.2, (32, 1, 8, 8)).astype(np.float32)
        return Batch(x_NCHW, y_N)


SHOWS = cast("Algorithm[object]", Shows())


def student() -> Student:
    plan = DevicePlan(count=3, architectures=("MobileNet-like",))
    learner = make_learner(plan, "MobileNet-like", (1, 8, 8), 2, 0, 0)
    return Student(StudentPlan("MobileNet-like", steps=2, batch=4), learner, 3)


def test_a_student_that_goes_on_takes_the_same_steps() -> None:
    one, two = student(), student()
    assert one.snapshot() == b""
    one.learn(SHOWS, None)
    two.restore(one.snapshot())
    assert two.taught
    for each in (one, two):
        each.learn(SHOWS, None)
    assert one.learner.snapshot() == two.learner.snapshot()
    assert one.snapshot() == two.snapshot()
