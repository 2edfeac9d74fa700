"""The three shells together over gRPC with mutual TLS on loopback, in one process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.client import Client
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase, TaskReport
from dreamshare.protocol.outcomes import TaskOver
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.board import AggregatorStopped
from dreamshare_aggregator.capture import read_capture
from dreamshare_aggregator.handle import TaskEnded
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, Policy
from tests.integration.stage import Stage, follow
from tests.integration.toy import Loopback, toy_config

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def test_submit_watch_and_result(stage: Stage) -> None:
    await stage.aggregator()
    await stage.agents(4)
    client = await stage.client()
    task = await client.submit(toy_config(), COHORT, DEADLINES, name="toy")
    reports = await follow(client, task)
    assert [r.number for r in reports] == list(range(1, len(reports) + 1))
    assert reports[0].event == "submitted"
    status = reports[-1].status
    assert (status.phase, reports[-1].event) == (TaskPhase.DONE, "done"), status.detail
    assert status.aggregations == 4  # start, two rounds, evaluation
    assert status.secure_aggregation
    assert (status.roster, status.alive, status.dropped) == (4, 4, 0)

    result = await client.result(task)
    assert sorted(array.shape for array in result.arrays.values()) == [(2, 3), (3,)]
    assert result.metrics["accuracy"] > 0.8  # three clouds far apart, seen by all together

    assert (await client.finished(task)).metrics == result.metrics
    assert await client.status(await client.find(task.hex()[:6])) == status
    artifacts = await client.download(task, stage.path / "toy.npz")
    assert artifacts == await client.artifacts(task) == result.artifacts
    with np.load(stage.path / "toy.npz", allow_pickle=False) as archive:
        assert {name: archive[name].shape for name in archive} == {
            a.name: a.shape for a in artifacts
        }

    devices = await client.devices()
    assert sorted(d.label for d in devices) == [f"toy {n}" for n in range(4)]
    assert all(d.connected and d.bytes_up > 0 and d.bytes_down > 0 for d in devices)
    assert await client.list() == (status,)

    late = [report async for report in client.watch(task, after=reports[-2].number)]
    assert late == reports[-1:], "a watcher that comes late gets what it missed"
    with pytest.raises(ConfigError, match="is over and has no report after"):
        await follow_after(client, task, 99)


async def until_over(agent: EdgeAgent) -> str:
    """Return how the task ended, when the device knows."""
    async for outcome in agent.outcomes():
        if isinstance(outcome, TaskOver):
            return outcome.outcome
    raise AssertionError("the agent stopped before its task was over")


async def follow_after(client: Client, task: bytes, after: int) -> list[TaskReport]:
    return [report async for report in client.watch(task, after)]  # type: ignore[arg-type]


async def test_a_device_keeps_its_accuracy_in_its_own_report(stage: Stage) -> None:
    capture = stage.path / "capture"
    await stage.aggregator(capture)
    agents = await stage.agents(4)
    client = await stage.client()
    await follow(client, await client.submit(toy_config(), COHORT, DEADLINES))
    await until_over(agents[0])

    path = stage.federation.folder.folder / "home-0" / "report.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"] != "round"][:3] == [
        "started",
        "epoch",
        "learnt",
    ]
    (learnt,) = [line for line in lines if line["event"] == "learnt"]
    assert 0 <= learnt["before"] <= 1
    assert learnt["after"] > 0.8
    last = lines[-1]
    assert (last["event"], last["outcome"], last["rounds"]) == ("task-over", "done", 4)
    assert last["bytes_up"] > 0
    assert last["bytes_down"] > 0

    packets = list(read_capture(capture))
    senders = {packet.peer for packet in packets}
    assert len(senders) == 5  # four devices and the operator
    everything = b"".join(packet.packet for packet in packets)
    assert b"accuracy" not in everything
    assert b"learnt" not in everything


async def test_a_queued_and_a_waiting_task_can_be_cancelled(stage: Stage) -> None:
    await stage.aggregator()  # and no device: the first task waits, the second is queued
    client = await stage.client()
    first = await client.submit(EvaluateConfig(), COHORT)
    second = await client.submit(EvaluateConfig(), COHORT)
    watching = asyncio.create_task(follow(client, first))
    assert (await client.cancel(first)).phase is TaskPhase.CANCELLED
    assert (await client.cancel(second)).phase is TaskPhase.CANCELLED
    assert (await watching)[-1].event == "cancelled"
    with pytest.raises(ConfigError, match="is over already"):
        await client.cancel(first)
    with pytest.raises(ConfigError, match="has no result: it is cancelled"):
        await client.result(first)


async def test_a_running_task_can_be_cancelled(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    agents = await stage.agents(4)
    task = await aggregator.submit(toy_config(rounds=500), COHORT, DEADLINES)
    async for report in task.reports():
        if report.event == "round":
            task.cancel()
            break
    with pytest.raises(TaskEnded, match="cancelled by an operator"):
        await task.result()
    assert task.status.aggregations < 500
    assert await until_over(agents[0]) == "cancelled"


async def test_who_waits_for_a_task_is_told_when_the_aggregator_stops(stage: Stage) -> None:
    """It once waited for ever: the task goes on at the next start, but not here."""
    async with stage.new_aggregator() as aggregator:
        task = await aggregator.submit(EvaluateConfig(), COHORT)  # no device comes
        result = asyncio.create_task(task.result())
        reports = asyncio.create_task(_all(task.reports()))
        await asyncio.sleep(0)
    for waiting in (result, reports):
        with pytest.raises(AggregatorStopped, match="its next start goes on with the task"):
            await asyncio.wait_for(waiting, 10)


async def _all(reports: AsyncIterator[TaskReport]) -> list[TaskReport]:
    return [report async for report in reports]


async def test_what_cannot_be_run_is_refused_in_words(stage: Stage) -> None:
    await stage.aggregator()
    client = await stage.client()
    with pytest.raises(ConfigError, match="least must be 3 or more"):
        await client.submit(EvaluateConfig(), Cohort(least=2, most=4))
    with pytest.raises(ConfigError, match="is no config of a registered algorithm"):
        await client.submit(object(), COHORT)
    assert await client.list() == ()


async def test_a_viewer_looks_and_changes_nothing(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await aggregator.submit(EvaluateConfig(), COHORT, name="seen")
    viewer = await stage.client(stage.federation.enrol(Role.VIEWER, "viewer"))
    (status,) = await viewer.list()
    assert status.name == "seen"
    for forbidden in (viewer.cancel(status.task), viewer.submit(EvaluateConfig(), COHORT)):
        with pytest.raises(Rejected, match="a viewer may list, watch and fetch"):
            await forbidden
    assert (await viewer.list())[0].phase is TaskPhase.WAITING


async def test_who_does_not_belong_is_turned_away(stage: Stage, tmp_path: Path) -> None:
    await stage.aggregator()
    stranger = Loopback.create(tmp_path / "elsewhere").operator
    link = GrpcLink(f"grpcs://127.0.0.1:{stage.port}", TlsFiles.of(stranger))
    with pytest.raises((Rejected, Unreachable)):
        async with Client(link, stranger, patience_s=3):
            pass
    borrowed = GrpcLink(f"grpcs://127.0.0.1:{stage.port}", TlsFiles.of(stage.federation.operator))
    with pytest.raises(Rejected):
        async with Client(borrowed, stranger, patience_s=3):
            pass


async def test_a_policy_that_wants_a_larger_crowd_declines(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    agents = await stage.agents(4, Policy(least_cohort=5))
    task = await aggregator.submit(EvaluateConfig(), COHORT, DEADLINES)
    async for outcome in agents[0].outcomes():
        assert "a cohort of 3; 5 asked" in str(outcome)
        break
    async for report in task.reports():
        if report.event == "declined":
            assert report.status.detail.endswith("declined (O1)")
            break
    assert task.status.aggregations == 0
