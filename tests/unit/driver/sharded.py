"""A root, its shards and devices on memory networks: every driver is real, and time jumps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.device import DeviceDriver
from dreamshare.driver.shard import serve_shard
from dreamshare.driver.waiting import stop
from dreamshare.engine import InlineEngine
from dreamshare.transport.memory import MemoryNetwork
from tests.unit.driver.stage import BACKOFF, Handset, Stage


class ShardedStage(Stage):
    """A stage whose devices come in at shards 1, 2, ... or, as 0, at the root itself."""

    def __init__(self, devices: int, shards: int) -> None:
        super().__init__(devices)
        self.trunks = MemoryNetwork(self.clock)
        self.places = {number: MemoryNetwork(self.clock) for number in range(1, shards + 1)}
        self.places[0] = self.network
        self.shards: dict[int, asyncio.Task[None]] = {}
        self.aggregator = AggregatorDriver(
            [self.network.listener()],
            self.identity,
            self.clock,
            self.office,
            trace=self.facts.append,
            trunks=self.trunks.listener(),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with super().open():
            for number in self.places.keys() - {0}:
                self.start_shard(number)
            try:
                yield
            finally:
                for handset in self.handsets:
                    await self.kill(handset)
                await stop(*self.shards.values())

    def start_shard(self, number: int) -> None:
        """Begin a shard's process."""
        place, name = self.places[number], self.identity.id.hex()
        self.shards[number] = asyncio.ensure_future(
            serve_shard(
                self.trunks.link(name),
                lambda _identity: [place.listener()],
                lambda: self.identity,
                self.clock,
                InlineEngine(),
                random.Random(number),
            )
        )

    async def kill_shard(self, number: int) -> None:
        """End a shard's process without a word."""
        for handset in self.handsets:
            self.places[number].cut(handset.id.hex())
        await stop(self.shards.pop(number))

    def connect_at(self, handset: Handset, place: int) -> DeviceDriver:
        """Start a device's driver, at a shard or the root."""
        self.network, home = self.places[place], self.network
        try:
            return self.connect(handset, BACKOFF)
        finally:
            self.network = home

    async def move(self, handset: Handset, place: int) -> None:
        """End a device's process and start it again at another place, from its journal."""
        for network in self.places.values():
            network.cut(handset.id.hex())
        running = self.running.pop(handset.id, None)
        if running is not None:
            await stop(running)
        handset.restored = True
        self.connect_at(handset, place)
