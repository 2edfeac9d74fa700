"""Placed shards that take their share of a broker's devices; one is killed while a task runs."""

from __future__ import annotations

import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.transport.ways import link_to
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.placed import PlacedConfig
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy, Surroundings
from tests.integration.placed_shards import AGENTS, ROUNDS, Site, submit_and_kill
from tests.integration.toy import ALGORITHMS, Toy, toy_data
from tests.mosquitto import Broker
from tests.services import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


@pytest.mark.long
async def test_a_placed_shard_at_a_broker_costs_no_round(mosquitto: Broker, tmp_path: Path) -> None:
    site = Site(tmp_path)
    key = tmp_path / "aggregator.key"
    mosquitto.aggregator.save(key)
    for number, pem in enumerate(mosquitto.seats, 1):
        seat = tmp_path / f"seat-{number}.pem"
        seat.touch(mode=0o600)
        seat.write_bytes(pem)
    site.write(
        AggregatorConfig(
            listen=(mosquitto.url,),
            identity=key,
            shards=f"grpcs://127.0.0.1:{free_port()}",
            placed_shards=PlacedConfig(2, listen="", broker=mosquitto.url, seats=tmp_path),
        )
    )
    async with site.up() as up, AsyncExitStack() as stack:
        for number in range(AGENTS):
            await stack.enter_async_context(agent(mosquitto, tmp_path, number))
        operator = mosquitto.issue(Role.OPERATOR)
        client = await stack.enter_async_context(Client(link_to(mosquitto.url, operator), operator))
        status, _ = await submit_and_kill(site, client, 1)
        assert (status.aggregations, status.abandoned) == (ROUNDS + 2, 0)
        await site.until_healthy("shards 2 of 2")
        assert re.search(r"shard \d is gone, with [12] devices", site.log.read_text())
        assert await up.end(signal.SIGTERM) == 0


def agent(broker: Broker, path: Path, number: int) -> EdgeAgent:
    device = broker.device()
    return EdgeAgent(
        link=link_to(broker.url, device),
        learner=Toy(),
        data=toy_data(number),
        algorithms=ALGORITHMS,
        store=FileStore(path / f"home-{number}"),
        policy=Policy(),
        identity=device,
        surroundings=Surroundings(label=f"toy {number}"),
    )
