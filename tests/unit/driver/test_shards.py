"""Shards between devices and a root: what goes over the trunk, and what a shard's death costs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import numpy as np
import pytest

from dreamshare.driver.shard import serve_shard
from dreamshare.driver.trace import Heard
from dreamshare.engine import InlineEngine
from dreamshare.errors import Unreachable
from dreamshare.protocol.events import Compute
from dreamshare.protocol.outcomes import SumAbandoned
from dreamshare.transport.base import Connection
from dreamshare.transport.memory import MemoryListener, MemoryNetwork
from dreamshare_crypto.secagg.events import Stage as Sa2Stage
from tests.sim.rounds.toy import NAME
from tests.unit.driver.sharded import ShardedStage
from tests.unit.driver.stage import Stage


def result_of(stage: Stage) -> list[tuple[object, ...]]:
    return [
        (done.step, done.survivors, *(np.round(array, 9).tolist() for array in done.mean.values()))
        for done in stage.sums
    ]


async def run_at(stage: ShardedStage, places: list[int]) -> None:
    for handset, place in zip(stage.handsets, places, strict=True):
        stage.connect_at(handset, place)
    await stage.follow(stage.begin())


@pytest.mark.parametrize("places", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 1], [2, 1, 2, 1]])
def test_a_task_gives_the_same_wherever_its_devices_come_in(places: list[int]) -> None:
    alone, spread = Stage(4), ShardedStage(4, 2)

    async def play(stage: Stage) -> None:
        async with stage.open():
            if isinstance(stage, ShardedStage):
                await run_at(stage, places)
            else:
                await stage.run_task()

    alone.play(play(alone))
    spread.play(play(spread))
    assert spread.sums
    assert result_of(spread) == result_of(alone)
    assert len(spread.office.came) == 4


def test_the_root_hears_receipts_and_no_vectors_of_devices_at_shards() -> None:
    stage = ShardedStage(4, 2)

    async def play() -> None:
        async with stage.open():
            await run_at(stage, [1, 2, 1, 2])

    stage.play(play())
    vectors = [f for f in stage.facts if isinstance(f, Heard) and f.stage is Sa2Stage.MASKED_INPUT]
    assert len(vectors) == 4 * len(stage.sums)
    assert {fact.size for fact in vectors} == {32 + 4 + 32 + 32 + 64}


def test_a_shard_that_dies_in_mid_round_loses_no_round() -> None:
    stage = ShardedStage(4, 2)
    slow = stage.handsets[3]
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_order: Compute) -> None:
        reached.set()
        await go_on.wait()

    async def play() -> None:
        async with stage.open():
            slow.before_answer = hold
            for handset, place in zip(stage.handsets, [1, 1, 2, 2], strict=True):
                stage.connect_at(handset, place)
            following = asyncio.ensure_future(stage.follow(stage.begin()))
            await reached.wait()
            await stage.later(5.0)  # the others' vectors are at their shards
            await stage.kill_shard(1)
            for handset in stage.handsets[:2]:
                await stage.move(handset, 2)
            await stage.later(5.0)
            slow.before_answer = None
            go_on.set()
            await following

    stage.play(play())
    assert stage.sums
    assert all(len(done.survivors) == 4 for done in stage.sums)
    assert not [r for r in stage.reports if isinstance(r, SumAbandoned)]


def test_a_shard_that_comes_back_takes_its_devices_again() -> None:
    stage = ShardedStage(4, 1)
    opened = asyncio.Event()

    async def note(_order: Compute) -> None:
        opened.set()

    async def play() -> None:
        async with stage.open():
            stage.handsets[0].before_answer = note
            for handset in stage.handsets:
                stage.connect_at(handset, 1)
            following = asyncio.ensure_future(stage.follow(stage.begin()))
            await opened.wait()
            await stage.kill_shard(1)
            stage.start_shard(1)
            await following

    stage.play(play())
    assert stage.sums and all(len(done.survivors) == 4 for done in stage.sums)


def test_a_stranger_is_no_shard() -> None:
    stage = ShardedStage(3, 0)

    async def play() -> None:
        async with stage.open():
            stranger = await stage.trunks.link(stage.handsets[0].id.hex()).connect()
            assert [packet async for packet in stranger.packets()] == []
            assert stage.aggregator.devices() == ()

    stage.play(play())


def test_a_shard_whose_place_another_takes_ends() -> None:
    """At a broker: the listener says so, and the process is not to come back."""
    stage = ShardedStage(1, 0)

    class Taken(MemoryListener):
        async def connections(self) -> AsyncIterator[Connection]:
            raise Unreachable("another has this seat")
            yield

    async def play() -> None:
        async with stage.open():
            serving = serve_shard(
                stage.trunks.link(stage.identity.id.hex()),
                lambda _identity: [Taken(MemoryNetwork(stage.clock), None)],
                lambda: stage.identity,
                stage.clock,
                InlineEngine(),
                random.Random(1),
            )
            with pytest.raises(Unreachable):
                await serving

    stage.play(play())


def test_operators_see_devices_at_shards() -> None:
    stage = ShardedStage(3, 1)

    async def play() -> None:
        async with stage.open():
            for handset, place in zip(stage.handsets, [1, 1, 0], strict=True):
                stage.connect_at(handset, place)
            await stage.later(5.0)
            seen = stage.aggregator.devices()
            assert {each.device for each in seen} == {handset.id for handset in stage.handsets}
            assert {(each.connected, each.label, each.algorithms) for each in seen} == {
                (True, "a handset", (NAME,))
            }
            await stage.kill_shard(1)
            await stage.later(5.0)
            assert [each.device for each in stage.aggregator.devices()] == [stage.handsets[2].id]
            assert set(stage.office.went) == {handset.id for handset in stage.handsets[:2]}

    stage.play(play())
