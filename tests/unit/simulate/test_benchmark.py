"""The devices of benchmarks.simulate: both of its rounds run, over two cohorts of three."""

from __future__ import annotations

import pytest
from benchmarks.simulate_parts import Classifiers, lookup, one_round

from dreamshare.engine.opening import EngineConfig, open_engine
from dreamshare.simulate import LargeOptions, StepDone, simulate_population


@pytest.mark.parametrize(("dims", "step"), [(1, "sum"), (784 * 2, "dream")])
async def test_a_round_has_everybody_in_it(dims: int, step: str) -> None:
    population = Classifiers(6)
    wanted, checkpoint = one_round(dims, population)
    seen: list[StepDone] = []
    options = LargeOptions(
        most=3, lookup=lookup, checkpoint=checkpoint, steps=1, on_step=seen.append
    )
    async with open_engine(EngineConfig("local", 1)) as engine:
        await simulate_population(wanted, population, engine, options)
    assert [(each.name, [group.survivors for group in each.groups]) for each in seen] == [
        (step, [3, 3])
    ]
