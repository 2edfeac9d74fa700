"""Devices at one broker spread over a root and two shards, of which one is killed in mid-round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dreamshare.learning.measures import measure
from dreamshare.protocol.messages import Cohort, Deadlines
from tests.integration.mqtt.sharded import broker_stage
from tests.integration.stage import sums
from tests.integration.toy import Toy, toy_config, toy_data
from tests.mosquitto import Broker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

AGENTS = 5


async def test_killing_a_shard_at_a_broker_loses_no_round(
    mosquitto: Broker, tmp_path: Path
) -> None:
    """The operator's first connection is to a shard: nothing tells it from a device's before."""
    async with broker_stage(mosquitto, tmp_path, shards=2) as stage:
        operator = await stage.operator()
        assert await operator.devices() == ()
        assert [shard.load for shard in stage.shards()] == [0, 0]
        await stage.agents(AGENTS)
        assert [len(shard.devices) for shard in stage.shards()] == [2, 2]
        task = await stage.aggregator.submit(
            toy_config(4), Cohort(AGENTS, AGENTS), Deadlines(60, 60, 60)
        )
        await sums(task, 2)
        await stage.kill_shard(0)
        result = await task.result()
        assert (task.status.aggregations, task.status.abandoned) == (6, 0)
        assert (task.status.roster, task.status.dropped) == (AGENTS, 0)
        (left,) = stage.shards()
        assert len(left.devices) == 3
        assert all(device.connected for device in await operator.devices())
        assert result.metrics["accuracy"] == pytest.approx(accuracy(result.arrays), abs=5e-3)


def accuracy(weights: Mapping[str, np.ndarray]) -> float:
    """Return what the masked evaluation of the last weights gives, but for rounding.

    A vector that is missing or there twice leaves masks in the sum, and nothing near this.
    """
    toy = Toy()
    weight, bias = (weights[name].astype(np.float32) for name in sorted(weights))
    toy.load_parameters({"weight": weight, "bias": bias})
    found = [measure(toy, toy_data(number).held_out()) for number in range(AGENTS)]
    return sum(each.correct for each in found) / sum(each.count for each in found)
