"""The ways between agents and an aggregator that benchmarks measure, each with what it needs.

Rules: a road whose service is missing says so by `RoadMissing`; nothing is measured then.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from dreamshare.transport.base import Link, Listener
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.mqtt.link import MqttLink
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.brokering import certify_broker
from dreamshare_cli.brokers.mosquitto import mosquitto as files_of
from dreamshare_cli.brokers.plan import BrokerPlan
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from tests.services import find, free_port, give_to, tethered

_ACCOUNT = "mosquitto"


class RoadMissing(Exception):
    """What this transport needs is not on this machine."""


class Road(Protocol):
    """One transport."""

    @property
    def name(self) -> str:
        """As in `--transports`."""
        ...

    @property
    def url(self) -> str:
        """What agents are told, while the listener is open and has been started."""
        ...

    def listener(
        self, identity: Identity, home: Path, federation: FederationFolder
    ) -> AbstractAsyncContextManager[Listener]:
        """Return the aggregator's listener, not started; what it needs runs inside the block."""
        ...

    def link(self, url: str, identity: Identity) -> Link:
        """Return an agent's link."""
        ...


class GrpcRoad:
    """gRPC with mutual TLS on loopback."""

    name = "grpc"

    def __init__(self) -> None:
        self._listener: GrpcListener | None = None

    @property
    def url(self) -> str:
        return f"grpcs://127.0.0.1:{0 if self._listener is None else self._listener.port}"

    @asynccontextmanager
    async def listener(
        self, identity: Identity, home: Path, federation: FederationFolder
    ) -> AsyncIterator[Listener]:
        self._listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
        yield self._listener

    def link(self, url: str, identity: Identity) -> Link:
        return GrpcLink(url, TlsFiles.of(identity))


class MqttRoad:
    """MQTT 5 over TLS through a Mosquitto of its own, configured as the command writes it."""

    name = "mqtt"

    def __init__(self) -> None:
        if find("mosquitto") is None:
            raise RoadMissing("Mosquitto is not installed; `make services` installs it")
        self._port = 0

    @property
    def url(self) -> str:
        return f"mqtts://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def listener(
        self, identity: Identity, home: Path, federation: FederationFolder
    ) -> AsyncIterator[Listener]:
        # beside `home`, which another account cannot enter
        place = Path(tempfile.mkdtemp(prefix="dreamshare-mosquitto-"))
        self._port = free_port()
        try:
            process = await _start_broker(place, self._port, identity, federation)
            try:
                yield MqttListener(
                    self.url, identity.id.hex(), identity.federation.hex(), TlsFiles.of(identity)
                )
            finally:
                process.terminate()
                await process.wait()
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def link(self, url: str, identity: Identity) -> Link:
        party, federation = identity.id.hex(), identity.federation.hex()
        return MqttLink(url, party, federation, TlsFiles.of(identity))


async def _start_broker(
    place: Path, port: int, identity: Identity, federation: FederationFolder
) -> asyncio.subprocess.Process:
    """Return a Mosquitto that takes connections on this port of loopback."""
    lay_out(place, port, identity, federation)
    command = tethered(["mosquitto", "-c", place / "mosquitto.conf"], _ACCOUNT)
    with (place / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.returncode is not None:
                said = (place / "log").read_text(errors="replace")
                raise RoadMissing(f"Mosquitto did not start: {said}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return process


def lay_out(place: Path, port: int, identity: Identity, federation: FederationFolder) -> None:
    """Write what the broker reads."""
    plan = BrokerPlan(
        federation=identity.federation.hex(),
        aggregator=identity.id.hex(),
        folder=PurePosixPath(place),
        data=PurePosixPath(place),
        bind="127.0.0.1",
        port=port,
        websocket_port=0,
    )
    certify_broker(federation.load_authority(), place, (), SystemEntropy(), time.time())
    for name, text in files_of(plan).items():
        (place / name).write_text(text, encoding="utf-8")
    for path in (place, *place.iterdir()):
        give_to(_ACCOUNT, path)


def road(name: str) -> Road:
    """Return the transport of this name; RoadMissing where there is none."""
    match name:
        case "grpc":
            return GrpcRoad()
        case "mqtt":
            return MqttRoad()
    raise RoadMissing(f"there is no transport {name!r}; there are grpc and mqtt")
