"""gRPC: one bidirectional stream per connection, mutual TLS unless the caller says otherwise.

Rules:
- packets are opaque here: the method of link.proto is served with no serialiser of its own;
- nothing cancels a read or a write or puts a time limit around one: grpc.aio leaks memory when a
  read is cancelled, and gives the call up when a write is (see `streams`);
- an empty message says that the opener closes; a stream that ends without it broke. The listener's
  end closes by ending the call with OK;
- keepalive on both sides, so that a dead peer is noticed within 40 s; gRPC's own limit of 4 MiB a
  message is left alone;
- `grpc` is imported here and nowhere else, and nothing imports this module before it is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dreamshare.errors import ConfigError, Rejected, TransportError, Unreachable
from dreamshare.transport.base import Admit, Connection
from dreamshare.transport.streams import GRACE_S, StreamConnection
from dreamshare.transport.tls import TlsFiles

SERVICE = "dreamshare_protos.v1.LinkService"
"""The service of link.proto."""

_METHOD = "Connect"
_GOODBYE = b""
_ADMITTED = ("dreamshare-link", "1")  # initial metadata: the listener has taken the connection
_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
_LINK_OPTIONS = (
    *_KEEPALIVE,
    ("grpc.use_local_subchannel_pool", 1),  # a new attempt never inherits an old one's back-off
    ("grpc.enable_retries", 0),
)
_LISTENER_OPTIONS = (
    *_KEEPALIVE,
    # A link pings every 30 s; a listener that allowed fewer would answer GOAWAY too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a coin toss
)


class GrpcLink:
    """The way to an aggregator's GrpcListener.

    Args:
        url: "grpcs://host:port"; or "grpc://host:port", in clear.
        tls: own certificate and trusted roots; wanted for grpcs.
        allow_plaintext: take "grpc://". WARNING: everybody on the way then sees sizes, times,
            plans and signed offers, and the listener learns no identity from the transport. Inputs
            stay masked and frames stay signed, but use it on loopback or inside a tunnel only.
        connect_timeout_s: seconds, > 0, until an attempt to connect is given up.

    Raises:
        ConfigError: the URL, or what it needs, is missing or contradictory.
    """

    def __init__(
        self,
        url: str,
        tls: TlsFiles | None = None,
        *,
        allow_plaintext: bool = False,
        connect_timeout_s: float = 20.0,
    ) -> None:
        self._url = url
        self._target, secure = _parse_url(url)
        if secure and tls is None:
            raise ConfigError(f"{url} wants TLS: give this party's certificate and roots")
        if not secure and not allow_plaintext:
            raise ConfigError(
                f"{url} is in clear: use grpcs://, or allow_plaintext=True on loopback"
            )
        self._tls = tls if secure else None
        self._timeout_s = connect_timeout_s

    async def connect(self) -> Connection:
        channel = self._channel()
        call = channel.stream_stream(f"/{SERVICE}/{_METHOD}")()
        admitted = False
        try:
            async with asyncio.timeout(self._timeout_s):
                metadata = await call.initial_metadata()
                admitted = metadata is not None and _ADMITTED in tuple(metadata)
                if not admitted:
                    raise _failure(self._url, await call.code(), await call.details())
        except TimeoutError:
            raise Unreachable(
                f"{self._url} did not answer within {self._timeout_s:g} s; "
                "check address and network"
            ) from None
        except grpc.aio.AioRpcError as error:
            raise _failure(self._url, error.code(), error.details()) from None
        finally:
            if not admitted:
                call.cancel()
                await channel.close()
        return StreamConnection(_NearStream(self._url, channel, call), None)

    def __str__(self) -> str:
        return self._url

    def _channel(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self._target, _LINK_OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            self._tls.roots_pem, self._tls.key_pem, self._tls.chain_pem
        )
        return grpc.aio.secure_channel(self._target, credentials, _LINK_OPTIONS)


class GrpcListener:
    """Where an aggregator waits, with health and reflection services beside the link.

    Args:
        address: "host:port"; port 0 takes a free one, see `port`.
        tls: own certificate and the roots that devices' certificates must lead to; None only with
            `allow_plaintext` (see the warning at GrpcLink).
        admit: asked about the CN of the certificate (None in clear); refused links see Rejected.
        allow_plaintext: serve without TLS.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        admit: Admit | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        if tls is None and not allow_plaintext:
            raise ConfigError(f"{address}: give TLS files, or allow_plaintext=True on loopback")
        self._address = address
        self._tls = tls
        self._admit = admit
        self._port = 0
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self._arrivals: asyncio.Queue[Connection | None] = asyncio.Queue()
        self._alive: set[StreamConnection] = set()
        self._closed = False

    @property
    def port(self) -> int:
        """The port that was bound; 0 before `start`."""
        return self._port

    async def start(self) -> None:
        server = grpc.aio.server(options=_LISTENER_OPTIONS)
        link = grpc.stream_stream_rpc_method_handler(self._serve)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {_METHOD: link}),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        try:
            self._port = self._bind(server)
        except RuntimeError as error:
            await server.stop(None)
            raise ConfigError(
                f"cannot listen on {self._address}: is the port taken, or a certificate unusable? "
                f"({error})"
            ) from None
        await server.start()
        self._server = server
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def connections(self) -> AsyncIterator[Connection]:
        while not self._closed and (connection := await self._arrivals.get()) is not None:
            yield connection

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._arrivals.put_nowait(None)
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await asyncio.gather(*(connection.close() for connection in self._alive))
            await self._server.stop(GRACE_S)

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._tls is None:
            return int(server.add_insecure_port(self._address))
        pair = (self._tls.key_pem, self._tls.chain_pem)
        credentials = grpc.ssl_server_credentials([pair], self._tls.roots_pem, True)
        return int(server.add_secure_port(self._address, credentials))

    async def _serve(self, _requests: object, context: grpc.aio.ServicerContext) -> None:
        names = context.auth_context().get("x509_common_name", [])
        peer = (names[0].decode(errors="replace") if names else "") or None
        if peer is None and self._tls is not None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate has no name")
        if self._closed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the aggregator is closing")
        if self._admit is not None and not self._admit(peer):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{peer} is not admitted here")
        await context.send_initial_metadata((_ADMITTED,))
        stream = _FarStream(context, peer or "a device")
        connection = StreamConnection(stream, peer)
        self._alive.add(connection)
        self._arrivals.put_nowait(connection)
        try:
            await stream.ended.wait()
        finally:
            self._alive.discard(connection)


class _NearStream:
    """The call of the side that connected; owns its channel."""

    def __init__(
        self, url: str, channel: grpc.aio.Channel, call: grpc.aio.StreamStreamCall
    ) -> None:
        self._url = url
        self._channel = channel
        self._call = call

    async def read(self) -> bytes | None:
        try:
            got = await self._call.read()
            if got is not grpc.aio.EOF:
                return got or None
            if await self._call.code() is grpc.StatusCode.OK:
                return None
            details = await self._call.details()
        except grpc.aio.AioRpcError as error:
            details = error.details()
        except asyncio.CancelledError:
            if not self._call.cancelled():
                raise  # this task was cancelled, not the call
            details = "given up"
        raise Unreachable(f"the connection to {self._url} broke ({details}); connect again")

    async def write(self, packet: bytes) -> None:
        try:
            await self._call.write(packet)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise Unreachable(
                f"the connection to {self._url} is gone ({_words(error)}); connect again"
            ) from None

    async def end(self) -> None:
        try:
            await self._call.write(_GOODBYE)
            await self._call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call is over already

    async def release(self, *, broken: bool) -> None:
        if broken:
            self._call.cancel()
        await self._channel.close()


class _FarStream:
    """The call of the side that listens; it ends when `ended` is set."""

    def __init__(self, context: grpc.aio.ServicerContext, name: str) -> None:
        self._context = context
        self._name = name
        self.ended = asyncio.Event()

    async def read(self) -> bytes | None:
        try:
            got = await self._context.read()
        except grpc.aio.BaseError:  # the call is finished
            got = grpc.aio.EOF
        if got is not grpc.aio.EOF:
            return got or None
        if self.ended.is_set():
            return None
        raise Unreachable(f"the connection from {self._name} broke")

    async def write(self, packet: bytes) -> None:
        try:
            await self._context.write(packet)
        except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
            raise Unreachable(
                f"the connection from {self._name} is gone ({_words(error)})"
            ) from None

    async def end(self) -> None:
        self.ended.set()

    async def release(self, *, broken: bool) -> None:
        self.ended.set()


def _parse_url(url: str) -> tuple[str, bool]:
    """Return gRPC's target and whether TLS is wanted."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{url!r} is not an address: {error}") from None
    rest = parts.path or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("grpc", "grpcs") or not host or port is None or rest:
        raise ConfigError(f"{url!r} is not an address like grpcs://aggregator.example:7443")
    return parts.netloc, parts.scheme == "grpcs"


def _words(error: BaseException) -> str:
    return str(error.details() if isinstance(error, grpc.aio.AioRpcError) else error)


def _failure(url: str, code: grpc.StatusCode, details: str | None) -> TransportError:
    """Return the error that says why `url` could not be connected to."""
    match code:
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return Rejected(f"{url} does not take this identity ({details}); enrol it again")
        case grpc.StatusCode.UNIMPLEMENTED:
            return Rejected(f"{url} is not a Dreamshare aggregator; check host and port")
    if "CERTIFICATE_VERIFY_FAILED" in str(details) or "Hostname Verification" in str(details):
        return Rejected(
            f"{url} shows a certificate that this identity does not trust, or that is not for this "
            f"host; check the address, or enrol again ({details})"
        )
    return Unreachable(
        f"{url} cannot be reached: {details}. Check address and network; where something answers, "
        "it may not speak TLS or may refuse this certificate"
    )
