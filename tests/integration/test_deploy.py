"""Commands of `deploy/` are run: those of systemd's units, those of compose outside containers.

Paths and ports of the files are led into the test's folder; everything else is as it is shipped.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity
from dreamshare_edge.config import AgentConfig, LearnerConfig, load_config
from tests.architecture.test_deploy import DEPLOY, of_stage, setting
from tests.integration.children import ROOT, Child, child
from tests.integration.toy import ALGORITHMS, toy_config
from tests.mosquitto import configured
from tests.postgres import PASSWORD, Cluster
from tests.services import free_port, need, tethered

pytestmark = pytest.mark.integration

UNITS = DEPLOY / "systemd"
PATIENCE_S = 100.0


@dataclass(frozen=True)
class Site:
    """Where a deployment's paths and ports lie in this test."""

    places: Mapping[str, str]

    @classmethod
    def under(cls, path: Path) -> Site:
        ports = {f":{port}": f":{free_port()}" for port in (7443, 7444, 7480)}
        for folder in ("etc", "state", "agents", "backups", "run"):
            (path / folder).mkdir(mode=0o700)
        return cls(
            {
                "/opt/dreamshare/bin/dreamshare": f"{sys.executable} -m dreamshare_cli",
                "/etc/dreamshare": str(path / "etc"),
                "/var/lib/dreamshare-agent": str(path / "agents"),
                "/var/lib/dreamshare": str(path / "state"),
                "/var/backups/dreamshare": str(path / "backups"),
                "/run/dreamshare-agent": str(path / "run"),
                "/usr/local/lib/dreamshare": str(DEPLOY / "docker"),
                "aggregator.example": "localhost",
                "0.0.0.0": "127.0.0.1",
                "%i": "kitchen",
                "%%": "%",
                "$$": "$",
                **ports,
            }
        )

    def led(self, text: str) -> str:
        for shipped, here in self.places.items():
            text = text.replace(shipped, here)
        return text

    def command(self, unit: str, key: str = "ExecStart") -> list[str]:
        (line,) = setting(UNITS / unit, key)
        return shlex.split(self.led(line))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}


async def run(*words: str, code: int = 0) -> str:
    """Run a program to its end; return its output."""
    process = await asyncio.create_subprocess_exec(
        *tethered(words), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    async with asyncio.timeout(PATIENCE_S):
        out, _ = await process.communicate()
    assert process.returncode == code, (words, out.decode())
    return out.decode()


async def dreamshare(*words: str) -> str:
    return await run(sys.executable, "-m", "dreamshare_cli", *words)


async def started(stack: AsyncExitStack, command: list[str]) -> Child:
    """Run a unit's command, which is `python -m dreamshare_cli ...`, until the end of the test."""
    assert command[:3] == [sys.executable, "-m", "dreamshare_cli"]
    words = [word for word in command[3:] if word != "--json"]
    return await stack.enter_async_context(child("dreamshare_cli", *words, "--json"))


async def is_healthy(site: Site) -> None:
    (check,) = of_stage("aggregator", "HEALTHCHECK")
    words = yaml.safe_load(check.partition("CMD ")[2])
    await run(sys.executable, *(site.led(word) for word in words[1:]))


@pytest.mark.long
async def test_the_install_guide_with_systemds_commands(tmp_path: Path) -> None:
    """docs/operations/install.md, from nothing to a device: an authority that is never online."""
    site, laptop = Site.under(tmp_path), str(tmp_path / "laptop")
    state, agents = tmp_path / "state", tmp_path / "agents"
    asked, answered = str(tmp_path / "asked"), str(tmp_path / "answered")
    (tmp_path / "etc" / "aggregator.toml").write_text(
        site.led((UNITS / "aggregator.toml").read_text())
    )

    async def token(*words: str) -> str:
        told = await dreamshare("enrol", "token", *words, "-f", laptop, "--json")
        return str(yaml.safe_load(told)["token"])

    await dreamshare(
        "enrol", "authority", "-f", laptop, "--link", site.led("grpcs://aggregator.example:7443")
    )
    invited = await token("hub", "--role", "aggregator", "--host", site.led("aggregator.example"))
    identity = ("--identity", str(state / "aggregator.key"))
    await dreamshare("enrol", "request", invited, *identity, "--out", asked)
    await dreamshare("enrol", "approve", "--requests", asked, "--answers", answered, "-f", laptop)
    await dreamshare("enrol", "accept", answered, *identity)

    unit = site.command("dreamshare-aggregator.service")
    await run(*unit, "--check")
    async with AsyncExitStack() as stack:
        aggregator = await started(stack, unit)
        await aggregator.event("listening")
        await is_healthy(site)
        assert "not due" in await run(*site.command("dreamshare-renew.service"))
        await run(*site.command("dreamshare-backup.service"))
        await run(*site.command("dreamshare-backup.service", "ExecStartPost"))
        (copy,) = (tmp_path / "backups").iterdir()
        assert (copy / "rounds.db").exists()

        invited = await token("kitchen", "--endpoint", site.led("grpcs://aggregator.example:7444"))
        home = agents / "kitchen"
        join = ("agent", "join", invited, "--enrol-only", "--json", "--dir", str(home))
        joining = await stack.enter_async_context(child("dreamshare_cli", *join))
        await joining.event("waiting")
        enrolment = str(state / "enrolment")
        await dreamshare("enrol", "export", "--enrolment", enrolment, "--out", asked)
        await dreamshare(
            "enrol", "approve", "--requests", asked, "--answers", answered, "-f", laptop
        )
        await dreamshare("enrol", "import", answered, "--enrolment", enrolment)
        await joining.event("enrolled")
        assert await joining.process.wait() == 0

        settings = home / "agent.toml"
        anchor = site.led('anchor_folder = "/run/dreamshare-agent/%i"\n')
        settings.write_text(anchor + settings.read_text())
        assert load_config(settings).anchor_folder == tmp_path / "run" / "kitchen"
        agent = await started(stack, site.command("dreamshare-agent@.service"))
        await agent.event("ready")
        assert await agent.end(signal.SIGTERM) == 0
        assert await aggregator.end(signal.SIGTERM) == 0


async def test_the_compose_stack_without_containers(tmp_path: Path, postgres: Cluster) -> None:
    """PostgreSQL with its password in a file, Mosquitto, and what compose.yaml would run."""
    site = Site.under(tmp_path)
    whole = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    (ready,) = need("PostgreSQL's client", "pg_isready")
    server, database = f"127.0.0.1:{postgres.port}", postgres.create().rpartition("/")[2]
    check = whole["services"]["postgres"]["healthcheck"]["test"]
    await run(str(ready), *check[2:], "-h", "127.0.0.1", "-p", str(postgres.port))
    passfile = tmp_path / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text(f"{server}:{database}:tester:{PASSWORD}\n")

    folder = FederationFolder(tmp_path / "federation")
    folder.create()
    shutil.copy(folder.aggregator, tmp_path / "state" / "aggregator.key")
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(configured(folder))
        shipped = (DEPLOY / "compose" / "aggregator.toml").read_text()
        text = (
            site.led(shipped)
            .replace("mqtts://broker:8883", broker.url)
            .replace("dreamshare@postgres:5432/rounds", f"tester@{server}/{database}")
            .replace("/run/secrets/pgpass", str(passfile))
        )
        (tmp_path / "etc" / "aggregator.toml").write_text(text)
        command = [site.led(word) for word in whole["services"]["aggregator"]["command"]]
        await dreamshare(*command, "--check")
        aggregator = await stack.enter_async_context(child("dreamshare_cli", *command))
        links = (await aggregator.event("listening"))["links"]
        assert isinstance(links, list)
        assert broker.url in links
        await is_healthy(site)
        home = folder.device("kitchen")
        folder.issue(Role.DEVICE, "kitchen", home / "device.key")
        learner = LearnerConfig("tests.integration.toy:make_equipment", {"device": 1})
        config = AgentConfig(link=broker.url, algorithms=ALGORITHMS, learner=learner)
        (home / "agent.toml").write_text(settings_text(config))
        agents = yaml.safe_load((DEPLOY / "compose" / "agent.yaml").read_text())
        words = agents["services"]["agent"]["command"]
        words = [word.replace("/var/lib/dreamshare", str(home)) for word in words]
        agent = await stack.enter_async_context(child("dreamshare_cli", *words))
        await agent.event("ready")
        operator = Identity.load(folder.operator)
        link = GrpcLink(str(links[0]), TlsFiles.of(operator))
        client = await stack.enter_async_context(Client(link, operator))
        task = await client.submit(toy_config(), Cohort(3, 3), Deadlines(60, 60, 60))
        async for report in client.watch(task):
            if report.status.detail.startswith("1 here"):
                break
        assert await agent.end(signal.SIGTERM) == 0
        assert await aggregator.end(signal.SIGTERM) == 0
