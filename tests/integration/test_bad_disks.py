"""Disks of agents that are full, and disks that take their time: nothing is lost or repeated."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.settings import settings_text
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_edge.config import AgentConfig, LearnerConfig
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.test_service_process import operator, port_of
from tests.integration.toy import ALGORITHMS, Loopback, toy_config

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COHORT = Cohort(least=4, most=4)
PATIENT = Deadlines(setup_s=120, collect_s=120, reveal_s=120)
SLOW_S = 0.1


def configured(folder: FederationFolder, port: int) -> Path:
    """Return the settings of an agent that runs as a process."""
    home = folder.device("disk")
    folder.issue(Role.DEVICE, "disk", home / "device.key")
    config = AgentConfig(
        link=f"grpcs://127.0.0.1:{port}",
        algorithms=ALGORITHMS,
        learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": 3}),
    )
    path = home / "agent.toml"
    path.write_text(settings_text(config))
    return path


async def ends_whole(client: Client, task: TaskId) -> None:
    status = (await follow(client, task))[-1].status
    assert status.phase is TaskPhase.DONE, status.detail
    assert (status.aggregations, status.abandoned) == (14, 0)  # start, twelve rounds, evaluation
    assert status.roster == 4
    assert status.secure_aggregation


async def test_an_agent_whose_disk_is_full_stops_in_words_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    """The limit of a file's size, set on the running process, is what a full disk is to it."""
    folder = FederationFolder(tmp_path / "federation")
    up = ("up", "--json", "--federation", str(folder.folder), "--listen", "grpcs://127.0.0.1:0")
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(child("dreamshare_cli", *up))
        port = port_of(await serving.event("listening"))
        for device in range(3):
            await stack.enter_async_context(Loopback(folder).agent(device, port))
        words = ("--json", "--config", str(configured(folder, port)))
        client = await stack.enter_async_context(operator(folder, port))
        first = await stack.enter_async_context(
            child("dreamshare_edge", *words, stderr=subprocess.PIPE)
        )
        task = await client.submit(toy_config(rounds=12), COHORT, PATIENT)
        async for report in client.watch(task):
            if report.status.aggregations >= 3:
                break
        resource.prlimit(first.process.pid, resource.RLIMIT_FSIZE, (1, 1))
        async with asyncio.timeout(60):
            _, said = await first.process.communicate()
        assert first.process.returncode == 1
        text = said.decode()
        assert "File too large" in text
        assert "Traceback" not in text
        again = await stack.enter_async_context(child("dreamshare_edge", *words))
        await ends_whole(client, task)
        assert await again.end(signal.SIGTERM) == 0
        assert await serving.end(signal.SIGTERM) == 0


@pytest.mark.long
@pytest.mark.parametrize("slow", ["agent", "aggregator"])
async def test_a_disk_that_takes_its_time_costs_time_alone(tmp_path: Path, slow: str) -> None:
    def program(part: str, module: str, *words: str) -> tuple[str, ...]:
        if part != slow:
            return (module, *words)
        return ("tests.integration.slow_disk", str(SLOW_S), module, *words)

    folder = FederationFolder(tmp_path / "federation")
    up = ("up", "--json", "--federation", str(folder.folder), "--listen", "grpcs://127.0.0.1:0")
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(
            child(*program("aggregator", "dreamshare_cli", *up))
        )
        port = port_of(await serving.event("listening"))
        for device in range(3):
            await stack.enter_async_context(Loopback(folder).agent(device, port))
        words = ("--json", "--config", str(configured(folder, port)))
        agent = await stack.enter_async_context(child(*program("agent", "dreamshare_edge", *words)))
        client = await stack.enter_async_context(operator(folder, port))
        task = await client.submit(toy_config(rounds=12), COHORT, PATIENT)
        await ends_whole(client, task)
        assert await agent.end(signal.SIGTERM) == 0
        assert await serving.end(signal.SIGTERM) == 0
