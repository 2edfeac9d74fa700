"""Rounds over a road that delays and cuts: no sum is lost, and what is given up is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.messages import Cohort, Deadlines
from tests.integration.proxy import Proxy
from tests.integration.stage import Stage
from tests.integration.toy import toy_config

pytestmark = pytest.mark.integration

DEADLINES = Deadlines(setup_s=60, collect_s=60, reveal_s=60)
COHORT = Cohort(3, 3)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def through_a_proxy(stage: Stage, stack: AsyncExitStack) -> Proxy:
    """Open three agents whose connections go through one proxy."""
    proxy = await stack.enter_async_context(Proxy("127.0.0.1", stage.port))
    for number in range(3):
        await stack.enter_async_context(stage.federation.agent(number, proxy.port))
    return proxy


async def test_200_ms_of_delay_each_way(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    async with AsyncExitStack() as stack:
        proxy = await through_a_proxy(stage, stack)
        proxy.delay_s = 0.2
        task = await aggregator.submit(toy_config(rounds=1), COHORT, DEADLINES)
        result = await task.result()
    assert result.status.secure_aggregation
    assert (result.status.aggregations, result.status.abandoned) == (3, 0)


async def test_connections_that_are_cut_again_and_again(stage: Stage) -> None:
    """No sum is lost; a round that a cut outlasts is given up, said so, and asked again."""
    aggregator = await stage.aggregator()
    async with AsyncExitStack() as stack:
        proxy = await through_a_proxy(stage, stack)
        task = await aggregator.submit(toy_config(rounds=8), COHORT, DEADLINES)

        async def cut() -> None:
            async for report in task.reports():
                if report.event == "round" and report.status.aggregations % 2:
                    proxy.cut()

        cutting = asyncio.ensure_future(cut())
        result = await task.result()
        await cutting
        assert proxy.cuts >= 3
    assert result.status.secure_aggregation
    assert result.status.aggregations == 10
    events = [report.event async for report in task.reports()]
    assert events.count("round") == 10
    assert events.count("abandoned") == result.status.abandoned
