"""Every party a process of its own, at a broker that `dreamshare broker config` configured."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.settings import settings_text
from dreamshare.transport.ways import link_to
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig
from tests.integration.children import child
from tests.integration.toy import ALGORITHMS, toy_config
from tests.mosquitto import Configured, configured

pytestmark = pytest.mark.integration

COHORT = Cohort(least=3, most=3)
DEADLINES = Deadlines(setup_s=60, collect_s=60, reveal_s=60)


async def test_up_and_agents_over_a_broker_that_is_killed(tmp_path: Path) -> None:
    """Settings files alone: `up --config`, three `dreamshare_edge`, SIGKILL of Mosquitto."""
    folder = FederationFolder(tmp_path / "federation")
    folder.create()
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(configured(folder))
        up = AggregatorConfig(
            listen=(broker.url,),
            identity=folder.aggregator,
            store=f"sqlite:///{tmp_path}/rounds.db",
        )
        settings = tmp_path / "aggregator.toml"
        settings.write_text(settings_text(up))
        arguments = ("up", "--json", "--config", str(settings))
        aggregator = await stack.enter_async_context(child("dreamshare_cli", *arguments))
        assert (await aggregator.event("listening"))["links"] == [broker.url]
        for number in range(3):
            home = device(folder, number, broker)
            agent = child("dreamshare_edge", "--json", "--config", str(home / "agent.toml"))
            await (await stack.enter_async_context(agent)).event("ready")
        operator = Identity.load(folder.operator)
        client = await stack.enter_async_context(Client(link_to(broker.url, operator), operator))
        task = await client.submit(toy_config(rounds=6), COHORT, DEADLINES)
        killed, last = False, None
        async for report in client.watch(task):
            last = report.status
            if not killed and last.aggregations >= 2:
                killed = True
                broker.kill()
                broker.start()
        assert last is not None
        assert last.phase is TaskPhase.DONE, last.detail
        assert last.aggregations == 8  # start, six rounds, evaluation
        assert await aggregator.end(signal.SIGTERM) == 0


def device(folder: FederationFolder, number: int, broker: Configured) -> Path:
    home = folder.device(f"toy-{number}")
    folder.issue(Role.DEVICE, f"toy-{number}", home / "device.key")
    config = AgentConfig(
        link=broker.url,
        algorithms=ALGORITHMS,
        learner=LearnerConfig("tests.integration.toy:make_equipment", {"device": number}),
    )
    (home / "agent.toml").write_text(settings_text(config))
    return home


def test_the_broker_says_what_it_does_not_take(tmp_path: Path) -> None:
    """A device of the federation that calls a broker of another one is told so, and ends."""
    folder = FederationFolder(tmp_path / "federation")
    folder.create()
    other = FederationFolder(tmp_path / "other")
    other.create()
    with configured(other) as broker:
        home = device(folder, 1, broker)
        command = [sys.executable, "-m", "dreamshare_edge", "--config", str(home / "agent.toml")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 4, ended.stderr
        assert "does not trust" in ended.stderr
