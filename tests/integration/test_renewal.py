"""A running agent renews its certificate and goes on; the aggregator learns who is revoked."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.algorithms.fedavg import FedAvgConfig
from dreamshare.clock import SystemClock
from dreamshare.protocol.messages import Cohort, TaskPhase
from dreamshare.settings import settings_text
from dreamshare_cli.command import execute
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig
from dreamshare_edge.sample import ALGORITHMS, FACTORY, SampleLearner
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.test_join import DEADLINES, Site, up

pytestmark = pytest.mark.integration

SHORT_S = 120
"""Life of a certificate whose last third has begun: validity starts 300 s before its issue."""


def device(site: Site, name: str, life_s: int) -> Path:
    """Lay a device out; return its settings file."""
    home = site.path / name
    home.mkdir()
    with site.folder.locked() as authority:
        identity = authority.issue(
            Role.DEVICE, name, SystemEntropy(), SystemClock().now(), life_s=life_s
        )
        authority.save(site.folder.authority)
    identity.save(home / "device.key")
    config = AgentConfig(
        link=site.folder.link(),
        enrol=(site.folder.enrol(),),
        algorithms=ALGORITHMS,
        learner=LearnerConfig(FACTORY, {"seed": 1}),
    )
    (home / "agent.toml").write_text(settings_text(config))
    return home / "agent.toml"


async def test_running_agents_renew_and_the_task_goes_on(tmp_path: Path) -> None:
    values = FedAvgConfig.of_model(SampleLearner().parameters(), SampleLearner.classes)
    async with up(tmp_path) as site, AsyncExitStack() as stack:
        settings = [device(site, f"device-{n}", SHORT_S) for n in range(3)]
        before = [Identity.load(path.parent / "device.key") for path in settings]
        agents = [
            await stack.enter_async_context(child("dreamshare_edge", "--json", "--config", str(p)))
            for p in settings
        ]
        client = await stack.enter_async_context(site.client())
        task = await client.submit(values, Cohort(least=3, most=3), DEADLINES)
        for agent in agents:
            await agent.event("renewed")
        reports = await follow(client, task)
        assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
        for path, old in zip(settings, before, strict=True):
            new = Identity.load(path.parent / "device.key")
            assert (new.id, new.certificate.ik) == (old.id, old.certificate.ik)
            assert new.certificate.not_after > old.certificate.not_after + 80 * 86_400
            assert not (path.parent / "device.key.pending").exists()
        again = await client.submit(values, Cohort(least=3, most=3), DEADLINES)
        reports = await follow(client, again)
        assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
        for agent in agents:
            assert await agent.end(signal.SIGTERM) == 0


async def test_a_revoked_device_is_sent_away_by_the_running_aggregator(tmp_path: Path) -> None:
    async with up(tmp_path) as site, AsyncExitStack() as stack:
        settings = device(site, "phone", 90 * 86_400)
        agent = await stack.enter_async_context(
            child("dreamshare_edge", "--json", "--config", str(settings))
        )
        await agent.event("ready")
        serial = Identity.load(settings.parent / "device.key").certificate.serial
        folder = str(site.folder.folder)
        assert execute(["enrol", "revoke", str(serial), "--federation", folder]) == 0
        assert await agent.process.wait() == 4
        async with child("dreamshare_edge", "--json", "--config", str(settings)) as again:
            assert await again.process.wait() == 4
