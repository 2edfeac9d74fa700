"""Small classes stay out of `moments/1`'s sums: by the announced minimum, and by a device's own."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask
from dreamshare.algorithms.moments import MomentSharing
from dreamshare.algorithms.moments.device import count
from dreamshare.errors import ConfigError
from dreamshare.learning.data import ArrayData
from dreamshare.updates import Update
from dreamshare_edge.halting import Halt, HaltingData
from dreamshare_edge.policy import Policy
from tests.algorithms.moments import FORMS, Guarded, moments, owned, owners
from tests.algorithms.oracle import run
from tests.algorithms.toy import ToyLearner, toy_data

LIES = np.full(3, 1000.0)


def answered(data, totals=LIES, holders=None, form: str = "pixels", **changes) -> Update:
    """A device's answer to sums of moments about which these totals are announced."""
    config = moments(**FORMS[form], **changes)
    algorithm = MomentSharing(config)
    step = "sketch" if form == "basis" else "describe"
    tensors = {"totals": totals, "holders": np.full(3, 9.0) if holders is None else holders}
    ask = Ask(step, algorithm.steps()[step], tensors)
    return algorithm.local(ask, ToyLearner(), data, np.random.default_rng(0))


def guarded(counts: tuple[int, ...], least: int) -> HaltingData:
    return HaltingData(
        toy_data(0, counts), Halt(), Policy(least_class_count=least).least_class_count
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_class_with_fewer_than_the_owners_least_is_zeros_whatever_is_announced(form: str) -> None:
    arrays = answered(toy_data(0, (4, 5, 30)), form=form).arrays
    assert arrays["share"].tolist() == [0.0, 0.005, 0.03]
    assert not arrays["first"][0].any() and arrays["first"][1:].any(axis=1).all()
    alone = answered(toy_data(0, (4, 0, 0)), form=form).arrays
    assert all(not array.any() for array in alone.values()), "not in what is not by class, either"


def test_the_owners_least_is_the_policys() -> None:
    for least, held in ((1, [4, 5, 30]), (5, [0, 5, 30]), (6, [0, 0, 30]), (31, [0, 0, 0])):
        data = guarded((4, 5, 30), least)
        assert answered(data).arrays["share"].tolist() == [n / 1000 for n in held]
        assert count(moments(), data).arrays["counts"].tolist() == held
        assert count(moments(), data).arrays["holders"].tolist() == [float(n > 0) for n in held]
    assert Policy().least_class_count == 5


def test_a_class_below_the_announced_minimum_is_zeros() -> None:
    data = toy_data(0, (20, 20, 20))
    arrays = answered(data, totals=np.array([29.0, 30.0, 60.0]), least_examples=30).arrays
    assert (arrays["share"] > 0).tolist() == [False, True, True]
    few = np.array([3.0, 1.0, 2.0])
    arrays = answered(data, holders=few, least_holders=2).arrays
    assert (arrays["share"] > 0).tolist() == [True, False, True]


def test_a_total_below_what_the_device_holds_is_no_total() -> None:
    arrays = answered(toy_data(0, (40, 20, 20)), totals=np.array([20.0, 20.0, 60.0])).arrays
    assert (arrays["share"] > 0).tolist() == [False, True, True]


def test_a_class_that_is_left_out_is_in_no_set_and_is_still_learnt_at_home() -> None:
    devices = owners(counts=((40, 4, 20), (20, 4, 20), (30, 4, 0)))
    seen = run(MomentSharing(moments(fit_steps=40)), devices)
    assert np.unique(seen.done.result["labels"]).tolist() == [0, 2]
    assert seen.done.result["totals"].tolist() == [90, 0, 40]
    assert seen.done.result["holders"].tolist() == [3, 0, 2]
    assert not seen.done.result["mean"][1].any() and not seen.done.result["covariance"][1].any()
    x = devices[0].data.held_out()
    found = devices[0].learner.logits(x.x_NCHW).argmax(axis=1)
    assert (found[x.y_N == 1] == 1).mean() > 0.5


def test_where_nothing_may_be_summed_the_run_says_so() -> None:
    with pytest.raises(ConfigError, match="no class has 10 examples on 1 devices"):
        run(MomentSharing(moments()), owners(counts=((4, 4, 4),) * 3))


def test_an_owner_may_let_single_examples_in() -> None:
    x_NCHW, y_N = np.zeros((6, 1, 2, 2), np.float32), np.array([0, 0, 1, 1, 2, 2])
    devices = owned([Guarded(x_NCHW, y_N) for _ in range(6)])
    result = run(MomentSharing(moments(images=1)), devices).done.result
    assert result["totals"].tolist() == [12, 12, 12]
    closed = owned([ArrayData(x_NCHW, y_N) for _ in range(6)])
    with pytest.raises(ConfigError, match="nothing may be summed"):
        run(MomentSharing(moments(images=1)), closed)
