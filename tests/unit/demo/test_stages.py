"""Where a run stands, from counts: walked through with the algorithm's own order of steps."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare_cli.demo.stages import Stage

CONFIG = CodreamConfig(shape=(1, 2, 2), classes=2, cycles=2, dreams=4, dream_steps=3)


def walk() -> list[tuple[str, Stage]]:
    """Return (next step, stage) for a whole run of the real algorithm on made-up sums."""
    algorithm, stage, walked = Codream(CONFIG), Stage(CONFIG), []
    state = algorithm.init(np.random.default_rng(0))
    while True:
        wanted = algorithm.plan(state)
        if isinstance(wanted, Done):
            return [*walked, ("end", stage)]
        walked.append((wanted.step, stage))
        mean = {}
        if isinstance(wanted, Ask):
            mean = {f.name: np.full(f.shape, 0.5) for f in wanted.fields}
        state = algorithm.merge(state, mean, Crowd(4, 4))
        tells = stage.tells + isinstance(wanted, Tell)
        stage = Stage(CONFIG, stage.sums + isinstance(wanted, Ask), tells)


def test_words_follow_the_algorithm() -> None:
    words = {
        "count": "agreeing on keys and counting labels under masks",
        "warm_up": "each training on its own digits",
        "dream": "dreaming together",
        "label": "labelling the dreams together",
        "acquire": "learning from the dreams",
        "end": "done",
    }
    for step, stage in walk():
        assert stage.words == words[step]


def test_cycles_and_progress_rise_to_the_end() -> None:
    stages = [stage for _, stage in walk()]
    assert [s.cycle for s in stages] == sorted(s.cycle for s in stages)
    parts = [s.part for s in stages]
    assert parts == sorted(parts)
    assert parts[0] == 0.0
    assert parts[-1] == pytest.approx(1.0)
    assert stages[-1].cycle == 2


def test_the_middle_lies_within_a_dream() -> None:
    middle = [(step, stage) for step, stage in walk() if stage.middle]
    step, first = middle[0]
    # Two cycles: after the first, and after more than a third of three dream steps.
    assert (step, first.cycle, first.sums_in_cycle) == ("dream", 1, 2)


def test_a_run_of_one_cycle_has_a_middle_too() -> None:
    config = CodreamConfig(shape=(1, 2, 2), classes=2, cycles=1, dreams=4, dream_steps=3)
    assert not Stage(config, sums=1, tells=0).middle
    assert Stage(config, sums=3, tells=1).middle
