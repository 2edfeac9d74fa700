"""Baselines take a CoDream device's local steps, no more and no fewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.baselines import balanced, centralised, independent
from dreamshare.algorithms.codream import Codream
from dreamshare.learning.objectives import FitObjective
from tests.algorithms.oracle import Device, run
from tests.algorithms.test_codream import CONFIG
from tests.algorithms.toy import ToyLearner, toy_data


class Recording(ToyLearner):
    """Notes what each step was made of."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.seen: list[tuple[FitObjective, int, int]] = []

    def fit(self, steps, objective):
        taken = list(steps)
        self.seen += [(objective, len(step), len(step[0].y_N)) for step in taken]
        return super().fit(taken, objective)


@pytest.mark.parametrize("baseline", [independent, balanced, centralised])
def test_equally_many_steps_at_the_same_rates(baseline):
    alone = Recording()
    marks = list(baseline(CONFIG, alone, toy_data(0), np.random.default_rng(0)))
    assert marks == [0, 1, 2]
    together = [Recording(seed) for seed in range(3)]
    crew = [Device(r, toy_data(0), np.random.default_rng(0)) for r in together]
    run(Codream(CONFIG), crew)
    one = together[0]
    assert len(alone.seen) == len(one.seen) == alone.steps_taken
    for (mine, batches, size), (theirs, _, other) in zip(alone.seen, one.seen, strict=True):
        assert batches == 1 and size == other
        assert (mine.learning_rate, mine.weight_decay) == (
            theirs.learning_rate,
            theirs.weight_decay,
        )
    assert [s[1] for s in one.seen].count(2) == CONFIG.cycles * CONFIG.fit_steps


def test_only_the_balanced_one_uses_the_histogram():
    for config in (CONFIG, replace(CONFIG, balanced=False)):
        for baseline, expected in ((independent, False), (balanced, True), (centralised, False)):
            learner = Recording()
            for _ in baseline(config, learner, toy_data(0), np.random.default_rng(0)):
                pass
            assert {s[0].class_prior is not None for s in learner.seen} == {expected}
