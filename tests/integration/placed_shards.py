"""`dreamshare up` with placed shards, as a process that tests watch by its log and its probes."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines, TaskStatus
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import PublicArray
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.placed import PlacedConfig
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.web.settings import WebConfig
from tests.integration.children import Child, child
from tests.integration.toy import Loopback, toy_config
from tests.integration.web.pages import Visitor
from tests.services import free_port

Arrays = Mapping[str, PublicArray]
AGENTS, ROUNDS = 4, 6
CONFIG = dataclasses.replace(toy_config(ROUNDS), batch=60)
"""Every example in every step: what a device gives depends on no draw but that of its rounding."""

COHORT, DEADLINES = Cohort(AGENTS, AGENTS), Deadlines(30, 30, 30)
BEGINS = re.compile(r"placed shard (\d+): begins on \S+, process (\d+),")


class Site:
    """A federation whose aggregator places two shards; `start` may be called again."""

    def __init__(self, path: Path) -> None:
        self.federation = Loopback.create(path)
        self.port = free_port()
        self.shards = free_ports(2)
        self.log = path / "log"
        self._settings = path / "aggregator.toml"
        self._page = ""

    def settle(self, placed: PlacedConfig, shards: str = "") -> None:
        """Write the settings file."""
        folder = self.federation.folder
        config = AggregatorConfig(
            listen=(f"grpcs://127.0.0.1:{self.port}",),
            identity=folder.aggregator.absolute(),
            shards=shards,
            placed_shards=placed,
        )
        self.write(config)

    def write(self, config: AggregatorConfig) -> None:
        """Write the settings file; page and log are as the other methods want them."""
        web = WebConfig(listen="http://127.0.0.1:0", open_metrics=True)
        self._settings.write_text(
            settings_text(dataclasses.replace(config, log_level="info", web=web))
        )

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Child]:
        """Run the aggregator; its shards are here when the block begins."""
        with self.log.open("wb") as log:
            arguments = ("up", "--json", "--config", str(self._settings))
            async with child("dreamshare_cli", *arguments, stderr=log) as process:
                listening = await process.event("listening")
                page = listening["page"]
                assert isinstance(page, dict)
                self._page = page["url"]
                await self.until_healthy("shards 2 of 2")
                yield process

    async def until_healthy(self, line: str) -> None:
        """Return when the health probe says so."""
        visitor = Visitor(self._page)
        async with asyncio.timeout(90.0):
            while True:
                answer = await visitor.ask("GET", "/healthz")
                if line in answer.body.decode().splitlines():
                    return
                await asyncio.sleep(0.05)

    def processes(self) -> dict[int, int]:
        """Return the newest process of every shard, by its number from 1, as the log says."""
        found = BEGINS.findall(self.log.read_text())
        return {int(number): int(process) for number, process in found}

    async def agents(self, stack: AsyncExitStack) -> None:
        """Open agents, spread over the shards; each knows the other one's address, too."""
        for number in range(AGENTS):
            first, other = self.shards if number % 2 == 0 else self.shards[::-1]
            await stack.enter_async_context(
                self.federation.agent(number, first, others=(other, self.port))
            )

    def client(self) -> Client:
        operator = self.federation.operator
        return Client(GrpcLink(f"grpcs://127.0.0.1:{self.port}", TlsFiles.of(operator)), operator)


async def run_and_kill(site: Site, number: int) -> tuple[TaskStatus, Arrays]:
    """Run a task; SIGKILL a shard amid it. Return how it ended, and its result.

    Every sum is over all devices, each once.
    """
    async with AsyncExitStack() as stack:
        await site.agents(stack)
        client = await stack.enter_async_context(site.client())
        return await submit_and_kill(site, client, number)


async def submit_and_kill(site: Site, client: Client, number: int) -> tuple[TaskStatus, Arrays]:
    """Do the same where agents are here already."""
    task = await client.submit(CONFIG, COHORT, DEADLINES)
    killed = False
    async for report in client.watch(task):
        if report.status.aggregations >= 3 and not killed:
            os.kill(site.processes()[number], signal.SIGKILL)
            killed = True
        if report.event == "round":
            assert (report.metrics["survivors"], report.metrics["weight_sum"]) == (4.0, 4.0)
    return await client.status(task), (await client.result(task)).arrays


async def run_without_shards(federation: Loopback, path: Path) -> Arrays:
    """Return the same devices' result at an aggregator that is one process.

    They forget what they answered before: a device answers a payload once.
    """
    for number in range(AGENTS):
        shutil.rmtree(federation.folder.folder / f"home-{number}")
    listener = federation.listener()
    store = open_store(f"sqlite:///{path / 'alone.db'}")
    async with AsyncExitStack() as stack:
        aggregator = await stack.enter_async_context(
            Aggregator([listener], store, federation.aggregator)
        )
        for number in range(AGENTS):
            await stack.enter_async_context(federation.agent(number, listener.port))
        task = await aggregator.submit(CONFIG, COHORT, DEADLINES)
        return (await task.result()).arrays


def same(one: Arrays, other: Arrays) -> bool:
    """Whether two runs of the same devices agree but for the rounding of what they sent."""
    names = set(one) | set(other)
    return all(np.allclose(one[name], other[name], rtol=0, atol=5e-3) for name in names)


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of loopback in a row that nobody listens on at this moment."""
    while True:
        first = free_port()
        ports = tuple(range(first, first + count))
        if not any(listens(port) for port in ports):
            return ports


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


async def until_listening(ports: tuple[int, ...]) -> None:
    """Return when somebody listens on all of them: a shard calls its root before it does."""
    async with asyncio.timeout(30.0):
        for port in ports:
            while True:
                if listens(port):
                    break
                await asyncio.sleep(0.02)


async def until_gone(processes: dict[int, int]) -> None:
    """Return when none of these processes runs any more."""
    async with asyncio.timeout(30.0):
        for process in processes.values():
            while True:
                if not _runs(process):
                    break
                await asyncio.sleep(0.02)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # nobody here is there to collect orphans
