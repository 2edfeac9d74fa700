"""What a gRPC listener answers beside the link: standard health and server reflection.

Rules:
- the health of the empty name says that the process serves; that of a named service says whether
  its owner is ready, and both say NOT_SERVING from the first moment of a shutdown;
- who may ask is who may connect: over mutual TLS, a party with a certificate of the federation;
- imported when a listener starts: a device never pays for it.
"""

from __future__ import annotations

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

_PROCESS = ""  # the name that grpc.health.v1 gives to a server as a whole
_STATUS = health_pb2.HealthCheckResponse


class Services:
    """Health and reflection of one server, added before it starts.

    Args:
        server: not started yet.
        service: full name of the service whose readiness is told.
    """

    def __init__(self, server: grpc.aio.Server, service: str) -> None:
        self._service = service
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    async def tell(self, *, ready: bool) -> None:
        """Say whether the service is ready; after `shut_down` nothing changes any more."""
        await self._health.set(_PROCESS, _STATUS.SERVING)
        await self._health.set(self._service, _STATUS.SERVING if ready else _STATUS.NOT_SERVING)

    async def shut_down(self) -> None:
        """Say NOT_SERVING for everything, for good."""
        await self._health.enter_graceful_shutdown()
