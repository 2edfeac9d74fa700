"""What bare grpc.aio keeps of calls that a server ends while the client writes and reads nothing.

    python -m benchmarks.peers.grpc_unread [--calls 200]

The server reads a message, answers with another and returns; the client writes until that fails,
cancels the call and closes its channel. Each way prints how many connections are open 4 s later:

    as documented    grpc.aio only
    core cancelled   the call is cancelled in gRPC's core as well, as `transport.grpc_calls` does
    idle limit       grpc.aio only, `grpc.max_connection_idle_ms` at the server, as ours has

Rules: grpc.aio takes a call for done once a write has failed, and `cancel` and `read` then do
nothing; gRPC's core does not end a call with messages unread.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import grpc

AT_ONCE = 8
SETTLING_S = 4.0
IDLE = (("grpc.max_connection_idle_ms", 1_000),)
OWN = (("grpc.use_local_subchannel_pool", 1),)
ESTABLISHED = "01"


async def answer(_requests: object, context: grpc.aio.ServicerContext) -> None:
    """Read one message, answer it and end the call."""
    await context.read()
    await context.write(b"an answer that nobody reads")


async def call_once(port: int, *, in_core: bool) -> None:
    """Write until that fails, and give the call up."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", OWN)
    call = channel.stream_stream("/peer/Call")()
    with suppress(asyncio.CancelledError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
        while True:
            await call.write(bytes(200_000))
    call.cancel()
    if in_core:
        call._cython_call.cancel("given up")
    await channel.close()


def open_connections(port: int) -> int:
    """Return how many connections of clients to a local port Linux has open."""
    found = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, _, there, state, *_ = line.split()
            found += state == ESTABLISHED and int(there.rsplit(":", 1)[1], 16) == port
    return found


async def measure(
    calls: int, options: tuple[tuple[str, int], ...] = (), *, in_core: bool = False
) -> int:
    """Return how many connections stay."""
    server = grpc.aio.server(options=options)
    handler = grpc.stream_stream_rpc_method_handler(answer)
    generic = grpc.method_handlers_generic_handler("peer", {"Call": handler})
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for _ in range(-(-calls // AT_ONCE)):
        await asyncio.gather(*(call_once(port, in_core=in_core) for _ in range(AT_ONCE)))
    await asyncio.sleep(SETTLING_S)
    stayed = open_connections(port)
    await server.stop(None)
    return stayed


async def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--calls", type=int, default=200)
    calls = parser.parse_args().calls
    print(f"of {calls} calls, connections that stay:")
    print("  as documented ", await measure(calls))
    print("  core cancelled", await measure(calls, in_core=True))
    print("  idle limit    ", await measure(calls, IDLE))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
