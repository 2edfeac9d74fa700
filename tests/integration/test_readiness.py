"""What gRPC's health service says while the database is away, and what a renewal changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dreamshare.transport.grpc import SERVICE, GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_aggregator.readiness import show_certificate, tell_readiness
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

pytestmark = pytest.mark.integration

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Flaky:
    """A database that is away when it is told to be."""

    def __init__(self) -> None:
        self.outage: str | None = None
        self._changed = asyncio.Event()

    def turn(self, outage: str | None) -> None:
        self.outage = outage
        self._changed.set()

    async def until_outage_changes(self) -> None:
        await self._changed.wait()
        self._changed.clear()


class Federation:
    """A folder with an aggregator and a device."""

    def __init__(self, path: Path) -> None:
        self.folder = FederationFolder(path / "federation")
        self.folder.create()
        self.aggregator = Identity.load(self.folder.aggregator)
        self.device = self.folder.issue(Role.DEVICE, "device", path / "device.key")
        self.listener = GrpcListener("127.0.0.1:0", TlsFiles.of(self.aggregator))

    def channel(self) -> grpc.aio.Channel:
        tls = TlsFiles.of(self.device)
        credentials = grpc.ssl_channel_credentials(tls.roots_pem, tls.key_pem, tls.chain_pem)
        return grpc.aio.secure_channel(f"127.0.0.1:{self.listener.port}", credentials)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation(tmp_path)


async def test_health_follows_the_database(federation: Federation) -> None:
    store = Flaky()
    await federation.listener.start()
    telling = asyncio.create_task(tell_readiness([federation.listener], store))
    async with federation.channel() as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        watch = health_pb2_grpc.HealthStub(channel).Watch(request)
        assert (await watch.read()).status == SERVING
        store.turn("connection refused")
        assert (await watch.read()).status == NOT_SERVING
        store.turn(None)
        assert (await watch.read()).status == SERVING
        watch.cancel()
    telling.cancel()
    await federation.listener.close()


async def test_a_service_is_ready_and_shows_its_renewed_certificate(
    federation: Federation,
) -> None:
    listener, old = federation.listener, federation.aggregator
    async with Aggregator([listener], open_store("sqlite://"), old) as aggregator:
        async with federation.channel() as channel:
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            reply = await health_pb2_grpc.HealthStub(channel).Check(request)
            assert reply.status == SERVING
        authority = federation.folder.load_authority()
        names, now = ("127.0.0.1",), old.certificate.not_before + 1.0
        new = authority.issue(Role.AGGREGATOR, "renewed", SystemEntropy(), now, names)
        seen: list[TlsFiles] = []
        show_certificate([_Showing(seen)], old, old)
        assert seen == []  # nothing new in it
        show_certificate([_Showing(seen)], old, new)
        assert seen == [TlsFiles.of(new)]
        aggregator.renew(old)
        async with federation.channel() as channel:
            await channel.channel_ready()


class _Showing(GrpcListener):
    """A listener that notes what it is to show."""

    def __init__(self, seen: list[TlsFiles]) -> None:
        super().__init__("127.0.0.1:0", allow_plaintext=True)
        self._seen = seen

    def renew(self, tls: TlsFiles) -> None:
        self._seen.append(tls)
