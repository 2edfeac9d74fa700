"""A run whose database was lost goes on from a backup, although its devices went on since."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare_aggregator.backup import back_up, restore
from tests.integration.stage import Stage
from tests.integration.test_service_restart import sums
from tests.integration.toy import toy_config

pytestmark = pytest.mark.integration


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def test_a_restored_task_goes_on_from_its_last_merged_sum(stage: Stage) -> None:
    copy = stage.path / "copy"
    async with stage.new_aggregator() as first:
        stage.note_port()
        await stage.agents(4)
        task = await first.submit(
            toy_config(rounds=12), Cohort(4, 4), Deadlines(setup_s=30, collect_s=30, reveal_s=30)
        )
        await sums(task, 3)
        await asyncio.to_thread(back_up, stage.store, None, copy)
        await sums(task, task.status.aggregations + 3)
    lost = task.status.aggregations
    (stage.path / "rounds.db").rename(stage.path / "lost.db")
    restore(copy, stage.store, None)
    second = await stage.aggregator()
    again = second.task(task.id)
    assert again.status.aggregations < lost
    result = await again.result()
    assert result.status.phase is TaskPhase.DONE
    assert result.status.aggregations == 14  # start, twelve rounds, evaluation
    assert result.status.secure_aggregation
    assert result.metrics["accuracy"] > 0.8
    events = [report.event async for report in again.reports()]
    assert events.count("epoch") == 2, "the devices were in the first one's later rounds"
