"""gRPC: one bidirectional stream per connection, mutual TLS unless the caller says otherwise.

Rules:
- packets are opaque here: the method of link.proto is served with no serialiser of its own;
- how a call is read, written and ended is in `grpc_calls`; what is served beside it, in
  `grpc_services`;
- keepalive on both sides, so that a dead peer is noticed within 40 s; gRPC's own limit of 4 MiB a
  message is left alone;
- what waits is bounded: packets are read when their owner wants them (`streams`), bytes on the way
  by gRPC's window, packets of all connections together by `_PACKETS_BYTES`, connections of one
  party by `LINKS_PER_PARTY`, time to finish a handshake by 10 s, time of a TCP connection without
  a call by 30 s;
- certificates are renewed without a restart: `renew` at either end, for the next handshakes;
- `grpc` is imported in these three modules alone, and nothing imports them before they are wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc

from dreamshare.errors import ConfigError, Rejected, TransportError, Unreachable
from dreamshare.transport.base import PACKET_LIMIT, Admit, Connection
from dreamshare.transport.grpc_calls import FarStream, NearStream
from dreamshare.transport.streams import StreamConnection
from dreamshare.transport.tls import TlsFiles

if TYPE_CHECKING:
    from dreamshare.transport.grpc_services import Services

_LOG = logging.getLogger(__name__)

SERVICE = "dreamshare_protos.v1.LinkService"
"""The service of link.proto."""

LINKS_PER_PARTY = 8
"""Open connections of one proven party; a driver keeps the newest and closes the others."""

_METHOD = "Connect"
_WINDOW_BYTES = 512 * 1024  # of a link
_LISTENER_WINDOW_BYTES = 64 * 1024  # of each of thousands; gRPC adds the packet that is wanted
_PACKETS_BYTES = 32 * 1024 * 1024  # of packets on their way to or from a listener's peers, about
_LEAST_PACKET = 32 * 1024
_STOP_S = 1.0  # for answers on their way: every connection has been closed by then
_ADMITTED = ("dreamshare-link", "1")  # initial metadata: the listener has taken the connection
_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
# gRPC would let a fast sender's window grow to many MiB per stream, all of it the reader's memory.
# Half a MiB is 5 MB/s at 100 ms.
_FIXED_WINDOW = ("grpc.http2.bdp_probe", 0)
_LINK_OPTIONS = (
    *_KEEPALIVE,
    _FIXED_WINDOW,
    ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
    ("grpc.use_local_subchannel_pool", 1),  # a new attempt never inherits an old one's back-off
    ("grpc.enable_retries", 0),
)
_LISTENER_OPTIONS = (
    *_KEEPALIVE,
    _FIXED_WINDOW,
    ("grpc.http2.lookahead_bytes", _LISTENER_WINDOW_BYTES),
    # A link pings every 30 s; a listener that allowed fewer would answer GOAWAY too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a coin toss
    ("grpc.tsi.max_frame_size", 8 * 1024),  # half of TLS's buffer for every agent
    ("grpc.max_concurrent_streams", 16),  # of one TCP connection: a link, and questions of health
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A TCP connection without a call is nobody's: a device whose gRPC forgot it would hold it open.
    ("grpc.max_connection_idle_ms", 30_000),
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

    def renew(self, tls: TlsFiles) -> None:
        """Show another certificate from the next `connect` on; nothing changes in clear."""
        self._tls = None if self._tls is None else tls

    async def connect(self) -> Connection:
        channel = self._channel()
        call = channel.stream_stream(f"/{SERVICE}/{_METHOD}")()
        admitted = False
        try:
            async with asyncio.timeout(self._timeout_s):
                metadata = await call.initial_metadata()
                admitted = metadata is not None and _ADMITTED in tuple(metadata)
                if not admitted:
                    raise self._failure(await call.code(), await call.details())
        except TimeoutError:
            raise Unreachable(
                f"{self._url} did not answer within {self._timeout_s:g} s; "
                "check address and network"
            ) from None
        except grpc.aio.AioRpcError as error:
            raise self._failure(error.code(), error.details()) from None
        finally:
            if not admitted:
                call.cancel()
                await channel.close()
        return StreamConnection(NearStream(self._url, channel, call), None)

    def __str__(self) -> str:
        return self._url

    def _channel(self) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(self._target, _LINK_OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            self._tls.roots_pem, self._tls.key_pem, self._tls.chain_pem
        )
        return grpc.aio.secure_channel(self._target, credentials, _LINK_OPTIONS)

    def _failure(self, code: grpc.StatusCode, details: str | None) -> TransportError:
        """Return the error that says why nobody could be connected to, and what to do."""
        url, text = self._url, str(details)
        match code:
            case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
                return Rejected(f"{url} does not take this identity ({text}); enrol it again")
            case grpc.StatusCode.UNIMPLEMENTED:
                return Rejected(f"{url} is not a Dreamshare aggregator; check host and port")
        if "CERTIFICATE_VERIFY_FAILED" in text or "Hostname Verification" in text:
            return Rejected(
                f"{url} shows a certificate that this identity does not trust, or that is not for "
                f"this host; check the address, or enrol again ({text})"
            )
        if self._tls is not None and "Socket closed" in text:  # TLS tells a client no more
            return Unreachable(
                f"{url} hung up on the TLS handshake: it may not speak TLS, or not take this "
                f"identity's certificate, valid until {self._tls.valid_until:%Y-%m-%d %H:%M} UTC "
                "(expired, revoked, of another federation: enrol again)"
            )
        return Unreachable(
            f"{url} cannot be reached: {text}. Check address and network; where something "
            "answers, it may not speak TLS or may refuse this certificate"
        )


class GrpcListener:
    """Where an aggregator waits, with health and reflection services beside the link.

    Args:
        address: "host:port"; port 0 takes a free one, see `port`.
        tls: own certificate and the roots that devices' certificates must lead to; None only with
            `allow_plaintext` (see the warning at GrpcLink).
        admit: asked about the CN of the certificate (None in clear); refused links see Rejected.
        allow_plaintext: serve without TLS.
        links_per_party: most open connections of one proven party, 1 or more.

    Its health service says that the link serves from `start` to `close`, unless the owner says
    otherwise with `report_ready`.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        admit: Admit | None = None,
        allow_plaintext: bool = False,
        links_per_party: int = LINKS_PER_PARTY,
    ) -> None:
        if tls is None and not allow_plaintext:
            raise ConfigError(f"{address}: give TLS files, or allow_plaintext=True on loopback")
        self._address = address
        self._tls = tls
        self._admit = admit
        self._most_links = links_per_party
        self._port = 0
        self._server: grpc.aio.Server | None = None
        self._services: Services | None = None
        self._ready = True
        self._renewed: TlsFiles | None = None  # not taken over yet
        self._arrivals: asyncio.Queue[Connection | None] = asyncio.Queue()
        self._alive: set[StreamConnection] = set()
        self._links: Counter[str] = Counter()  # by proven party
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
        try:  # an aggregator's affair alone
            from dreamshare.transport.grpc_services import Services
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"a listener needs {error.name}: pip install 'dreamshare[aggregator]'"
            ) from None
        services = Services(server, SERVICE)
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
        self._services = services
        await services.tell(ready=self._ready)

    async def report_ready(self, ready: bool) -> None:
        """Say to who asks for the link's health whether the owner is ready for devices."""
        self._ready = ready
        if self._services is not None:
            await self._services.tell(ready=ready)

    def renew(self, tls: TlsFiles) -> None:
        """Show another certificate and trust its roots from the next handshake on.

        Connections that are open stay open.

        Raises:
            ConfigError: the certificate cannot be read, or this listener serves in clear.
        """
        if self._tls is None:
            raise ConfigError(f"{self._address} serves in clear: there is nothing to renew")
        until = tls.valid_until
        self._tls = self._renewed = tls
        _LOG.info("%s shows a new certificate now, valid until %s", self._address, until)

    async def connections(self) -> AsyncIterator[Connection]:
        while not self._closed and (connection := await self._arrivals.get()) is not None:
            yield connection

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._arrivals.put_nowait(None)
        if self._server is not None and self._services is not None:
            await self._services.shut_down()
            await asyncio.gather(*(connection.close() for connection in self._alive))
            await self._server.stop(_STOP_S)

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._tls is None:
            return int(server.add_insecure_port(self._address))
        # gRPC asks at every handshake: a renewed certificate needs no new server.
        credentials = grpc.dynamic_ssl_server_credentials(
            _configured(self._tls), self._take_renewed, require_client_authentication=True
        )
        return int(server.add_secure_port(self._address, credentials))

    def _take_renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what `renew` brought, once; called in a thread of gRPC's, one at a time."""
        renewed, self._renewed = self._renewed, None
        return None if renewed is None else _configured(renewed)

    async def _serve(self, _requests: object, context: grpc.aio.ServicerContext) -> None:
        names = context.auth_context().get("x509_common_name", [])
        peer = (names[0].decode(errors="replace") if names else "") or None
        if peer is None and self._tls is not None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate has no name")
        if self._closed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the aggregator is closing")
        if self._admit is not None and not self._admit(peer):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{peer} is not admitted here")
        if peer is not None and self._links[peer] >= self._most_links:
            text = f"{peer} has {self._most_links} connections here; close some"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        await context.send_initial_metadata((_ADMITTED,))
        stream = FarStream(context, peer or "a device")
        connection = StreamConnection(stream, peer, _packet_limit(len(self._alive) + 1))
        self._came(connection)
        try:
            await stream.ended.wait()
        finally:
            stream.over = True
            connection.call_ended()
            self._went(connection)

    def _came(self, connection: StreamConnection) -> None:
        self._alive.add(connection)
        self._arrivals.put_nowait(connection)
        if connection.peer is not None:
            self._links[connection.peer] += 1

    def _went(self, connection: StreamConnection) -> None:
        self._alive.discard(connection)
        peer = connection.peer
        if peer is not None:
            self._links[peer] -= 1
            if not self._links[peer]:
                del self._links[peer]


def _packet_limit(connections: int) -> int:
    """Return the largest packet of the newest of so many connections, bytes.

    Each holds about one, at worst: a peer that is not read has sent one, one that does not read is
    sent one. Few connections get large packets, which cost less time.
    """
    return max(_LEAST_PACKET, min(PACKET_LIMIT, _PACKETS_BYTES // connections))


def _configured(tls: TlsFiles) -> grpc.ServerCertificateConfiguration:
    pair = (tls.key_pem, tls.chain_pem)
    return grpc.ssl_server_certificate_configuration([pair], tls.roots_pem)


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
