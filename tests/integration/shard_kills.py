"""A federation with shards as processes, some of which are killed while a task runs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from dreamshare.protocol.messages import Cohort, Deadlines, TaskStatus
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from tests.integration.children import Child, child
from tests.integration.stage import sums
from tests.integration.toy import Loopback, toy_config
from tests.services import free_port

GRACE_S = 30.0
"""Devices whose shards die again and again wait longer each time, and are waited for."""


class ShardStage:
    """A root, shards in processes of their own, and agents that know every address."""

    def __init__(self, path: Path, stack: AsyncExitStack, shards: int) -> None:
        self.federation = Loopback.create(path)
        self._path = path
        self._stack = stack
        self.root = free_port()
        self._trunks = free_port()
        self.ports = tuple(free_port() for _ in range(shards))
        self.shards: dict[int, Child] = {}

    async def open(self) -> Aggregator:
        """Start the root, then every shard."""
        federation = self.federation
        around = Surroundings(trunks=federation.listener(self._trunks), grace_s=GRACE_S)
        aggregator = Aggregator(
            [federation.listener(self.root)],
            open_store(f"sqlite:///{self._path / 'rounds.db'}"),
            federation.aggregator,
            around,
        )
        await self._stack.enter_async_context(aggregator)
        for port in self.ports:
            await self.start_shard(port)
        return aggregator

    async def start_shard(self, port: int) -> None:
        """Start the shard of a port, once more where it was killed."""
        arguments = ["shard", f"grpcs://127.0.0.1:{self._trunks}"]
        arguments += ["--listen", f"grpcs://127.0.0.1:{port}"]
        arguments += ["--identity", str(self.federation.folder.aggregator)]
        self.shards[port] = await self._stack.enter_async_context(
            child("dreamshare_cli", *arguments)
        )
        async with asyncio.timeout(60.0):
            await _until_it_listens(port)

    async def kill_shard(self, port: int) -> None:
        """SIGKILL."""
        await self.shards[port].end(signal.SIGKILL)

    async def agents(self, count: int) -> None:
        """Open agents, spread over the shards; each knows all other addresses and the root's."""
        for number in range(count):
            turn = number % len(self.ports)
            first, *others = (*self.ports[turn:], *self.ports[:turn], self.root)
            agent = self.federation.agent(number, first, others=tuple(others))
            await self._stack.enter_async_context(agent)


async def _until_it_listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


@asynccontextmanager
async def shard_stage(path: Path, shards: int) -> AsyncIterator[ShardStage]:
    """Everything that is opened is closed at the end of the block."""
    async with AsyncExitStack() as stack:
        yield ShardStage(path, stack, shards)


async def run_with_kills(
    stage: ShardStage, agents: int, rounds: int, kills: int, every: int
) -> TaskStatus:
    """Run a task and kill a shard after every so many sums; return how it ended."""
    aggregator = await stage.open()
    await stage.agents(agents)
    task = await aggregator.submit(
        toy_config(rounds), Cohort(agents, agents), Deadlines(30, 30, 30)
    )
    for number in range(kills):
        await sums(task, every * (number + 1))
        await asyncio.sleep(0.01 * number)  # at another moment of a round each time
        port = stage.ports[number % len(stage.ports)]
        await stage.kill_shard(port)
        if number + 1 < kills:
            await stage.start_shard(port)
    await task.result()
    return task.status
