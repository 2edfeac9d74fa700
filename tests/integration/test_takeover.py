"""Two aggregators on one PostgreSQL, as processes: the active one is killed, the other goes on."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dreamshare.protocol.messages import Cohort, Deadlines, TaskPhase
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import SERVICE
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.web.settings import WebConfig
from tests.integration.children import Child, child
from tests.integration.stage import follow
from tests.integration.test_service_process import operator, port_of
from tests.integration.toy import Loopback, toy_config
from tests.integration.web.pages import Visitor, token_in
from tests.postgres import PASSWORD, Cluster
from tests.services import free_port

pytestmark = pytest.mark.integration

LEASE_S = 2.0


def settings(
    federation: Loopback, store: str, port: int, standby: bool = True, page: bool = False
) -> Path:
    """Write an aggregator's settings and return their path."""
    path = federation.folder.folder / f"aggregator-{port}.toml"
    tokens = federation.folder.folder / "web-viewer.token"
    config = AggregatorConfig(
        listen=(f"grpcs://127.0.0.1:{port}",),
        store=store,
        standby=standby,
        lease_s=LEASE_S,
        web=WebConfig("http://127.0.0.1:0", viewer_token=tokens) if page else WebConfig(),
    )
    path.write_text(settings_text(config))
    return path


async def up(stack: AsyncExitStack, path: Path) -> Child:
    return await stack.enter_async_context(
        child("dreamshare_cli", "up", "--json", "--config", str(path))
    )


async def test_the_other_one_continues_the_run(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    ports = (free_port(), free_port())
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, ports[0]))
        listening = await first.event("listening")
        assert port_of(listening) == ports[0]
        assert PASSWORD not in str(listening)
        second = await up(stack, settings(federation, store, ports[1]))
        assert str(first.process.pid) in str((await second.event("standby"))["holder"])
        for number in range(4):
            await stack.enter_async_context(federation.agent(number, ports[0], others=ports[1:]))
        client = await stack.enter_async_context(operator(federation.folder, ports[0]))
        task = await client.submit(
            toy_config(rounds=12), Cohort(least=4, most=4), Deadlines(60, 60, 60)
        )
        async for report in client.watch(task):
            if report.status.aggregations >= 3:
                break
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        assert port_of(await second.event("listening")) == ports[1]
        other = await stack.enter_async_context(operator(federation.folder, ports[1]))
        reports = await follow(other, task)
        assert reports[-1].status.phase is TaskPhase.DONE, reports[-1].status.detail
        assert reports[-1].status.aggregations == 14  # start, twelve rounds, evaluation
        assert [r.number for r in reports] == list(range(1, len(reports) + 1))
        assert await second.end(signal.SIGTERM) == 0


async def test_one_that_stands_by_answers_probes_and_has_its_page_when_it_takes_over(
    tmp_path: Path, postgres: Cluster
) -> None:
    federation = Loopback.create(tmp_path)
    store, port = postgres.create(), free_port()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, port, page=True))
        page = (await second.event("standby"))["page"]
        assert isinstance(page, dict)
        visitor = Visitor(str(page["url"]))
        token = token_in(page["viewer_token"])
        bearer = {"authorization": f"Bearer {token}"}
        assert (await visitor.ask("GET", "/healthz")).body == b"ok\nrole standby\n"
        ready = await visitor.ask("GET", "/readyz")
        assert (ready.status, ready.json) == (503, {"ready": False, "fault": "standby"})
        metrics = await visitor.ask("GET", "/metrics", headers=bearer)
        assert (metrics.status, b"dreamshare_active 0.0" in metrics.body) == (200, True)
        for path in ("/", "/api/session", "/static/js/main.js"):
            waits = await visitor.ask("GET", path)
            assert (waits.status, b"stands by" in waits.body) == (503, True), path
        assert (await visitor.sign_in(token)).status == 503
        assert not await serves(federation, port)

        assert await first.end(signal.SIGKILL) == -signal.SIGKILL
        listening = await second.event("listening")
        assert listening["page"] == page
        assert (await visitor.ask("GET", "/healthz")).body == b"ok\nrole active\n"
        assert (await visitor.ask("GET", "/readyz")).status == 200
        assert (
            b"dreamshare_active 1.0" in (await visitor.ask("GET", "/metrics", headers=bearer)).body
        )
        assert (await visitor.ask("GET", "/")).status == 200
        assert (await visitor.sign_in(token)).json["rank"] == "viewer"
        assert await serves(federation, port)
        assert await second.end(signal.SIGTERM) == 0


async def serves(federation: Loopback, port: int) -> bool:
    """Whether gRPC's health service says that devices are served."""
    files = TlsFiles.of(federation.operator)
    secret = grpc.ssl_channel_credentials(files.roots_pem, files.key_pem, files.chain_pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", secret) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:  # nothing listens there
                return False
            raise
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def test_one_that_may_not_stand_by_refuses(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port(), standby=False))
        assert await second.process.wait() == 2


async def test_a_standby_stops_on_request(tmp_path: Path, postgres: Cluster) -> None:
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port()))
        await second.event("standby")
        assert await second.end(signal.SIGTERM) == 0


async def test_one_that_was_paused_and_overtaken_ends_when_it_wakes_up(
    tmp_path: Path, postgres: Cluster
) -> None:
    """It still believes to be active; what it would write is refused, and it says so."""
    federation = Loopback.create(tmp_path)
    store = postgres.create()
    async with AsyncExitStack() as stack:
        first = await up(stack, settings(federation, store, 0))
        await first.event("listening")
        second = await up(stack, settings(federation, store, free_port()))
        await second.event("standby")
        first.process.send_signal(signal.SIGSTOP)
        await second.event("listening")
        first.process.send_signal(signal.SIGCONT)
        assert await first.process.wait() == 1
        assert await second.end(signal.SIGTERM) == 0
