"""What a CoDream run shows of itself: dreams that are learnt, and those that are forming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Crowd, Done, Draws
from dreamshare.algorithms.codream import Codream, CodreamConfig
from dreamshare.algorithms.evaluate import Evaluate, EvaluateConfig

CONFIG = CodreamConfig(shape=(1, 2, 2), classes=3, cycles=2, dreams=3, dream_steps=2, replay=5)
RNG = np.random.default_rng(0)


def test_a_run_shows_its_dreams_while_they_form_and_keeps_the_learnt_ones() -> None:
    algorithm = Codream(CONFIG)
    crowd = Crowd(4, 4)
    state = algorithm.init(RNG)
    assert algorithm.gallery(state) is None, "nothing is dreamt yet"
    state = algorithm.merge(state, {"counts": np.ones(3)}, crowd)
    assert algorithm.gallery(state) is None
    state = algorithm.merge(state, {}, crowd)
    forming = algorithm.gallery(state)
    assert forming is not None
    np.testing.assert_array_equal(forming.dreams_NCHW, state.x_BCHW)
    assert forming.labels_N.tolist() == [0, 1, 2]
    assert forming.cycles_N.tolist() == [1, 1, 1]

    zeros = {"gradient": np.zeros((3, 1, 2, 2)), "mass": np.ones(3), "clipped": np.zeros(())}
    # Learnt with other soft labels than they were made for: they are shown as what they were for.
    opinion = {"opinion": np.eye(3)[[2, 1, 0]], "mass": np.ones(3)}
    for mean in (zeros, zeros, opinion, {}):
        state = algorithm.merge(state, mean, crowd)
    both = algorithm.gallery(state)
    assert both is not None
    assert both.labels_N.tolist() == [0, 1, 2, 0, 1, 2]
    assert both.cycles_N.tolist() == [1, 1, 1, 2, 2, 2]

    for mean in (zeros, zeros, opinion, {}):
        state = algorithm.merge(state, mean, crowd)
    done = algorithm.plan(state)
    assert isinstance(done, Done)
    kept = algorithm.gallery_of(done.result)
    assert kept is not None
    # `replay` keeps five of six: the oldest dream of cycle 1 is forgotten.
    assert kept.cycles_N.tolist() == [1, 1, 2, 2, 2]
    assert kept.labels_N.tolist() == [1, 2, 0, 1, 2]
    last = algorithm.gallery(state)
    assert last is not None
    assert last.cycles_N.tolist() == kept.cycles_N.tolist()


def test_what_is_not_drawable_says_so() -> None:
    assert isinstance(Codream(CONFIG), Draws)
    assert not isinstance(Evaluate(EvaluateConfig()), Draws)
    assert Codream(CONFIG).gallery(object()) is None
    assert Codream(CONFIG).gallery_of({}) is None
    state = Codream(CONFIG).init(RNG)
    assert Codream(CONFIG).gallery(replace(state, cycle=1)) is None
