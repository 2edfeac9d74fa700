"""Shards between devices and a root: what goes over the trunk, and what a shard's death costs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from dreamshare.driver.shard import serve_shard
from dreamshare.driver.trace import Heard
from dreamshare.engine import InlineEngine
from dreamshare.errors import Rejected, Unreachable
from dreamshare.ids import PartyId
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
            seen = stage.aggregator.devices()
            assert {each.device for each in seen if each.connected} == {stage.handsets[2].id}
            assert len(seen) == 3
            assert set(stage.office.went) == {handset.id for handset in stage.handsets[:2]}

    stage.play(play())


def test_operators_see_what_devices_sent_wherever_they_came_in() -> None:
    """Shards tell it with their sums; a device that moved has all of it."""
    stage = ShardedStage(3, 2)

    async def play() -> None:
        async with stage.open():
            await run_at(stage, [1, 2, 0])
            await stage.later(5.0)
            before = traffic(stage)
            assert all(up > 100 and down > 100 for up, down in before.values())
            for handset, place in zip(stage.handsets, [2, 0, 1], strict=True):
                await stage.move(handset, place)
            await stage.later(5.0)
            for device, (up, down) in traffic(stage).items():
                assert up >= before[device][0]
                assert down >= before[device][1]

    stage.play(play())


def traffic(stage: ShardedStage) -> dict[PartyId, tuple[int, int]]:
    seen = stage.aggregator.devices()
    return {each.device: (each.bytes_up, each.bytes_down) for each in seen}


def test_the_root_hands_its_revocation_list_to_shards() -> None:
    """A shard's own files may be older: it goes on with the newest that it was told."""
    stage = ShardedStage(3, 1)
    revoked = stage.handsets[0]
    serial = revoked.identity.certificate.serial

    async def play() -> None:
        async with stage.open():
            for handset in stage.handsets:
                stage.connect_at(handset, 1)
            await stage.later(5.0)
            later = replace(stage.identity, revocations=stage.federation.revoke(2, (serial,)))
            stage.aggregator.renew(later)
            with pytest.raises(Rejected, match="revoked"):
                await stage.running.pop(revoked.id)
            await stage.later(20.0)
            here = {each.device for each in stage.aggregator.devices() if each.connected}
            assert here == {handset.id for handset in stage.handsets[1:]}

    stage.play(play())
