"""What an operator's tools see of a gRPC listener: health, reflection, renewal, and no leaks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import dreamshare.wire.link  # noqa: F401  reflection describes what the program has loaded
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.base import PACKET_LIMIT
from dreamshare.transport.grpc import LINKS_PER_PARTY, SERVICE, GrpcLink, GrpcListener
from dreamshare.transport.streams import StreamConnection
from dreamshare.transport.tls import TlsFiles
from tests.unit.transport.pki import Root

pytestmark = pytest.mark.integration

DEVICE = "d1" * 16
AGGREGATOR = "a0" * 16
METHOD = f"/{SERVICE}/Connect"
ROOT = Root.make("root")
FILES = ROOT.issue(DEVICE)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def listener() -> AsyncIterator[GrpcListener]:
    made = GrpcListener("127.0.0.1:0", ROOT.issue(AGGREGATOR))
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def channel(listener: GrpcListener) -> AsyncIterator[grpc.aio.Channel]:
    async with channel_to(listener, FILES) as made:
        yield made


def channel_to(listener: GrpcListener, files: TlsFiles) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(files.roots_pem, files.key_pem, files.chain_pem)
    return grpc.aio.secure_channel(f"127.0.0.1:{listener.port}", credentials)


def link_to(listener: GrpcListener, files: TlsFiles = FILES) -> GrpcLink:
    return GrpcLink(f"grpcs://127.0.0.1:{listener.port}", files)


async def status_of(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    reply = await health_pb2_grpc.HealthStub(channel).Check(request)
    return int(reply.status)


# ---- health --------------------------------------------------------------------------------------


async def test_health_tells_the_process_from_its_readiness(
    listener: GrpcListener, channel: grpc.aio.Channel
) -> None:
    assert [await status_of(channel, name) for name in ("", SERVICE)] == [SERVING, SERVING]
    await listener.report_ready(False)
    assert [await status_of(channel, name) for name in ("", SERVICE)] == [SERVING, NOT_SERVING]
    await listener.report_ready(True)
    assert [await status_of(channel, name) for name in ("", SERVICE)] == [SERVING, SERVING]
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await status_of(channel, "somebody.else")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_readiness_that_was_told_before_the_start_counts() -> None:
    listener = GrpcListener("127.0.0.1:0", ROOT.issue(AGGREGATOR))
    await listener.report_ready(False)
    await listener.start()
    async with channel_to(listener, FILES) as channel:
        assert await status_of(channel, SERVICE) == NOT_SERVING
    await listener.close()


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_who_watches_hears_of_the_shutdown(
    listener: GrpcListener, channel: grpc.aio.Channel, service: str
) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    watch = health_pb2_grpc.HealthStub(channel).Watch(request)
    assert (await watch.read()).status == SERVING
    await asyncio.gather(listener.close(), _expect(watch, NOT_SERVING))
    await listener.report_ready(True)  # too late: nothing serves here any more
    with pytest.raises(grpc.aio.AioRpcError):
        await watch.read()


async def _expect(watch: grpc.aio.UnaryStreamCall, status: int) -> None:
    assert (await watch.read()).status == status


# ---- reflection ----------------------------------------------------------------------------------


async def test_reflection_names_and_describes_the_service(channel: grpc.aio.Channel) -> None:
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = {each.name for each in (await call.read()).list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
    (found,) = (await call.read()).file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(found)
    assert [method.name for method in file.service[0].method] == ["Connect"]
    await call.done_writing()


async def test_a_stranger_learns_nothing(listener: GrpcListener) -> None:
    stranger = Root.make("stranger").issue(DEVICE)
    files = TlsFiles(stranger.chain_pem, stranger.key_pem, FILES.roots_pem)
    async with channel_to(listener, files) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await status_of(channel, "")
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        ("dreamshare.transport.streams, dreamshare.transport.tls, dreamshare.wire.codec", []),
        ("dreamshare.transport.grpc", ["grpc"]),
    ],
)
def test_a_device_pays_for_what_it_names(module: str, loaded: list[str]) -> None:
    program = (
        f"import sys, {module}; some = ('grpc', 'grpc_health.v1', 'grpc_reflection.v1alpha'); "
        "print([name for name in some if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(loaded), "")


# ---- renewal -------------------------------------------------------------------------------------


async def test_certificates_are_renewed_at_both_ends_without_a_restart(
    listener: GrpcListener,
) -> None:
    """A federation moves to a new root: what is open stays, what comes next is proven anew."""
    link, arrivals = link_to(listener), aiter(listener.connections())
    near = await link.connect()
    far = await anext(arrivals)
    new_root = Root.make("next year's root")
    listener.renew(new_root.issue(AGGREGATOR))
    with pytest.raises(Rejected, match="does not trust"):
        await link.connect()
    link.renew(new_root.issue(DEVICE))
    second = await link.connect()
    assert (await anext(arrivals)).peer == DEVICE
    await near.send(b"as before")
    assert await anext(aiter(far.packets())) == b"as before"
    await near.close()
    await second.close()


async def test_what_cannot_be_read_renews_nothing(listener: GrpcListener) -> None:
    with pytest.raises(ConfigError, match="holds no certificate"):
        listener.renew(TlsFiles(b"-----BEGIN x", FILES.key_pem, FILES.roots_pem))
    in_clear = GrpcListener("127.0.0.1:0", allow_plaintext=True)
    with pytest.raises(ConfigError, match="nothing to renew"):
        in_clear.renew(FILES)
    near = await link_to(listener).connect()
    await near.close()


# ---- bounds --------------------------------------------------------------------------------------


async def test_one_party_has_so_many_connections_and_no_more(listener: GrpcListener) -> None:
    link = link_to(listener)
    near = [await link.connect() for _ in range(LINKS_PER_PARTY)]
    with pytest.raises(Unreachable, match=f"has {LINKS_PER_PARTY} connections here"):
        await link.connect()
    other = await link_to(listener, ROOT.issue("d2" * 16)).connect()
    await near.pop().close()
    near += [await link.connect(), other]
    await asyncio.gather(*(each.close() for each in near))


async def test_shards_show_one_certificate_and_may_be_many() -> None:
    files = ROOT.issue(AGGREGATOR)
    trunks = GrpcListener("127.0.0.1:0", files, links_per_party=2 * LINKS_PER_PARTY)
    await trunks.start()
    near = [await link_to(trunks, files).connect() for _ in range(2 * LINKS_PER_PARTY)]
    with pytest.raises(Unreachable, match=f"has {2 * LINKS_PER_PARTY} connections here"):
        await link_to(trunks, files).connect()
    await asyncio.gather(*(each.close() for each in near))
    await trunks.close()


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_reader_that_stands_still_stops_the_writer(
    listener: GrpcListener, way: str
) -> None:
    """What is taken without being read: gRPC's window and buffers, and the kernel's."""
    near = await link_to(listener).connect()
    far = await anext(aiter(listener.connections()))
    writer, reader = (near, far) if way == "up" else (far, near)
    taken = 0

    async def write() -> None:
        nonlocal taken
        while True:
            await writer.send(bytes(PACKET_LIMIT))
            taken += 1

    writing = asyncio.ensure_future(write())
    before = -1
    while before < taken:  # until nothing was taken for a while
        before = taken
        await asyncio.wait({writing}, timeout=0.5)
    assert taken <= 16
    packets = aiter(reader.packets())
    for _ in range(before + 1):
        assert len(await anext(packets)) == PACKET_LIMIT
    await asyncio.wait({writing}, timeout=0.5)
    assert taken > before  # and it goes on
    writing.cancel()
    await reader.close()
    await writer.close()


# ---- streams that are given up -------------------------------------------------------------------


async def test_streams_that_are_cancelled_leave_nothing_behind(listener: GrpcListener) -> None:
    """Whatever a peer does to its call: no task, no connection, no place is left over."""
    arrived: asyncio.Queue[StreamConnection] = asyncio.Queue()
    admitting = asyncio.ensure_future(_admit(listener, arrived))
    for _ in range(3):  # what the first calls leave behind for good is there after this
        await _give_up_in_each_way(listener, arrived)
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=0.2)
    gc.collect()
    tasks, connections = len(asyncio.all_tasks()), _living(StreamConnection)
    for _ in range(10):
        await _give_up_in_each_way(listener, arrived)
    admitting.cancel()
    await asyncio.wait({admitting})
    while len(asyncio.all_tasks()) > tasks + 2:  # the server's own come and go
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=0.05)
    gc.collect()
    await asyncio.sleep(0)
    gc.collect()
    assert _living(StreamConnection) <= connections + 2
    links = [await link_to(listener).connect() for _ in range(LINKS_PER_PARTY)]
    await asyncio.gather(*(each.close() for each in links))


async def _admit(listener: GrpcListener, arrived: asyncio.Queue[StreamConnection]) -> None:
    async for connection in listener.connections():
        assert isinstance(connection, StreamConnection)
        arrived.put_nowait(connection)


async def _give_up_in_each_way(
    listener: GrpcListener, arrived: asyncio.Queue[StreamConnection]
) -> None:
    async with channel_to(listener, FILES) as channel:
        at_once = channel.stream_stream(METHOD)()
        at_once.cancel()
        admitted = channel.stream_stream(METHOD)()
        await admitted.initial_metadata()
        admitted.cancel()
        in_mid_write = channel.stream_stream(METHOD)()
        await in_mid_write.initial_metadata()
        writing = asyncio.ensure_future(_flood(in_mid_write))
        await asyncio.wait({writing}, timeout=0.02)
        in_mid_write.cancel()
        await writing
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        await watch.read()
        watch.cancel()
        hung_up = channel.stream_stream(METHOD)()
        await hung_up.initial_metadata()
    while True:  # a call that was cancelled may or may not have come
        try:
            connection = await asyncio.wait_for(arrived.get(), 0.2)
        except TimeoutError:
            return
        with contextlib.suppress(Unreachable):
            async for _packet in connection.packets():
                pass
        await connection.close()


async def _flood(call: grpc.aio.StreamStreamCall) -> None:
    with contextlib.suppress(asyncio.CancelledError, asyncio.InvalidStateError):
        while True:
            await call.write(bytes(PACKET_LIMIT))


def _living(kind: type) -> int:
    return sum(type(each) is kind for each in gc.get_objects())
