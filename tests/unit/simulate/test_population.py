"""Many cohorts as one population: exact means, one result everywhere, and a run that goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from dreamshare.engine.opening import EngineConfig, Kind, open_engine
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Deadlines
from dreamshare.simulate import (
    Conditions,
    GroupDone,
    LargeOptions,
    LargeResult,
    Losses,
    NoSurvivors,
    StepDone,
    Traits,
    simulate_population,
)
from dreamshare.simulate.population import groups_of
from dreamshare.simulate.values import LossStage
from tests.unit.simulate.crowds import CONFIG, NAME, STEP, Values, lookup

QUICK = Deadlines(20.0, 40.0, 10.0)


async def run(
    count: int = 11,
    kind: Kind = "local",
    places: int = 1,
    *,
    most: int = 4,
    conditions: Conditions | None = None,
    folder: Path | None = None,
    on_step: Callable[[StepDone], None] | None = None,
    on_group: Callable[[GroupDone], None] | None = None,
) -> LargeResult:
    options = LargeOptions(
        seed=3,
        most=most,
        conditions=conditions or Conditions(),
        deadlines=QUICK,
        lookup=lookup,
        folder=folder,
        on_step=on_step,
        on_group=on_group,
    )
    async with open_engine(EngineConfig(kind, places)) as engine:
        return await simulate_population((NAME, CONFIG), Values(count), engine, options)


async def test_the_mean_is_over_all_devices_and_all_of_them_learn() -> None:
    """Device i of 11 holds i/11: mean 5/11. Then each moves half way there, which keeps it."""
    steps: list[StepDone] = []
    result = await run(on_step=steps.append)
    np.testing.assert_allclose(result.arrays["means"], [5 / 11, 5 / 11], atol=STEP)
    assert result.metrics["survivors"] == 11
    assert [(step.name, step.learnt, len(step.groups)) for step in steps] == [
        ("sum", False, 3),
        ("learn", True, 3),
        ("sum", False, 3),
    ]
    values = [float(state.tobytes()) for group in result.groups for state in group.states]
    np.testing.assert_allclose(values, [(i / 11 + 5 / 11) / 2 for i in range(11)], atol=STEP)


async def test_engine_and_places_change_no_bit() -> None:
    conditions = Conditions(
        arrival_s=2.0,
        compute_s=1.0,
        compute_spread=0.5,
        losses=Losses(masked_input=0.1),
        corrupt=0.2,
    )
    one = await run(conditions=conditions)
    two = await run(kind="processes", places=2, conditions=conditions)
    assert one.arrays["means"].tobytes() == two.arrays["means"].tobytes()
    assert [[s.tobytes() for s in group.states] for group in one.groups] == [
        [s.tobytes() for s in group.states] for group in two.groups
    ]


class Killed(Exception):
    """What ends a run in its middle."""


@pytest.mark.parametrize("after", [1, 4, 8])
async def test_a_run_that_was_killed_goes_on(after: int, tmp_path: Path) -> None:
    """Three groups a step: it ends in the first sum, while they learn, and in the second sum."""
    seen: list[int] = []

    def count(done: GroupDone) -> None:
        seen.append(done.number)
        if len(seen) == after:
            raise Killed

    with pytest.raises(Killed):
        await run(folder=tmp_path, on_group=count)
    again: list[int] = []
    result = await run(folder=tmp_path, on_group=lambda done: again.append(done.number))
    whole = await run()
    assert result.arrays["means"].tobytes() == whole.arrays["means"].tobytes()
    assert after + len(again) == 9, "a group that had finished was computed again"
    with pytest.raises(ConfigError, match="another run"):
        await run(12, folder=tmp_path)


@pytest.mark.parametrize("stage", [stage for stage in get_args(LossStage) if stage])
async def test_devices_are_lost_at_each_stage(stage: LossStage) -> None:
    """Device 4 of twelve is lost: before its vector has come the mean is over the others."""
    trace = tuple(Traits(lost_at=stage if place == 4 else "") for place in range(12))
    steps: list[StepDone] = []
    result = await run(12, most=12, conditions=Conditions(trace=trace), on_step=steps.append)
    inside = stage in ("agree", "unmask_response")
    assert steps[0].groups[0].survivors == (12 if inside else 11)
    left = [i / 12 for i in range(12) if inside or i != 4]
    np.testing.assert_allclose(result.arrays["means"][0], np.mean(left), atol=STEP)


async def test_away_late_and_corrupt_devices() -> None:
    """Of twelve, 0 is away, 1 takes too long, 2 answers the negative of what it holds."""
    special = (None, Traits(compute_s=1000.0), Traits(corrupt="flipped"))
    trace = (*special, *(Traits(arrives_s=1.0) for _ in range(9)))
    steps: list[StepDone] = []
    result = await run(12, most=12, conditions=Conditions(trace=trace), on_step=steps.append)
    assert (steps[0].groups[0].roster, steps[0].groups[0].survivors) == (11, 10)
    expected = (-2 / 12 + sum(i / 12 for i in range(3, 12))) / 10
    np.testing.assert_allclose(result.arrays["means"][0], expected, atol=STEP)


async def test_a_group_without_a_sum_contributes_nothing() -> None:
    """Devices 0 to 3 are away: the first of three groups is empty, and says so."""
    trace = tuple(None if place < 4 else Traits() for place in range(12))
    steps: list[StepDone] = []
    result = await run(12, conditions=Conditions(trace=trace), on_step=steps.append)
    assert [group.survivors for group in steps[0].groups] == [0, 4, 4]
    assert "too few" in steps[0].groups[0].trouble
    np.testing.assert_allclose(
        result.arrays["means"][0], np.mean([i / 12 for i in range(4, 12)]), atol=STEP
    )
    with pytest.raises(NoSurvivors, match="too few"):
        await run(12, conditions=Conditions(trace=(None,)))


def test_groups_follow_from_two_numbers() -> None:
    assert [group.count for group in groups_of(10, 4)] == [3, 3, 4]
    assert sum(group.count for group in groups_of(10_000, 128)) == 10_000
    assert max(group.count for group in groups_of(10_000, 128)) <= 128
    for count, most in ((10, 2), (10, 129), (4, 3), (2, 8)):
        with pytest.raises(ConfigError):
            groups_of(count, most)
