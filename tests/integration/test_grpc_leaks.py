"""Nothing is left of calls that end in the middle: no task, connection or operation of gRPC's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from dreamshare.errors import Unreachable
from dreamshare.transport.base import PACKET_LIMIT, Connection
from dreamshare.transport.grpc import SERVICE, GrpcLink, GrpcListener

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not Path("/proc/net/tcp").exists(), reason="this system has no /proc/net/tcp to count in"
    ),
]

TIMES = 5
MANY = 12  # more packets than a connection takes that nobody reads from
ESTABLISHED = "01"


def left(port: int) -> tuple[int, int, int]:
    """Return how many tasks, operations of gRPC's and TCP connections to a local port there are."""
    gc.collect()
    batches = sum(type(each).__name__ == "CallbackWrapper" for each in gc.get_objects())
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    connections = sum(
        state == ESTABLISHED and int(there.rsplit(":", 1)[1], 16) == port
        for _, _, there, state, *_ in lines
    )
    return len(asyncio.all_tasks()), batches, connections


async def check_that_nothing_stays(visit: Callable[[], Awaitable[None]], port: int) -> None:
    await visit()  # gRPC's own tasks have been born
    for _ in range(20):
        await asyncio.sleep(0.02)
    before = left(port)
    for _ in range(TIMES):
        await visit()
    async with asyncio.timeout(10.0):
        while any(  # noqa: ASYNC110  nobody tells when the kernel is done
            now > then for now, then in zip(left(port), before, strict=True)
        ):
            await asyncio.sleep(0.02)


async def send_on(connection: Connection) -> None:
    with suppress(Unreachable):
        while True:
            await connection.send(bytes(PACKET_LIMIT))


async def test_a_link_whose_aggregator_ended_the_call_with_words_unread_lets_go() -> None:
    async def answer(_requests: object, context: grpc.aio.ServicerContext) -> None:
        await context.send_initial_metadata((("dreamshare-link", "1"),))
        await context.read()
        for _ in range(MANY):
            await context.write(b"a word")

    server = grpc.aio.server()
    link = grpc.stream_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"Connect": link}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def visit() -> None:
        near = await GrpcLink(f"grpc://127.0.0.1:{port}", allow_plaintext=True).connect()
        await send_on(near)
        await near.close()

    await check_that_nothing_stays(visit, port)
    assert left(port)[2] == 0
    await server.stop(None)


async def test_a_listener_starts_nothing_on_a_call_that_is_over() -> None:
    listener = GrpcListener("127.0.0.1:0", allow_plaintext=True)
    await listener.start()
    arrivals = aiter(listener.connections())

    async def visit() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
            call = channel.stream_stream(f"/{SERVICE}/Connect")()
            for _ in range(MANY):
                await call.write(b"more than waits for an owner")
            far = await anext(arrivals)
            call.cancel()
        await asyncio.sleep(0.1)  # the handler has returned; nobody has read yet
        with pytest.raises(Unreachable):
            async for _ in far.packets():
                pass
        with pytest.raises(Unreachable):
            await far.send(b"too late")
        await far.close()

    await check_that_nothing_stays(visit, listener.port)
    await listener.close()
