"""What docs/operations tells an operator to type, typed: back up, restore, renew.

The other walks of the guide: `test_deploy.py` (install), `test_up_walk.py` (first run),
`test_takeover.py` (a second aggregator), `tests/unit/shells/test_enrol_verbs.py` (by file).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.command import execute
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.identity import Identity
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.toy import Loopback, toy_config
from tests.services import free_port

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


class Guide:
    """A federation, its settings file, and whoever types."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.folder = FederationFolder(path / "federation")
        self.folder.create(f"grpcs://127.0.0.1:{self.port}")
        self.config = path / "aggregator.toml"
        self.serve_as(self.folder.aggregator)

    def serve_as(self, identity: Path) -> None:
        self.config.write_text(
            f'listen = ["grpcs://127.0.0.1:{self.port}"]\n'
            f'identity = "{identity}"\n'
            'store = "sqlite:///rounds.db"\n'
        )

    def lose_the_store(self) -> None:
        for path in self.path.glob("rounds.db*"):
            path.rename(self.path / f"lost-{path.name}")

    async def types(self, *words: str, code: int = 0) -> None:
        assert await asyncio.to_thread(execute, words) == code, words

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        arguments = ("up", "--json", "--config", str(self.config))
        async with child("dreamshare_cli", *arguments) as process:
            await process.event("listening")
            yield
            assert await process.end(signal.SIGTERM) == 0

    def client(self) -> Client:
        who = Identity.load(self.folder.operator)
        return Client(GrpcLink(f"grpcs://127.0.0.1:{self.port}", TlsFiles.of(who)), who)


async def sums(client: Client, task: TaskId, count: int, after: int = 0) -> int:
    """Return the number of the report with which a task has closed so many sums."""
    async for report in client.watch(task, after):
        if report.status.aggregations == count:
            return report.number
    raise AssertionError("the task ended before")


async def test_back_up_restore_and_renew(tmp_path: Path) -> None:
    """Devices that were enrolled before take part in all of it, and are told nothing."""
    guide, backup = Guide(tmp_path), tmp_path / "backups" / "monday"
    config, store = ("--config", str(guide.config)), tmp_path / "rounds.db"
    folder = ("-f", str(guide.folder.folder))
    devices = Loopback(guide.folder)
    async with AsyncExitStack() as stack:
        async with guide.up():
            for number in range(4):
                await stack.enter_async_context(devices.agent(number, guide.port))
            client = await stack.enter_async_context(guide.client())
            task = await client.submit(toy_config(rounds=8), COHORT, DEADLINES)
            seen = await sums(client, task, 2)
            await guide.types("store", "backup", str(backup), *config)
            await sums(client, task, 4, seen)

        # the machine is lost, and its certificate was due
        guide.lose_the_store()
        await guide.types("store", "restore", str(backup), *config)
        await guide.types("store", "check", *config)
        identity = ("--identity", str(guide.folder.aggregator))
        before = Identity.load(guide.folder.aggregator)
        asked, answered = str(tmp_path / "asked"), str(tmp_path / "answered")
        await guide.types("enrol", "renew", *identity, "--out", asked)
        await guide.types("enrol", "approve", "--requests", asked, "--answers", answered, *folder)
        await guide.types("enrol", "accept", answered, *identity)
        after = Identity.load(guide.folder.aggregator)
        assert (after.id, after.certificate.serial) > (before.id, before.certificate.serial)
        await guide.types("up", "--check", *config)
        async with guide.up():
            reports = await follow(client, task)
            assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
            assert reports[-1].status.aggregations == 10  # start, eight rounds, evaluation
            assert reports[-1].status.secure_aggregation
    assert store.exists()


async def test_another_key_for_the_aggregator(tmp_path: Path) -> None:
    """A second identity, the first revoked; agents that were enrolled before are started again."""
    guide = Guide(tmp_path)
    folder = ("-f", str(guide.folder.folder))
    devices = Loopback(guide.folder)
    met = set()
    fresh = tmp_path / "fresh.key"
    for identity in (guide.folder.aggregator, fresh):
        if identity is fresh:
            await guide.types("enrol", "aggregator", "fresh", "--out", str(fresh), *folder)
            await guide.types("enrol", "revoke", "aggregator", *folder)
            guide.serve_as(fresh)
        async with guide.up(), AsyncExitStack() as stack:
            for number in range(4):
                await stack.enter_async_context(devices.agent(number, guide.port))
            client = await stack.enter_async_context(guide.client())
            task = await client.submit(toy_config(rounds=1), COHORT, DEADLINES, seed=len(met))
            async for report in client.watch(task):
                if report.event == "epoch":
                    break
            met.add(Identity.load(identity).id)
            await client.cancel(task)
    assert len(met) == 2
