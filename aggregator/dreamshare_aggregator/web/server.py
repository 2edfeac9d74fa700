"""The page as a service in the aggregator's own event loop.

    async with open_page(config.web, aggregator, sight) as page:
        print(page.url)

Rules:
- /healthz says that the event loop runs and whether this aggregator is the active one, /readyz that
  tasks are served and the database answers;
- while another aggregator is active, the probes and /metrics alone are served; the page is there
  when this one takes over;
- signals are the program's affair, not the web server's; on leaving, open event streams are let go
  first, and whoever does not go is cut off;
- request logs hold method, path and status; no query, no header, no body.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dreamshare.binding import Lookup
from dreamshare.clock import Clock
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.ids import TaskId, short
from dreamshare.protocol.history import RoundEntry
from dreamshare.protocol.messages import DeviceStatus, Submit, TaskStatus
from dreamshare_aggregator.board import Board
from dreamshare_aggregator.handle import Task
from dreamshare_aggregator.lease import Held
from dreamshare_aggregator.surroundings import ShardCount
from dreamshare_aggregator.telemetry.lag import LoopLag
from dreamshare_aggregator.telemetry.metrics import CONTENT_TYPE
from dreamshare_aggregator.telemetry.sight import Sight
from dreamshare_aggregator.web.access import Access, Rank, Token, token_in
from dreamshare_aggregator.web.api import Api, refused
from dreamshare_aggregator.web.feed import Feed
from dreamshare_aggregator.web.files import page_files
from dreamshare_aggregator.web.guard import Gate, Guard
from dreamshare_aggregator.web.model import ReadModel
from dreamshare_aggregator.web.settings import WebConfig
from dreamshare_aggregator.web.stream import Readers
from dreamshare_crypto.entropy import Entropy

_LOG = logging.getLogger(__name__)
_GRACE_S = 2


class Watched(Protocol):
    """The aggregator, as the page needs it."""

    async def order(self, order: Submit) -> Task:
        """Queue a task; raises ConfigError."""
        ...

    def task(self, task: TaskId) -> Task:
        """Return a task; raises ConfigError where there is none."""
        ...

    @property
    def standby(self) -> Held | None:
        """Who is active instead; None when this one is."""
        ...

    @property
    def board(self) -> Board:
        """The tasks."""
        ...

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Return who came."""
        ...

    def shards(self) -> ShardCount:
        """Return how many shards are here, and how many should be."""
        ...

    async def history(self, task: TaskId, after: int, most: int) -> Sequence[RoundEntry]:
        """Return ended rounds of a task above a number."""
        ...

    async def fault(self) -> str:
        """Return what keeps it from serving; "" when it serves."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is served.

    Attributes:
        url: where, without a slash at its end.
        tokens: what signs in; whoever starts it shows those that were made just now.
    """

    url: str
    tokens: tuple[Token, ...]


@asynccontextmanager
async def open_page(
    config: WebConfig,
    watched: Watched,
    sight: Sight,
    lookup: Lookup,
    clock: Clock,
    entropy: Entropy,
) -> AsyncIterator[Page]:
    """Serve the page while the block lasts.

    Raises:
        ConfigError: address, certificate or token file cannot be used.
    """
    tokens = [token_in(config.viewer_token, Rank.VIEWER, entropy)]
    if config.operator_token is not None:
        tokens.append(token_in(config.operator_token, Rank.OPERATOR, entropy))
    feed = Feed(int(clock.now() * 1_000_000))
    model = ReadModel(watched.board, watched.history, watched.devices, lookup, feed, clock)
    readers = Readers()
    access = Access(tuple(tokens), entropy, Rank.VIEWER if config.open else None)
    api = Api(model, access, _Acts(watched), clock, readers, config.secure)
    probes = _Probes(watched, sight, None if config.open_metrics else access)
    server = _Server(_settings(config, application(api, probes, watched, config)))
    bound = _bound(config)
    sight.tell(model)
    serving = asyncio.create_task(server.serve([bound]), name="dreamshare-page")
    devices = asyncio.create_task(model.tell_devices(lambda: readers.count > 0))
    try:
        await _until_up(server, serving)
        with LoopLag(sight.metrics.lagged):
            yield Page(_url(config, bound), tuple(tokens))
    finally:
        model.close()
        devices.cancel()
        server.should_exit = True
        await asyncio.gather(serving, devices, return_exceptions=True)
        bound.close()


def application(api: Api, probes: _Probes, watched: Watched, config: WebConfig) -> Guard:
    """Return the page's application."""
    found = page_files()

    async def index(request: Request) -> Response:
        return found["index.html"].answer(request)

    async def file(request: Request) -> Response:
        known = found.get(request.path_params["path"])
        if known is None:
            return PlainTextResponse("not found\n", 404)
        return known.answer(request)

    routes = [
        Route("/", index),
        Route("/static/{path:path}", file),
        Route("/healthz", probes.healthy),
        Route("/readyz", probes.ready),
        Route("/metrics", probes.metrics),
        Route("/api/session", api.session),
        Route("/api/sign-in", api.sign_in, methods=["POST"]),
        Route("/api/sign-out", api.sign_out, methods=["POST"]),
        Route("/api/state", api.state),
        Route("/api/events", api.events),
        Route("/api/algorithms", api.algorithms),
        Route("/api/tasks", api.submit, methods=["POST"]),
        Route("/api/tasks/{task}", api.task),
        Route("/api/tasks/{task}/cancel", api.cancel, methods=["POST"]),
        Route("/api/tasks/{task}/pause", api.pause, methods=["POST"]),
        Route("/api/tasks/{task}/resume", api.resume, methods=["POST"]),
        Route("/api/tasks/{task}/dreams", api.dreams),
        Route("/api/tasks/{task}/dreams.png", api.picture),
    ]
    errors = {DreamshareError: refused, OSError: refused}
    app = Starlette(routes=routes, exception_handlers=errors)
    gate = Gate(app, lambda: watched.standby is None)
    return Guard(gate, config.called, config.secure)


class _Acts:
    """See `api.Operations`."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def submit(self, order: Submit) -> TaskStatus:
        return (await self._watched.order(order)).status

    async def cancel(self, task: TaskId) -> TaskStatus:
        board = self._watched.board
        if board.entry(task).ended:
            raise ConfigError(f"task {short(task)} is over already")
        self._watched.task(task).cancel()
        return await board.until_ended(task)

    async def pause(self, task: TaskId) -> TaskStatus:
        return await self._watched.task(task).pause()

    async def resume(self, task: TaskId) -> TaskStatus:
        return await self._watched.task(task).resume()


class _Probes:
    """What machines ask."""

    def __init__(self, watched: Watched, sight: Sight, access: Access | None) -> None:
        self._watched = watched
        self._sight = sight
        self._access = access

    async def healthy(self, request: Request) -> Response:
        role = "active" if self._watched.standby is None else "standby"
        shards = self._watched.shards()
        counted = f"shards {shards.here} of {shards.wanted}\n" if shards.wanted else ""
        return PlainTextResponse(f"ok\nrole {role}\n{counted}")

    async def ready(self, request: Request) -> Response:
        fault = await self._watched.fault()
        return JSONResponse({"ready": not fault, "fault": fault}, 503 if fault else 200)

    async def metrics(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = hmac.compare_digest(scheme.lower().encode(), b"bearer")
        if self._access is not None and not (bearer and self._access.knows(token.strip())):
            headers = {"www-authenticate": "Bearer"}
            return PlainTextResponse("the viewer token, as a bearer\n", 401, headers)
        return Response(self._sight.metrics.exposition(), media_type=CONTENT_TYPE)


class _Server(uvicorn.Server):
    """A server that leaves signals alone and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _settings(config: WebConfig, app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=512,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=config.certificate if config.scheme == "https" else None,
        ssl_keyfile=config.private_key if config.scheme == "https" else None,
    )


def _bound(config: WebConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((config.host, config.port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise ConfigError(f"cannot listen on {config.listen}: {error.strerror}") from None
    return bound


async def _until_up(server: _Server, serving: asyncio.Task[None]) -> None:
    up = asyncio.ensure_future(server.up.wait())
    await asyncio.wait({up, serving}, return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    if serving.done():
        try:
            serving.result()
        except (OSError, ValueError) as error:
            raise ConfigError(f"the page cannot be served: {error}") from None
        raise ConfigError("the page cannot be served; the log says why")


def _url(config: WebConfig, bound: socket.socket) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{config.scheme}://{host}:{bound.getsockname()[1]}"
