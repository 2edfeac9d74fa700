"""An aggregator with its page on loopback, plain HTTP for tests, and a browser."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.clock import SystemClock
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_aggregator.telemetry.sight import Sight
from dreamshare_aggregator.web.server import Page, open_page
from dreamshare_aggregator.web.settings import WebConfig
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_edge import EdgeAgent
from tests.integration.toy import Loopback


@dataclass(frozen=True)
class Answer:
    """What a page answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Visitor:
    """Somebody who asks a page, with a cookie once signed in; no browser."""

    url: str
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await asyncio.to_thread(self._ask, method, path, body, headers or {})

    def _ask(self, method: str, path: str, body: bytes, extra: Mapping[str, str]) -> Answer:
        where = urlsplit(self.url)
        assert where.hostname is not None
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        headers = {"origin": self.url, **self.headers, **extra}
        if self.cookie:
            headers["cookie"] = self.cookie
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    async def sign_in(self, token: str) -> Answer:
        answer = await self.ask("POST", "/api/sign-in", token.encode())
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = str(answer.json["csrf"])
        return answer

    async def change(self, path: str, order: object = None) -> Answer:
        body = json.dumps(order or {}).encode()
        return await self.ask("POST", path, body, {"x-csrf-token": self.csrf})


def token_in(path: object) -> str:
    """Return the token of a file that a page named."""
    return Path(str(path)).read_text().strip()


class PageStage:
    """Opens an aggregator, its page and agents; all are closed at the end of the test."""

    def __init__(self, path: Path, stack: AsyncExitStack) -> None:
        self.path = path
        self.federation = Loopback.create(path)
        self._stack = stack
        self.sight = Sight(SystemClock())
        self._listener = self.federation.listener()

    async def open(self, **changes: object) -> Page:
        """Open aggregator and page; `changes` are settings of the page."""
        around = Surroundings(trace=self.sight.took)
        self.store = open_store(f"sqlite:///{self.path / 'rounds.db'}")
        identity = self.federation.aggregator
        aggregator = Aggregator([self._listener], self.store, identity, around, self.sight.reported)
        self.aggregator = await self._stack.enter_async_context(aggregator)
        self.sight.reads(self.aggregator)
        config = WebConfig(
            listen="http://127.0.0.1:0",
            viewer_token=self.path / "viewer.token",
            operator_token=self.path / "operator.token",
        )
        opening = open_page(
            replace(config, **changes),  # type: ignore[arg-type]
            self.aggregator,
            self.sight,
            algorithm_from,
            SystemClock(),
            SystemEntropy(),
        )
        self.page = await self._stack.enter_async_context(opening)
        return self.page

    async def agents(self, count: int, label: str = "") -> list[EdgeAgent]:
        """Open agents until the end of the test."""
        port = self._listener.port
        made = [self.federation.agent(n, port, label=label) for n in range(count)]
        return [await self._stack.enter_async_context(agent) for agent in made]

    def visitor(self) -> Visitor:
        return Visitor(self.page.url)

    @property
    def viewer_token(self) -> str:
        return self.page.tokens[0].text

    @property
    def operator_token(self) -> str:
        return self.page.tokens[1].text
