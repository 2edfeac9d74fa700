"""A root at a real Mosquitto, shards as processes with seats there, and agents that know a broker.

Rules: devices are told one address and nothing of shards; a shard is killed by SIGKILL.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from dreamshare.client import Client
from dreamshare.driver.seating import Shard
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.transport.ways import link_to, listener_at
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_crypto.certificates import Role
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as EdgeSurroundings
from tests.integration.children import Child, child
from tests.integration.shard_kills import GRACE_S
from tests.integration.toy import ALGORITHMS, Toy, toy_data
from tests.mosquitto import Broker
from tests.services import free_port

PATIENCE_S = 60.0


class BrokerStage:
    """Everything that is opened is closed with the stack."""

    def __init__(self, broker: Broker, path: Path, stack: AsyncExitStack) -> None:
        self.broker = broker
        self._path = path
        self._stack = stack
        self._serving = AsyncExitStack()
        stack.push_async_callback(self._serving.aclose)
        self._trunks = f"127.0.0.1:{free_port()}"
        self._processes: dict[int, Child] = {}
        broker.aggregator.save(path / "aggregator.key")

    async def root(self) -> Aggregator:
        """Open the root; where it was open, end it before."""
        await self._serving.aclose()
        broker = self.broker
        self.aggregator = Aggregator(
            [listener_at(broker.url, broker.aggregator)],
            open_store(f"sqlite:///{self._path / 'rounds.db'}"),
            broker.aggregator,
            Surroundings(
                trunks=GrpcListener(self._trunks, TlsFiles.of(broker.aggregator)),
                grace_s=GRACE_S,
            ),
        )
        return await self._serving.enter_async_context(self.aggregator)

    def shards(self) -> list[Shard]:
        """Return the shards that are at the broker, as the root sees them."""
        driver = self.aggregator._driver
        assert driver is not None
        assert driver._shards is not None
        shards = driver._shards._shards.values()
        return [shard for shard in shards if self.broker.url in shard.seats]

    async def start_shard(self, number: int) -> None:
        """Start the shard of seat 0 or 1, and return when the root knows that it is there."""
        before = {shard.number for shard in self.shards()}
        seat = self._path / f"seat-{number}.pem"
        seat.touch(mode=0o600)
        seat.write_bytes(self.broker.seats[number])
        words = ["shard", f"grpcs://{self._trunks}", "--listen", self.broker.url]
        words += ["--identity", str(self._path / "aggregator.key"), "--seat", str(seat)]
        self._processes[number] = await self._stack.enter_async_context(
            child("dreamshare_cli", *words)
        )
        await self.until(lambda: any(shard.number not in before for shard in self.shards()))

    async def kill_shard(self, number: int) -> None:
        """SIGKILL."""
        await self._processes[number].end(signal.SIGKILL)

    async def agents(self, count: int) -> None:
        """Open agents, and return when every one has checked in somewhere."""
        for number in range(count):
            device = self.broker.device()
            agent = EdgeAgent(
                link=link_to(self.broker.url, device),
                learner=Toy(),
                data=toy_data(number),
                algorithms=ALGORITHMS,
                store=FileStore(self._path / f"home-{device.id.hex()}"),
                policy=Policy(),
                identity=device,
                surroundings=EdgeSurroundings(label=f"toy {number}"),
            )
            await self._stack.enter_async_context(agent)
        await self.until(lambda: sum(each.connected for each in self.aggregator.devices()) == count)

    async def operator(self) -> Client:
        """Open a client at the broker."""
        operator = self.broker.issue(Role.OPERATOR)
        client = Client(link_to(self.broker.url, operator), operator)
        return await self._stack.enter_async_context(client)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110  what is waited for is no event of ours
                await asyncio.sleep(0.05)


@asynccontextmanager
async def broker_stage(broker: Broker, path: Path, shards: int) -> AsyncIterator[BrokerStage]:
    """Open a root and shards."""
    async with AsyncExitStack() as stack:
        stage = BrokerStage(broker, path, stack)
        await stage.root()
        for number in range(shards):
            await stage.start_shard(number)
        yield stage
