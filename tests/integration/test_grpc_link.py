"""What only gRPC has: TLS that says no, cables that are cut, services beside the link."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from dreamshare.errors import ConfigError, Rejected, TransportError, Unreachable
from dreamshare.transport import streams
from dreamshare.transport.base import PACKET_LIMIT, Connection
from dreamshare.transport.grpc import SERVICE, GrpcLink, GrpcListener
from dreamshare.transport.tls import TlsFiles
from tests.unit.transport.pki import BORN, Root

pytestmark = pytest.mark.integration

DEVICE = "d1" * 16
AGGREGATOR = "a0" * 16
METHOD = f"/{SERVICE}/Connect"
ROOT = Root.make("root")
STRANGER = Root.make("stranger")


@contextlib.asynccontextmanager
async def listening(tls: TlsFiles | None = None) -> AsyncIterator[GrpcListener]:
    listener = GrpcListener(
        "127.0.0.1:0", tls or ROOT.issue(AGGREGATOR), allow_plaintext=tls is None
    )
    await listener.start()
    yield listener
    await listener.close()


def channel_to(listener: GrpcListener, files: TlsFiles) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(files.roots_pem, files.key_pem, files.chain_pem)
    return grpc.aio.secure_channel(f"127.0.0.1:{listener.port}", credentials)


# ---- who is let in -------------------------------------------------------------------------------


def with_roots(files: TlsFiles, roots: Root) -> TlsFiles:
    return TlsFiles(files.chain_pem, files.key_pem, roots.issue("unused").roots_pem)


@pytest.mark.parametrize(
    ("device", "refusal"),
    [
        pytest.param(with_roots(ROOT.issue(DEVICE), STRANGER), Rejected, id="server-of-a-stranger"),
        pytest.param(with_roots(STRANGER.issue(DEVICE), ROOT), Unreachable, id="stranger"),
        pytest.param(ROOT.issue(DEVICE, ends=BORN), Unreachable, id="expired"),
        pytest.param(ROOT.issue(""), Rejected, id="nameless"),
    ],
)
async def test_tls_keeps_the_wrong_party_out(
    device: TlsFiles, refusal: type[TransportError]
) -> None:
    async with listening() as listener:
        with pytest.raises(refusal, match="127.0.0.1"):
            await GrpcLink(f"grpcs://127.0.0.1:{listener.port}", device).connect()


async def test_a_certificate_for_another_host_is_not_trusted() -> None:
    async with listening() as listener:
        link = GrpcLink(f"grpcs://127.0.0.2:{listener.port}", ROOT.issue(DEVICE))
        with pytest.raises(TransportError):
            await link.connect()


async def test_a_link_in_clear_gets_nothing_from_a_listener_with_tls() -> None:
    async with listening() as listener:
        link = GrpcLink(f"grpc://127.0.0.1:{listener.port}", allow_plaintext=True)
        with pytest.raises(Unreachable, match="may not speak TLS"):
            await link.connect()


async def test_a_link_without_a_certificate_gets_nothing() -> None:
    async with listening() as listener:
        credentials = grpc.ssl_channel_credentials(ROOT.issue(DEVICE).roots_pem)
        async with grpc.aio.secure_channel(f"127.0.0.1:{listener.port}", credentials) as channel:
            call = channel.stream_stream(METHOD)()
            assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_host_by_name_needs_no_override() -> None:
    async with listening() as listener:
        near = await GrpcLink(f"grpcs://localhost:{listener.port}", ROOT.issue(DEVICE)).connect()
        await near.close()


# ---- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "grpcs://host",
        "host:7443",
        "https://host:7443",
        "grpcs://:7443",
        "grpcs://host:7443/path",
        "grpcs://host:port",
        "grpcs://me@host:7443",
    ],
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="is not an address"):
        GrpcLink(url, ROOT.issue(DEVICE))


def test_tls_is_the_default() -> None:
    with pytest.raises(ConfigError, match="certificate and roots"):
        GrpcLink("grpcs://host:1")
    with pytest.raises(ConfigError, match="in clear"):
        GrpcLink("grpc://host:1")
    with pytest.raises(ConfigError, match="TLS files"):
        GrpcListener("127.0.0.1:0")
    with pytest.raises(ConfigError, match="roots_pem is not PEM"):
        TlsFiles(ROOT.issue(DEVICE).chain_pem, ROOT.issue(DEVICE).key_pem, b"")
    files = ROOT.issue(DEVICE)
    assert "key_pem" not in repr(files)


async def test_a_port_that_is_taken_and_keys_that_do_not_fit_are_named() -> None:
    async with listening() as listener:
        second = GrpcListener(f"127.0.0.1:{listener.port}", ROOT.issue(AGGREGATOR))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{listener.port}"):
            await second.start()
        await second.close()
    broken = TlsFiles(b"-----BEGIN x", b"-----BEGIN x", b"-----BEGIN x")
    with pytest.raises(ConfigError, match="certificate unusable"):
        await GrpcListener("127.0.0.1:0", broken).start()


async def test_errors_name_the_address() -> None:
    link = GrpcLink("grpc://127.0.0.1:1", allow_plaintext=True)
    assert str(link) == "grpc://127.0.0.1:1"
    with pytest.raises(Unreachable, match="grpc://127.0.0.1:1 cannot be reached"):
        await link.connect()


async def test_who_answers_nothing_is_unreachable() -> None:
    callers: list[asyncio.StreamWriter] = []

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as mute:
        port = mute.sockets[0].getsockname()[1]
        link = GrpcLink(f"grpc://127.0.0.1:{port}", allow_plaintext=True, connect_timeout_s=0.2)
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s"):
            await link.connect()
        for caller in callers:
            caller.close()
            await caller.wait_closed()


async def test_a_grpc_server_of_somebody_else_is_rejected() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with pytest.raises(Rejected, match="is not a Dreamshare aggregator"):
        await GrpcLink(f"grpc://127.0.0.1:{port}", allow_plaintext=True).connect()
    await server.stop(None)


# ---- connections that break ----------------------------------------------------------------------


class Cable:
    """A TCP relay that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._relays: set[asyncio.Task[None]] = set()

    async def plug(self) -> int:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def cut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.wait(self._relays)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.current_task()
        assert relay is not None
        self._relays.add(relay)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        for each in (writer, far_writer):
            each.close()

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def ends_of(listener: GrpcListener, port: int) -> tuple[Connection, Connection]:
    near = await GrpcLink(f"grpcs://127.0.0.1:{port}", ROOT.issue(DEVICE)).connect()
    far = await anext(aiter(listener.connections()))
    return near, far


async def test_a_cut_cable_is_unreachable_at_both_ends_and_a_new_one_works() -> None:
    before = asyncio.all_tasks()
    async with listening() as listener:
        cable = Cable(listener.port)
        near, far = await ends_of(listener, await cable.plug())
        await near.send(b"before")
        assert await anext(aiter(far.packets())) == b"before"
        await cable.cut()
        for end in (near, far):
            with pytest.raises(Unreachable, match="broke"):
                await anext(aiter(end.packets()))
            with pytest.raises(Unreachable):
                await end.send(b"x")
            await end.close()
        near, far = await ends_of(listener, listener.port)
        await near.send(b"after")
        assert await anext(aiter(far.packets())) == b"after"
        await near.close()
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


async def test_a_sender_that_waits_for_room_learns_of_the_cut() -> None:
    async with listening() as listener:
        cable = Cable(listener.port)
        near, far = await ends_of(listener, await cable.plug())

        async def send() -> None:
            while True:
                await near.send(bytes(PACKET_LIMIT))

        sending = asyncio.ensure_future(send())
        await asyncio.wait({sending}, timeout=0.2)
        assert not sending.done()
        await cable.cut()
        with pytest.raises(Unreachable):
            await sending
        await near.close()
        await far.close()


async def test_a_device_that_dies_without_a_word_is_a_break() -> None:
    async with listening() as listener:
        channel = channel_to(listener, ROOT.issue(DEVICE))
        call = channel.stream_stream(METHOD)()
        await call.write(b"x")
        far = await anext(aiter(listener.connections()))
        packets = aiter(far.packets())
        assert await anext(packets) == b"x"
        call.cancel()
        with pytest.raises(Unreachable, match=DEVICE):
            await anext(packets)
        await channel.close()


async def test_a_stream_that_ends_without_goodbye_is_a_break() -> None:
    async with listening() as listener:
        channel = channel_to(listener, ROOT.issue(DEVICE))
        call = channel.stream_stream(METHOD)()
        await call.done_writing()
        far = await anext(aiter(listener.connections()))
        with pytest.raises(Unreachable):
            await anext(aiter(far.packets()))
        assert await call.code() is grpc.StatusCode.OK
        await channel.close()


async def test_a_packet_over_the_limit_breaks_the_connection() -> None:
    async with listening() as listener:
        channel = channel_to(listener, ROOT.issue(DEVICE))
        call = channel.stream_stream(METHOD)()
        writing = asyncio.ensure_future(call.write(bytes(PACKET_LIMIT + 1)))
        far = await anext(aiter(listener.connections()))
        with pytest.raises(Unreachable, match=f"a packet of {PACKET_LIMIT + 1} bytes"):
            await anext(aiter(far.packets()))
        await asyncio.wait({writing})
        await channel.close()


Behave = Callable[[grpc.aio.ServicerContext], Awaitable[None]]


@contextlib.asynccontextmanager
async def linked_to(behave: Behave) -> AsyncIterator[Connection]:
    """A connection to a listener that admits and then behaves as told."""

    async def serve(_requests: object, context: grpc.aio.ServicerContext) -> None:
        await context.send_initial_metadata((("dreamshare-link", "1"),))
        await context.read()  # gRPC may merge the metadata with a status that follows at once
        await behave(context)

    server = grpc.aio.server()
    link = grpc.stream_stream_rpc_method_handler(serve)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Connect": link}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    near = await GrpcLink(f"grpc://127.0.0.1:{port}", allow_plaintext=True).connect()
    await near.send(b"go on")
    yield near
    await near.close()
    await server.stop(None)


async def test_a_listener_that_gives_up_is_a_break() -> None:
    async def give_up(context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.INTERNAL, "no")

    async with linked_to(give_up) as near:
        with pytest.raises(Unreachable, match=r"broke \(no\)"):
            await anext(aiter(near.packets()))


async def test_a_listener_that_never_lets_go_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "GRACE_S", 0.02)
    before = asyncio.all_tasks()

    async def hold_on(_context: grpc.aio.ServicerContext) -> None:
        await asyncio.Event().wait()

    async with linked_to(hold_on) as near:
        reading = asyncio.ensure_future(anext(aiter(near.packets()), None))
        await asyncio.sleep(0)
        await near.close()
        assert await reading is None
    while left := asyncio.all_tasks() - before:
        await asyncio.wait(left)


async def test_an_empty_message_is_a_goodbye_from_either_end() -> None:
    async def say_goodbye(context: grpc.aio.ServicerContext) -> None:
        await context.write(b"")

    async with linked_to(say_goodbye) as near:
        assert [packet async for packet in near.packets()] == []
