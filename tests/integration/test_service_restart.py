"""Parties that stop, die and come back, over gRPC with mutual TLS on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.protocol.history import RoundOutcome
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from tests.integration.stage import Stage, follow, sums
from tests.integration.toy import toy_config

pytestmark = pytest.mark.integration

DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def test_an_aggregator_that_was_stopped_goes_on_with_its_epoch(
    stage: Stage,
) -> None:
    async with stage.new_aggregator() as first:
        stage.note_port()
        await stage.agents(4)
        task = await first.submit(toy_config(rounds=12), Cohort(4, 4), DEADLINES)
        await sums(task, 4)
    before = task.status
    assert before.phase is TaskPhase.RUNNING
    assert before.aggregations < 14

    second = await stage.aggregator()
    client = await stage.client()
    reports = await follow(client, task.id)
    after = reports[-1].status
    assert after.phase is TaskPhase.DONE, after.detail
    assert after.secure_aggregation
    assert after.aggregations == 14  # start, twelve rounds, evaluation: none was asked twice
    assert [r.number for r in reports] == list(range(1, len(reports) + 1))
    events = [r.event for r in reports]
    assert events.count("epoch") == 1
    assert events.count("resumed") == 1, "the epoch goes on after the restart"
    assert events.count("round") == 14
    cycles = [r.status.cycle for r in reports if r.event == "round"]
    assert cycles == sorted(cycles)
    assert (await client.result(task.id)).metrics["accuracy"] > 0.8
    history = await second.history(task.id)
    closed = [entry.done for entry in history if entry.done.outcome is RoundOutcome.SUM]
    assert [(done.survivors, done.roster) for done in closed] == [(4, 4)] * 14
    assert all(done.sent > 0 for done in closed)
    assert [entry.number for entry in history] == list(range(1, len(history) + 1))


async def test_a_device_that_dies_is_dropped_and_the_run_goes_on(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await stage.agents(3)
    async with stage.federation.agent(3, stage.port):
        task = await aggregator.submit(toy_config(rounds=12), Cohort(4, 4), DEADLINES)
        await sums(task, 3)
    result = await task.result()
    assert result.status.dropped == 1
    assert result.status.alive == 3
    assert result.status.secure_aggregation
    assert result.metrics["accuracy"] > 0.8
    rounds = [r async for r in task.reports() if r.event == "round"]
    assert rounds[0].metrics["survivors"] == 4
    assert rounds[-1].metrics["survivors"] == 3


async def test_a_device_that_comes_back_goes_on_with_its_weights(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await stage.agents(3)
    async with stage.federation.agent(3, stage.port):
        first = await aggregator.submit(toy_config(), Cohort(4, 4), DEADLINES)
        await first.result()
    home = stage.federation.folder.folder / "home-3"
    stored = (home / "kept" / "learner").read_bytes()
    async with stage.federation.agent(3, stage.port):
        assert (home / "kept" / "learner").read_bytes() == stored
        second = await aggregator.submit(toy_config(), Cohort(4, 4), DEADLINES)
        result = await second.result()
    assert result.metrics["accuracy"] > 0.8
    assert (home / "memory").stat().st_size > 0, "answered payloads outlive their task"
    report = (home / "report.jsonl").read_text()
    assert report.count('"event": "started"') == 2


async def test_a_device_that_is_here_again_joins_the_next_epoch(stage: Stage) -> None:
    """Twelve rounds and a roster of up to four; the fourth device comes late."""
    aggregator = await stage.aggregator()
    await stage.agents(3)
    task = await aggregator.submit(toy_config(rounds=30), Cohort(3, 4), DEADLINES)
    await sums(task, 2)
    async with stage.federation.agent(3, stage.port):
        result = await task.result()
    rosters = [r.status.roster async for r in task.reports() if r.event == "epoch"]
    assert rosters[0] == 3
    assert rosters[-1] == 4
    assert result.status.phase is TaskPhase.DONE
