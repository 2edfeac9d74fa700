"""The machines' clock jumps in the middle of a round: no sum is wrong, and the task ends."""

from __future__ import annotations

import pytest

from tests.sim.rounds import invariants
from tests.sim.rounds.world import World


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("steps", [5, 20, 40, 60])
@pytest.mark.parametrize("seconds", [-100_000.0, -60.0, 60.0, 100_000.0])
def test_a_jump(seconds: float, steps: int, restarts: bool) -> None:
    """By more than a deadline, and by more than an epoch's life; with a restart and without."""
    world = World(4)
    world.start()
    for _ in range(steps):
        world.step()
    world.now += seconds
    if restarts:
        world.restart_aggregator()
    world.finish()
    invariants.check(world)
    invariants.check_ended(world)
    assert len(world.sums) == 3
