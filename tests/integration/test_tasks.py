"""Several tasks over one fleet: at once, in turns, paused, resumed, submitted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dreamshare.algorithms.catalog import config_json_of
from dreamshare.algorithms.evaluate import EvaluateConfig
from dreamshare.errors import ConfigError, Rejected
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Cohort, Deadlines, Submit, TaskPhase, TaskReport
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_crypto.certificates import Role
from dreamshare_edge import Conditions, ManualConditions, Policy
from tests.integration.stage import Stage, follow, sums
from tests.integration.toy import toy_config

pytestmark = pytest.mark.integration

COHORT = Cohort(4, 4)
DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, stack)


async def test_tasks_run_at_once_and_every_one_ends_with_its_own_result(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await stage.agents(4)
    tasks = [
        await aggregator.submit(toy_config(rounds), COHORT, DEADLINES, name=str(rounds))
        for rounds in (6, 7)
    ]
    await asyncio.gather(*(sums(task, 1) for task in tasks))
    assert {task.status.phase for task in tasks} <= {TaskPhase.RUNNING, TaskPhase.SETTING_UP}
    results = [await task.result() for task in tasks]
    assert [result.status.aggregations for result in results] == [8, 9]
    assert [result.status.planned for result in results] == [8, 9]
    assert all(result.status.secure_aggregation for result in results)


async def test_with_room_for_one_task_two_take_turns_and_keep_their_epochs(stage: Stage) -> None:
    aggregator = await stage.aggregator(turns=TurnSettings(at_once=1, rounds=2))
    await stage.agents(4)
    first = await aggregator.submit(toy_config(7), COHORT, DEADLINES)
    second = await aggregator.submit(toy_config(8), COHORT, DEADLINES)
    await second.result()
    await first.result()
    for task in (first, second):
        events = [report.event async for report in task.reports()]
        assert events.count("epoch") == 1, "a task that waits for its turn keeps its epoch"
    order = [r.number async for r in second.reports() if r.event == "round"]
    assert len(order) == 10


async def test_a_task_without_devices_keeps_nobody_from_running(stage: Stage) -> None:
    aggregator = await stage.aggregator(turns=TurnSettings(at_once=1, patience_s=0.2))
    await stage.agents(4)
    starving = await aggregator.submit(toy_config(3), Cohort(9, 9), DEADLINES)
    fed = await aggregator.submit(toy_config(2), COHORT, DEADLINES)
    assert (await fed.result()).status.phase is TaskPhase.DONE
    assert starving.status.phase is TaskPhase.WAITING


async def test_a_paused_task_stays_so_over_a_restart_and_then_goes_on(stage: Stage) -> None:
    async with stage.new_aggregator() as first:
        stage.note_port()
        await stage.agents(4)
        client = await stage.client()
        task = await first.submit(toy_config(rounds=12), COHORT, DEADLINES)
        await sums(task, 3)
        status = await client.pause(task.id)
        assert (status.phase, status.detail) == (TaskPhase.PAUSED, "paused by an operator")
        assert (await client.pause(task.id)).phase is TaskPhase.PAUSED, "twice is once"
    count = task.status.aggregations

    second = await stage.aggregator()
    again = second.task(task.id)
    other = await second.submit(toy_config(rounds=1), COHORT, DEADLINES)
    await other.result()
    assert (again.status.phase, again.status.aggregations) == (TaskPhase.PAUSED, count)
    watching = asyncio.create_task(follow(client, task.id))
    await client.resume(task.id)
    reports = await watching
    assert (reports[-1].status.phase, reports[-1].status.aggregations) == (TaskPhase.DONE, 14)
    assert [r.number for r in reports] == list(range(1, len(reports) + 1))
    events = [report.event for report in reports]
    assert (events.count("paused"), events.count("unpaused")) == (1, 1)
    with pytest.raises(ConfigError, match="is over: it is done"):
        await client.pause(task.id)


async def test_a_paused_task_keeps_its_epoch_and_can_be_cancelled(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await stage.agents(4)
    task = await aggregator.submit(toy_config(rounds=300), COHORT, DEADLINES)
    await sums(task, 2)
    await task.pause()
    quiet = await aggregator.submit(toy_config(rounds=1), COHORT, DEADLINES)
    await quiet.result()  # whatever was open when it was paused is over by now
    count = task.status.aggregations
    await task.resume()
    await sums(task, count + 2)
    events = [r.event async for r in _until(aggregator.task(task.id).reports(), count + 2)]
    assert events.count("epoch") == 1
    await task.pause(give_up=True)
    client = await stage.client()
    assert (await client.cancel(task.id)).phase is TaskPhase.CANCELLED


async def _until(reports: AsyncIterator[TaskReport], count: int) -> AsyncIterator[TaskReport]:
    async for report in reports:
        yield report
        if report.status.aggregations >= count:
            return


async def test_a_submission_that_comes_twice_is_taken_once(stage: Stage) -> None:
    algorithm, config = config_json_of(EvaluateConfig())
    order = Submit(algorithm, config, COHORT, key=b"k" * 16, name="once")
    async with stage.new_aggregator() as aggregator:
        stage.note_port()
        client = await stage.client()
        first, second = await asyncio.gather(client.order(order), client.order(order))
        assert first.task == second.task
        assert len(aggregator.tasks()) == 1
        with pytest.raises(ConfigError, match="another submission had this key"):
            await client.order(replace(order, name="another"))
        assert (await client.order(replace(order, key=b""))).task != first.task
    await stage.aggregator()
    assert (await client.order(order)).task == first.task, "also after a restart"


async def test_a_submission_is_sent_again_to_an_aggregator_that_was_restarted(
    stage: Stage,
) -> None:
    async with stage.new_aggregator():
        stage.note_port()
        client = await stage.client()
    submitting = asyncio.create_task(client.submit(EvaluateConfig(), COHORT))
    aggregator = await stage.aggregator()
    task = await submitting
    assert [status.task for status in aggregator.tasks()] == [task]


async def test_a_viewer_pauses_and_resumes_nothing(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    task = (await aggregator.submit(EvaluateConfig(), COHORT)).id
    viewer = await stage.client(stage.federation.enrol(Role.VIEWER, "viewer"))
    for forbidden in (viewer.pause(task), viewer.resume(task)):
        with pytest.raises(Rejected, match="takes an operator's identity"):
            await forbidden
    assert aggregator.task(TaskId(task)).status.phase is TaskPhase.WAITING


async def test_a_watcher_misses_nothing_over_a_restart_of_the_aggregator(stage: Stage) -> None:
    async with stage.new_aggregator() as first:
        stage.note_port()
        await stage.agents(4)
        client = await stage.client()
        task = await first.submit(toy_config(rounds=10), COHORT, DEADLINES)
        watching = asyncio.create_task(follow(client, task.id))
        await sums(task, 3)
    await stage.aggregator()
    reports = await watching
    assert [report.number for report in reports] == list(range(1, len(reports) + 1))
    assert (reports[-1].status.phase, reports[-1].status.aggregations) == (TaskPhase.DONE, 12)


async def test_what_a_slow_watcher_has_not_read_does_not_come_twice_after_a_restart(
    stage: Stage,
) -> None:
    async with stage.new_aggregator() as first:
        stage.note_port()
        await stage.agents(4)
        client = await stage.client()
        task = await first.submit(toy_config(rounds=10), COHORT, DEADLINES)
        reports = client.watch(task.id)
        read = [await anext(reports)]
        await sums(task, 3)
        await client.list()  # replies come in their order: more reports have arrived by now
    await stage.aggregator()
    await client.list()  # connected again, and what was open has been asked again
    read += [report async for report in reports]
    assert [report.number for report in read] == list(range(1, len(read) + 1))
    assert read[-1].status.phase is TaskPhase.DONE


async def test_a_device_off_its_charger_is_not_chosen_until_it_is_back(stage: Stage) -> None:
    aggregator = await stage.aggregator()
    await stage.agents(3)
    power = ManualConditions(Conditions(charging=False))
    fourth = stage.federation.agent(
        3, stage.port, Policy(on_charger=True), conditions=power, attributes={"region": "eu"}
    )
    async with fourth:
        client = await stage.client()
        while len(found := await client.devices()) < 4 or not all(d.connected for d in found):
            await client.list()
        offers = {device.device: device.algorithms for device in await client.devices()}
        assert offers[fourth.device] == ()
        task = await aggregator.submit(toy_config(rounds=40), Cohort(3, 4), DEADLINES)
        await sums(task, 2)
        assert task.status.roster == 3
        power.change(Conditions(charging=True))
        fourth.conditions_changed()
        async for report in task.reports():
            if report.status.roster == 4:
                break
        (seen,) = [d for d in await client.devices() if d.device == fourth.device]
        assert seen.algorithms
        assert seen.attributes == {"region": "eu"}
        await client.cancel(task.id)
