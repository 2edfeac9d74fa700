"""Rounds over a real Mosquitto with TLS and access lists; a broker that is killed under them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.transport.ways import link_to, listener_at
from dreamshare_aggregator.service import Aggregator, Surroundings
from dreamshare_aggregator.store import open_store
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as EdgeSurroundings
from tests.integration.stage import follow
from tests.integration.toy import ALGORITHMS, Toy, toy_config, toy_data
from tests.mosquitto import Broker

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=60, collect_s=60, reveal_s=60)


class Scene:
    """An aggregator, four agents and an operator, all of them at one broker."""

    def __init__(self, broker: Broker, path: Path, stack: AsyncExitStack) -> None:
        self.broker = broker
        self._path = path
        self._stack = stack

    async def open(self, *agents: str) -> Client:
        """Open the aggregator and an agent for each URL; return the operator's client."""
        broker, enter = self.broker, self._stack.enter_async_context
        store = open_store(f"sqlite:///{self._path / 'rounds.db'}")
        listener = listener_at(broker.url, broker.aggregator)
        await enter(Aggregator([listener], store, broker.aggregator, Surroundings()))
        for number, url in enumerate(agents):
            await enter(self._agent(number, url))
        operator = broker.issue(Role.OPERATOR)
        return await enter(Client(link_to(broker.url, operator), operator))

    def _agent(self, number: int, url: str) -> EdgeAgent:
        device = self.broker.device()
        return EdgeAgent(
            link=link_to(url, device),
            learner=Toy(),
            data=toy_data(number),
            algorithms=ALGORITHMS,
            store=FileStore(self._path / f"home-{number}"),
            policy=Policy(),
            identity=device,
            surroundings=EdgeSurroundings(label=f"toy {number}"),
        )


@pytest.fixture
async def scene(own_mosquitto: Broker, tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(own_mosquitto, tmp_path, stack)


async def test_a_run_over_tls_and_websockets(scene: Scene) -> None:
    """Three agents over TLS, one over websockets, the operator over TLS: the run ends, and well."""
    tls, websocket = scene.broker.url, scene.broker.websocket_url
    client = await scene.open(tls, tls, tls, websocket)
    task = await client.submit(toy_config(), COHORT, DEADLINES)
    reports = await follow(client, task)
    status = reports[-1].status
    assert status.phase is TaskPhase.DONE, status.detail
    assert status.aggregations == 4  # start, two rounds, evaluation
    assert status.secure_aggregation
    assert (status.roster, status.dropped) == (4, 0)
    result = await client.result(task)
    assert sorted(array.shape for array in result.arrays.values()) == [(2, 3), (3,)]
    devices = await client.devices()
    assert sorted(d.label for d in devices) == [f"toy {n}" for n in range(4)]


async def test_a_run_goes_on_when_the_broker_was_killed(scene: Scene) -> None:
    """SIGKILL in the middle of the run, twice: what was under way is resumed, no sum is missing."""
    tls = scene.broker.url
    client = await scene.open(tls, tls, tls, tls)
    task = await client.submit(toy_config(rounds=8), COHORT, DEADLINES)
    kills = [2, 6]
    last = None
    async for report in client.watch(task):
        last = report.status
        if kills and last.aggregations >= kills[0]:
            kills.pop(0)
            scene.broker.kill()
            scene.broker.start()
    assert kills == []
    assert last is not None
    assert last.phase is TaskPhase.DONE, last.detail
    assert last.aggregations == 10  # start, eight rounds, evaluation
