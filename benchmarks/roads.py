"""The ways between agents and an aggregator that benchmarks measure, each with what it needs.

Rules: a road whose service is missing says so by `RoadMissing`; nothing is measured then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from dreamshare.transport.base import Link, Listener
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.identity import Identity


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


def road(name: str) -> Road:
    """Return the transport of this name; RoadMissing where there is none."""
    if name == "grpc":
        return GrpcRoad()
    raise RoadMissing(f"there is no transport {name!r}; there is grpc")
