"""Parties of a federation on loopback, opened by a test and closed at its end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from dreamshare.client import Client
from dreamshare.ids import TaskId
from dreamshare.protocol.messages import TaskReport
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.handle import Task
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_aggregator.turns import TurnSettings
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, Policy
from tests.integration.toy import Loopback


class Stage:
    """Opens parties; whatever is still open is closed at the end of the test.

    Attributes:
        port: of the aggregator, kept when it is started again.
        store: URL of its database.
        lease_s, patience_s: see StoreSettings.
    """

    def __init__(self, path: Path, stack: AsyncExitStack) -> None:
        self.federation = Loopback.create(path)
        self.path = path
        self.port = 0
        self.store = f"sqlite:///{path / 'rounds.db'}"
        self.lease_s = 15.0
        self.patience_s = 60.0
        self._stack = stack

    def new_aggregator(
        self, capture: Path | None = None, turns: TurnSettings | None = None
    ) -> Aggregator:
        """Return an aggregator on the stage's database, to be opened by the caller."""
        store = open_store(self.store, StoreSettings(self.lease_s, self.patience_s))
        self._listener = self.federation.listener(self.port)
        identity = self.federation.aggregator
        around = Surroundings(capture=capture, turns=turns or TurnSettings())
        return Aggregator([self._listener], store, identity, around)

    async def aggregator(
        self, capture: Path | None = None, turns: TurnSettings | None = None
    ) -> Aggregator:
        """Open an aggregator until the end of the test."""
        opened = await self._stack.enter_async_context(self.new_aggregator(capture, turns))
        self.note_port()
        return opened

    def note_port(self) -> None:
        """Remember the port of the aggregator that was just opened."""
        self.port = self._listener.port

    async def agents(self, count: int, policy: Policy | None = None) -> list[EdgeAgent]:
        """Open the agents 0, 1, 2, ... until the end of the test."""
        made = [self.federation.agent(number, self.port, policy) for number in range(count)]
        return [await self._stack.enter_async_context(agent) for agent in made]

    async def client(self, identity: Identity | None = None) -> Client:
        """Open a client until the end of the test; the operator's unless told otherwise."""
        who = identity or self.federation.operator
        link = GrpcLink(f"grpcs://127.0.0.1:{self.port}", TlsFiles.of(who))
        return await self._stack.enter_async_context(Client(link, who))


async def follow(client: Client, task: TaskId) -> list[TaskReport]:
    """Return every report of a task, when it is over."""
    return [report async for report in client.watch(task)]


async def sums(task: Task, count: int) -> None:
    """Return when the task has closed so many sums."""
    async for report in task.reports():
        if report.status.aggregations >= count:
            return
