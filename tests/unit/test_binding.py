"""Asks to plans and back, and the loop that runs an algorithm on the aggregator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dreamshare.algorithms.base import Ask, Done, Tell
from dreamshare.algorithms.catalog import algorithm_of, config_json_of
from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.binding import (
    CONFIGS,
    CatalogWork,
    TaskLoop,
    ask_of,
    order_of,
    plan_of,
    tell_of,
    terms_of,
)
from dreamshare.errors import ConfigError, LocalProtocolError
from dreamshare.ids import PartyId
from dreamshare.protocol.events import Asked, Compute, Finished, Learn, Told
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import EpochEnded, SumDone, TellSpread
from tests.sim.rounds.toy import CONFIG, FIELDS, NAME, Toy

ASK = Ask("sum", FIELDS, {"public": np.arange(4, dtype=np.float32)}, 7, 2, 1.0)
TELL = Tell("tell", {"number": np.array([3], np.int64)}, 5, 2)
MEAN = {"x": np.full((2, 3), 0.25), "count": np.array(1.0)}
DONE = SumDone(MEAN, 3.0, (PartyId(b"a" * 16),) * 3, 4, "sum", 0)
SPREAD = TellSpread(1, 4, 3, "tell", 0)


def test_an_ask_survives_the_way_to_a_device() -> None:
    """`sums` is what the aggregator plans with; a device has no use for it."""
    plan = plan_of(NAME, CONFIG, ASK)
    assert (plan.algorithm, plan.config, plan.draw, plan.last_tell) == (NAME, CONFIG, 0, b"")
    back = ask_of(plan, FIELDS, 1.0)
    assert replace(back, sums=7, tensors=ASK.tensors) == ASK
    assert np.array_equal(back.tensors["public"], ASK.tensors["public"])


def test_a_tell_survives_too() -> None:
    plan = plan_of(NAME, CONFIG, TELL)
    assert plan.field_names == ()
    back = tell_of(plan)
    assert (back.step, back.cycle) == (TELL.step, TELL.cycle)
    assert np.array_equal(back.tensors["number"], TELL.tensors["number"])


def test_bounds_do_not_enter_the_plan_and_shapes_do() -> None:
    """Bounds and bits are in the signed parameters, so that Hb is the same when C is lowered."""
    lower = replace(ASK, fields=tuple(replace(f, bound=f.bound / 2) for f in FIELDS))
    other = replace(ASK, fields=(replace(FIELDS[0], shape=(3, 2)), FIELDS[1]))
    first = plan_of(NAME, CONFIG, ASK).payload()
    assert plan_of(NAME, CONFIG, lower).payload() == first
    assert plan_of(NAME, CONFIG, other).payload() != first


def test_what_is_wanted_becomes_an_order() -> None:
    asked = order_of(NAME, CONFIG, ASK)
    assert isinstance(asked, Asked)
    assert (asked.sums, asked.weight_cap, asked.fields) == (7, 1.0, FIELDS)
    assert isinstance(order_of(NAME, CONFIG, TELL), Told)
    assert order_of(NAME, CONFIG, Done()) == Finished("done")


def test_terms_are_the_algorithms_own_steps() -> None:
    terms = terms_of(Toy(), Cohort(3, 5), Deadlines())
    assert terms.algorithm == NAME
    assert terms.steps == {"sum": FIELDS}
    assert terms.weight_cap == 1.0


def step_of(loop: TaskLoop) -> str:
    order = loop.order()
    match order:
        case Asked(plan) | Told(plan):
            return f"{plan.step} {plan.cycle}"
    return "done"


def test_a_loop_goes_from_order_to_order() -> None:
    loop = TaskLoop(Toy(sums=3, tell_every=2), CONFIG)
    seen = [step_of(loop)]
    while loop.done is None:
        order = loop.react(SPREAD if seen[-1].startswith("tell") else DONE)
        assert order is not None
        seen.append(step_of(loop))
    assert seen == ["sum 0", "sum 1", "tell 0", "sum 2", "done"]
    assert np.array_equal(loop.done.result["x"], MEAN["x"])
    assert loop.cycle == -1


def test_reports_that_end_no_order_change_nothing() -> None:
    loop = TaskLoop(Toy(), CONFIG)
    before = loop.checkpoint()
    assert loop.react(EpochEnded("renewed")) is None
    assert loop.checkpoint() == before


def test_a_report_for_another_order_is_an_error() -> None:
    loop = TaskLoop(Toy(), CONFIG)
    with pytest.raises(LocalProtocolError):
        loop.react(SPREAD)


@pytest.mark.parametrize("steps", range(5))
def test_a_loop_goes_on_from_its_checkpoint(steps: int) -> None:
    loop = TaskLoop(Toy(), CONFIG)
    for _ in range(steps):
        if loop.done is None:
            loop.react(SPREAD if step_of(loop).startswith("tell") else DONE)
    again = TaskLoop(Toy(), CONFIG, checkpoint=loop.checkpoint())
    assert step_of(again) == step_of(loop)
    assert again.checkpoint() == loop.checkpoint()
    assert (again.done is None) == (loop.done is None)


def test_a_checkpoint_of_something_else_is_refused() -> None:
    config = EvaluateConfig()
    name, config_json = config_json_of(config)
    assert name == "evaluate/1"
    other = TaskLoop(algorithm_of(config), config_json).checkpoint()
    with pytest.raises(ConfigError):
        TaskLoop(Toy(), CONFIG, checkpoint=other)
    with pytest.raises(ConfigError):
        TaskLoop(Toy(), CONFIG, checkpoint=b"damaged")


class Noting(Toy):
    """Notes what it was asked and told."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Ask | Tell] = []

    def local(self, ask, learner, data, rng):  # type: ignore[no-untyped-def]
        self.heard.append(ask)
        return super().local(ask, learner, data, rng)


def test_a_device_runs_what_the_plan_names_and_nothing_else() -> None:
    toy = Noting()
    looked_up: list[tuple[str, bytes]] = []

    def lookup(name: str, config: bytes) -> Noting:
        looked_up.append((name, config))
        return toy

    work = CatalogWork((NAME,), lookup)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    plan = plan_of(NAME, CONFIG, ASK)
    update = work.compute(Compute(b"h" * 32, plan, FIELDS, 1.0), None, None, rng)  # type: ignore[arg-type]
    assert set(update.arrays) == {"x"}
    work.learn(Learn(1, plan_of(NAME, CONFIG, TELL)), None, None, rng)  # type: ignore[arg-type]
    assert looked_up == [(NAME, CONFIG)]  # every plan brings the config: it is decoded once
    assert [type(each) for each in toy.heard] == [Ask, Tell]
    other = replace(plan, algorithm="other/1")
    with pytest.raises(ConfigError, match="does not compute other/1"):
        work.compute(Compute(b"h" * 32, other, FIELDS, 1.0), None, None, rng)  # type: ignore[arg-type]


def test_a_device_keeps_few_configs() -> None:
    """Those of its last tasks; an older one is decoded again, a refused one each time."""
    looked_up: list[bytes] = []

    def lookup(_name: str, config: bytes) -> Toy:
        looked_up.append(config)
        if config == b"wrong":
            raise ConfigError("wrong")
        return Toy()

    work = CatalogWork((NAME,), lookup)  # type: ignore[arg-type]
    plan = plan_of(NAME, CONFIG, ASK)
    order = [b"0", b"1", b"0", *(b"%d" % i for i in range(2, CONFIGS + 1)), b"0"]
    for config in order:
        work.disclosure(replace(plan, config=config))
    assert looked_up == [b"%d" % i for i in range(CONFIGS + 1)] + [b"0"]
    for _ in range(2):
        with pytest.raises(ConfigError):
            work.disclosure(replace(plan, config=b"wrong"))
    assert looked_up[-2:] == [b"wrong"] * 2


def test_names_are_looked_up_when_the_work_begins() -> None:
    CatalogWork(("evaluate/1", "codream/1"))
    with pytest.raises(ConfigError, match="not registered"):
        CatalogWork(("evaluate/99",))
