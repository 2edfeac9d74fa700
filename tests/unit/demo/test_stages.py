"""Where a run stands, from counts: walked through with the algorithms' own order of steps."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Crowd, Done, Tell
from dreamshare.algorithms.catalog import algorithm_of
from dreamshare.algorithms.codream import CodreamConfig
from dreamshare.algorithms.moments import MomentsConfig
from dreamshare_cli.demo.methods import Method, codream, moments
from dreamshare_cli.demo.stages import Stage


def dreams(cycles: int = 2) -> Method:
    return codream(
        CodreamConfig(shape=(1, 2, 2), classes=2, cycles=cycles, dreams=4, dream_steps=3)
    )


def drawn() -> Method:
    return moments(MomentsConfig(shape=(1, 2, 2), classes=2, least_examples=1), cycles=2)


METHODS = (dreams(), drawn())


def walk(method: Method) -> list[tuple[str, Stage]]:
    """Return (next step, stage) for a whole run of the real algorithm on made-up sums."""
    algorithm, stage, walked = algorithm_of(method.config), Stage(method), []
    state = algorithm.init(np.random.default_rng(0))
    while True:
        wanted = algorithm.plan(state)
        assert isinstance(wanted, Ask | Tell | Done)
        if isinstance(wanted, Done):
            return [*walked, ("end", stage)]
        walked.append((wanted.step, stage))
        mean = {}
        if isinstance(wanted, Ask):
            mean = {f.name: np.full(f.shape, 0.5) for f in wanted.fields}
        state = algorithm.merge(state, mean, Crowd(4, 4))
        tells = stage.tells + isinstance(wanted, Tell)
        stage = Stage(method, stage.sums + isinstance(wanted, Ask), tells)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_words_follow_the_algorithm(method: Method) -> None:
    words = {
        "count": "agreeing on keys and counting labels under masks",
        "warm_up": "each training on its own digits",
        "describe": "summing means and covariances of each class",
        "learn": "learning from what was drawn",
        "dream": "dreaming together",
        "label": "labelling the dreams together",
        "acquire": "learning from the dreams",
        "end": "done",
    }
    for step, stage in walk(method):
        assert stage.words == words[step]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_rounds_and_progress_rise_to_the_end(method: Method) -> None:
    stages = [stage for _, stage in walk(method)]
    assert [s.round for s in stages] == sorted(s.round for s in stages)
    parts = [s.part for s in stages]
    assert parts == sorted(parts)
    assert parts[0] == 0.0
    assert parts[-1] == pytest.approx(1.0)
    assert stages[-1].round == method.rounds == len(method.lessons) - 1


def test_the_middle_lies_within_a_dream() -> None:
    middle = [(step, stage) for step, stage in walk(dreams()) if stage.middle]
    step, first = middle[0]
    # Two cycles: after the first, and after more than a third of three dream steps.
    assert (step, first.round, first.sums) == ("dream", 1, 1 + 4 + 2)


def test_a_run_of_one_cycle_has_a_middle_too() -> None:
    assert not Stage(dreams(1), sums=1, tells=0).middle
    assert Stage(dreams(1), sums=3, tells=1).middle


def test_the_middle_of_moments_lies_between_its_sums() -> None:
    step, _ = next((step, stage) for step, stage in walk(drawn()) if stage.middle)
    assert step == "describe"
