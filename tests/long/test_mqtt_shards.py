"""Shards at a broker that are killed in turn, at other moments of a round each time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dreamshare.protocol.messages import Cohort, Deadlines
from tests.integration.mqtt.sharded import broker_stage
from tests.integration.stage import sums
from tests.integration.toy import toy_config
from tests.mosquitto import Broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

AGENTS = 9
ROUNDS = 12
KILLS = 8
EVERY = 4


async def test_killing_shards_at_a_broker_loses_no_round(mosquitto: Broker, tmp_path: Path) -> None:
    async with broker_stage(mosquitto, tmp_path, shards=2) as stage:
        await stage.agents(AGENTS)
        rounds = EVERY * (KILLS + 1)
        task = await stage.aggregator.submit(
            toy_config(rounds), Cohort(AGENTS, AGENTS), Deadlines(60, 60, 60)
        )
        for number in range(KILLS):
            await sums(task, EVERY * (number + 1))
            await asyncio.sleep(0.05 * number)
            await stage.kill_shard(number % 2)
            await stage.start_shard(number % 2)
        await task.result()
    assert (task.status.aggregations, task.status.abandoned) == (rounds + 2, 0)
    assert task.status.dropped == 0


async def test_a_root_that_is_started_again_finds_its_shards(
    mosquitto: Broker, tmp_path: Path
) -> None:
    """Shards hang up when their trunk breaks; everybody comes back, and the task goes on."""
    async with broker_stage(mosquitto, tmp_path, shards=2) as stage:
        await stage.agents(AGENTS)
        task = await stage.aggregator.submit(
            toy_config(ROUNDS), Cohort(AGENTS, AGENTS), Deadlines(60, 60, 60)
        )
        await sums(task, 3)
        again = await stage.root()
        task = again.task(task.id)
        await task.result()
        assert (task.status.aggregations, task.status.abandoned) == (ROUNDS + 2, 0)
        assert task.status.dropped == 0
        await stage.until(lambda: len(stage.shards()) == 2)
        assert sum(each.connected for each in again.devices()) == AGENTS
