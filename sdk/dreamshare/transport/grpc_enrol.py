"""Enrolment over gRPC: TLS with the aggregator's certificate, and none of the caller's.

Rules:
- it listens on a port of its own: the port of devices takes nobody without a certificate;
- messages are opaque here; how many are answered at a time is bounded, the rest is turned away.
  Calls that say nothing do not count, and a connection has few of them and ends with its minutes;
- `unproven` takes whatever certificate is shown, but that one only: the call goes to who showed it.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

import grpc

from dreamshare.errors import ConfigError, Rejected, TransportError, Unreachable
from dreamshare.transport.address import host_and_port, target
from dreamshare.transport.exchange import Answering, Exchange
from dreamshare.transport.tls import TlsFiles

SERVICE = "dreamshare_protos.v1.EnrolmentService"
"""The service of enrol.proto."""

MOST_AT_ONCE = 64
"""Calls that are answered at a time; a relay is no place to wait in."""

MOST_UP = 16 * 1024
"""Bytes of a message that is read; what a request may have is checked where it is decoded."""

_METHOD = "Exchange"
_CALL_S = 20.0  # an answer is there at once, or is "ask again"
_GRACE_S = 1.0
_CALLS_EACH = 4  # of one connection; a party has one
_CONNECTION_MS = 60_000


class GrpcDoor:
    """The way to a GrpcEnrolmentListener; see `exchange.Door`.

    Args:
        url: "grpcs://host:port".

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._address = host_and_port(url)

    async def unproven(self) -> Exchange:
        try:
            shown = await asyncio.to_thread(
                ssl.get_server_certificate, self._address, timeout=_CALL_S
            )
        except ssl.SSLError as error:
            raise Rejected(f"{self._url} does not speak TLS; check the port ({error})") from None
        except OSError as error:
            raise Unreachable(f"{self._url} cannot be reached: {error}") from None
        return self.proven(shown.encode())

    def proven(self, roots_pem: bytes) -> Exchange:
        return GrpcExchange(self._url, roots_pem)

    def __str__(self) -> str:
        return self._url


class GrpcExchange:
    """See `exchange.Exchange`."""

    def __init__(self, url: str, roots_pem: bytes) -> None:
        self._url = url
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        credentials = grpc.ssl_channel_credentials(roots_pem)
        self._channel = grpc.aio.secure_channel(target(url), credentials, options)
        self._call = self._channel.unary_unary(f"/{SERVICE}/{_METHOD}")

    async def ask(self, message: bytes) -> bytes:
        try:
            answer: bytes = await self._call(message, timeout=_CALL_S)
        except grpc.aio.AioRpcError as error:
            raise _failure(self._url, error.code(), error.details() or "") from None
        return answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._channel.close()


class GrpcEnrolmentListener:
    """Where an aggregator takes parties that have no certificate yet.

    Args:
        address: "host:port"; port 0 takes a free one, see `port`.
        tls: the aggregator's own certificate; nobody else shows one.
        answer: what each message is handed to; it must not raise.
    """

    def __init__(self, address: str, tls: TlsFiles, answer: Answering) -> None:
        self._address = address
        self._tls = tls
        self._answer = answer
        self._port = 0
        self._server: grpc.aio.Server | None = None
        self._answering = 0

    @property
    def port(self) -> int:
        """The port that was bound; 0 before the block is entered."""
        return self._port

    async def __aenter__(self) -> Self:
        """Bind; raises ConfigError where the address or the certificate is unusable."""
        options = (
            ("grpc.max_receive_message_length", MOST_UP),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", _CALLS_EACH),
            ("grpc.max_connection_age_ms", _CONNECTION_MS),
            ("grpc.max_connection_age_grace_ms", int(1000 * _CALL_S)),
        )
        server = grpc.aio.server(options=options)
        method = grpc.unary_unary_rpc_method_handler(self._serve)
        handler = grpc.method_handlers_generic_handler(SERVICE, {_METHOD: method})
        server.add_generic_rpc_handlers((handler,))
        pair = (self._tls.key_pem, self._tls.chain_pem)
        try:
            self._port = int(
                server.add_secure_port(self._address, grpc.ssl_server_credentials([pair]))
            )
        except RuntimeError as error:
            await server.stop(None)
            raise ConfigError(
                f"cannot take enrolments on {self._address}: is the port taken? ({error})"
            ) from None
        await server.start()
        self._server = server
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            await self._server.stop(_GRACE_S)

    async def _serve(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if self._answering >= MOST_AT_ONCE:
            words = "too many enrol at this moment; come again"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
        self._answering += 1
        try:
            return await self._answer(message, _host_of(context.peer()))
        finally:
            self._answering -= 1


def _host_of(peer: str) -> str:
    """Return the address of "ipv4:1.2.3.4:5678" without the port."""
    return peer.rpartition(":")[0]


def _failure(url: str, code: grpc.StatusCode, details: str) -> TransportError:
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Rejected(f"{url} takes no enrolments; check host and port")
    if "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details:
        return Rejected(
            f"{url} shows a TLS certificate that is not the federation's, or not for this host: "
            f"nothing was sent; check the address, or somebody is in between ({details})"
        )
    return Unreachable(f"{url} cannot be reached: {details}")
