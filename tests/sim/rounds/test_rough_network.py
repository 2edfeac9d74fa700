"""The drivers on a network that loses, delays and breaks: what was promised holds, runs end.

One seed is one network: losses, delays and cuts are drawn from it, in simulated time.
"""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

from dreamshare.driver.waiting import stop
from dreamshare.protocol.messages import Cohort
from dreamshare.protocol.outcomes import SumDone, TaskFailed
from dreamshare.transport.memory import Fate
from tests.unit.driver.stage import Stage


def rough(rng: random.Random, loss: float, delay_s: float) -> Fate:
    """Lose a part of the packets and delay the others."""

    def fate(_name: str, _packet: bytes) -> float | None:
        return None if rng.random() < loss else rng.uniform(0.0, delay_s)

    return fate


def check_sums(stage: Stage) -> None:
    """All devices' answers are in [-1, 1] with weights above 0, and so are the means."""
    for done in stage.sums:
        assert len(done.survivors) >= 3
        assert np.abs(np.asarray(done.mean["x"])).max() <= 1.0 + 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_slow_links(seed: int) -> None:
    """Nothing is lost: every sum is over everybody, however late packets are."""
    rng = random.Random(seed)
    stage = Stage(up=rough(rng, 0.0, 0.5), down=rough(rng, 0.0, 0.5))

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    assert [len(done.survivors) for done in stage.sums] == [4, 4, 4]


@pytest.mark.parametrize("seed", range(6))
def test_lost_packets(seed: int) -> None:
    """A lost packet is found by a gap or by the silence after it; deadlines bound the rest."""
    rng = random.Random(seed)
    stage = Stage(up=rough(rng, 0.02, 0.05), down=rough(rng, 0.02, 0.05))

    async def play() -> None:
        async with stage.open():
            await stage.run_task()

    stage.play(play())
    check_sums(stage)
    assert len(stage.sums) == 3 or isinstance(stage.reports[-1], TaskFailed)


@pytest.mark.parametrize("seed", range(6))
def test_links_that_break_all_the_time(seed: int) -> None:
    """Every 50 to 250 ms somebody is cut off; all come back within the grace."""
    rng = random.Random(seed)
    stage = Stage(5, Cohort(least=4, most=5), up=rough(rng, 0.0, 0.05), down=rough(rng, 0.0, 0.05))

    async def break_links() -> None:
        while True:
            await stage.later(rng.uniform(0.05, 0.25))
            stage.network.cut(rng.choice(stage.handsets).id.hex())

    async def play() -> None:
        async with stage.open():
            breaking = asyncio.ensure_future(break_links())
            await stage.run_task()
            await stop(breaking)

    stage.play(play())
    check_sums(stage)
    assert len([r for r in stage.reports if isinstance(r, SumDone)]) == 3
    for handset in stage.handsets:
        assert len(handset.computed) == len(set(handset.computed))  # nothing twice


@pytest.mark.parametrize("seed", range(6))
def test_processes_that_die_all_the_time(seed: int) -> None:
    """Somebody is killed every second or two and started again from its journal."""
    rng = random.Random(seed)
    stage = Stage(5, Cohort(least=4, most=5), up=rough(rng, 0.0, 0.05), down=rough(rng, 0.0, 0.05))

    async def kill_processes() -> None:
        while True:
            await stage.later(rng.uniform(0.3, 1.0))
            handset = rng.choice(stage.handsets)
            await stage.kill(handset)
            await stage.later(rng.uniform(0.1, 0.5))
            handset.restored = bool(handset.journal.records())
            stage.connect(handset)

    async def play() -> None:
        async with stage.open():
            killing = asyncio.ensure_future(kill_processes())
            await stage.run_task()
            await stop(killing)

    stage.play(play())
    check_sums(stage)
    assert len(stage.sums) == 3 or isinstance(stage.reports[-1], TaskFailed)
