"""Two aggregators on one PostgreSQL, as processes: the active one is killed, the other goes on."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.settings import settings_text
from dreamshare_aggregator.config import AggregatorConfig
from tests.integration.children import Child, child
from tests.integration.stage import follow
from tests.integration.test_service_process import operator, port_of
from tests.integration.toy import Loopback, toy_config
from tests.postgres import PASSWORD, Cluster
from tests.services import free_port

pytestmark = pytest.mark.integration

LEASE_S = 2.0


def settings(federation: Loopback, store: str, port: int, standby: bool = True) -> Path:
    """Write an aggregator's settings and return their path."""
    path = federation.folder.folder / f"aggregator-{port}.toml"
    config = AggregatorConfig(
        listen=(f"grpcs://127.0.0.1:{port}",), store=store, standby=standby, lease_s=LEASE_S
    )
    path.write_text(settings_text(config))
    return path


async def up(stack: AsyncExitStack, path: Path) -> Child:
    return await stack.enter_async_context(
        child("dreamshare_cli", "up", "--json", "--config", str(path))
    )


async def test_the_other_one_continues_the_run(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    ports = (free_port(), free_port())
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, ports[0]))
        listening = await first.event("listening")
        assert port_of(listening) == ports[0]
        assert PASSWORD not in str(listening)
        second = await up(stack, settings(federation, store, ports[1]))
        assert str(first.process.pid) in str((await second.event("standby"))["holder"])
        for number in range(4):
            await stack.enter_async_context(federation.agent(number, ports[0], others=ports[1:]))
        client = await stack.enter_async_context(operator(federation.folder, ports[0]))
        task = await client.submit(
            toy_config(rounds=12), Cohort(least=4, most=4), Deadlines(60, 60, 60)
        )
        async for report in client.watch(task):
            if report.status.aggregations >= 3:
                break
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        assert port_of(await second.event("listening")) == ports[1]
        other = await stack.enter_async_context(operator(federation.folder, ports[1]))
        reports = await follow(other, task)
        assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
        assert reports[-1].status.aggregations == 14  # start, twelve rounds, evaluation
        assert [r.number for r in reports] == list(range(1, len(reports) + 1))
        assert await second.end(signal.SIGTERM) == 0


async def test_one_that_may_not_stand_by_refuses(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port(), standby=False))
        assert await second.process.wait() == 2


async def test_a_standby_stops_on_request(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port()))
        await second.event("standby")
        assert await second.end(signal.SIGTERM) == 0


async def test_one_that_was_paused_and_overtaken_ends_when_it_wakes_up(
    tmp_path: Path, postgres: Cluster
) -> None:
    """It still believes to be active; what it would write is refused, and it says so."""
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port()))
        await second.event("standby")
        first.process.send_signal(signal.SIGSTOP)
        await second.event("listening")
        first.process.send_signal(signal.SIGCONT)
        assert await first.process.wait() == 1
        assert await second.end(signal.SIGTERM) == 0
