"""The database goes away under a run and comes back: the run pauses, goes on, and loses nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.history import RoundOutcome
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from tests.integration.stage import Stage, follow
from tests.integration.test_service_restart import sums
from tests.integration.toy import toy_config
from tests.postgres import Cluster

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def until_away(aggregator: Aggregator) -> None:
    for _ in range(6000):
        if aggregator.outage is not None:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the outage was not noticed")


async def test_a_run_goes_on_when_postgresql_was_killed_and_started_again(
    stage: Stage, own_postgres: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    stage.store = own_postgres.create()
    with caplog.at_level(logging.WARNING, "dreamshare_aggregator"):
        aggregator = await stage.aggregator()
        await stage.agents(4)
        task = await aggregator.submit(
            toy_config(rounds=12), Cohort(4, 4), Deadlines(setup_s=90, collect_s=90, reveal_s=90)
        )
        for so_far in (3, 7):
            await sums(task, so_far)
            await asyncio.to_thread(own_postgres.kill)
            await until_away(aggregator)
            assert task.status.phase is not TaskPhase.FAILED
            await asyncio.to_thread(own_postgres.start)
        result = await task.result()
    assert result.status.aggregations == 14  # start, twelve rounds, evaluation
    assert result.status.abandoned == 0
    assert result.metrics["accuracy"] > 0.8
    client = await stage.client()
    reports = await follow(client, task.id)
    assert [r.number for r in reports] == list(range(1, len(reports) + 1)), "none twice, none lost"
    assert [r.event for r in reports].count("epoch") == 1, "the epoch went on"
    history = await aggregator.history(task.id)
    assert [entry.done.outcome for entry in history].count(RoundOutcome.SUM) == 14
    texts = [record.getMessage() for record in caplog.records]
    assert sum("work waits" in text for text in texts) == 2
    assert result.status.phase is TaskPhase.DONE


async def test_a_service_ends_in_words_when_the_database_stays_away(
    stage: Stage, own_postgres: Cluster
) -> None:
    stage.store = own_postgres.create()
    stage.patience_s, stage.lease_s = 0.5, 1.0
    async with stage.new_aggregator() as aggregator:
        await asyncio.to_thread(own_postgres.kill)
        with pytest.raises(OSError, match="is away"):
            await aggregator.submit(toy_config(), Cohort(4, 4))
    await asyncio.to_thread(own_postgres.start)
    store = open_store(stage.store)
    if await store.try_to_open() is not None:  # the lease was not given back; it ends
        await store.stand_by(lambda held: None)
    assert await store.tasks() == []
    await store.close()
