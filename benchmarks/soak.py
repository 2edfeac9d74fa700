"""Claim: of streams that end badly an aggregator over gRPC keeps no task, stream or file, and at
most 300 bytes of memory each.

    python -m benchmarks.soak [--streams 20000] [--json]

The aggregator's driver and its gRPC listener run in a process of their own. Devices come and go by
thousands, each in one of the ways below, in turns; after every block the aggregator is left alone
until keepalive has done its work, and asked for its resident memory, asyncio tasks, open streams
and open files.

    goodbye   greets and closes as it should
    vanish    greets, then its call is cancelled
    reset     its call is cancelled before a word
    flood     its call is cancelled in the middle of a large write
    cut       greets, then its TCP connection is closed under the stream

    growth_bytes_per_stream   slope of resident memory over the blocks behind the first
    tasks, streams, files     over what there was when each device had come once in each way

Rules: no device reads what the aggregator answers to a flood, so some of them (not the aggregator)
keep the TCP connection of a call that their gRPC has forgotten (`benchmarks/peers/grpc_unread.py`);
the aggregator closes what carries no call after 30 s, and the wait after a block is longer.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it logs every connection that is cut; read once

import grpc
import numpy as np
from benchmarks.rig import machine, resident_kb

from dreamshare.clock import SystemClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.messages import ControlError, Reply, Request
from dreamshare.transport.grpc import SERVICE, GrpcListener
from dreamshare.transport.streams import StreamConnection
from dreamshare.transport.tls import TlsFiles
from dreamshare.wire.link import Hello, Standing, encode_packet
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.identity import Identity

DEVICES = 8
BLOCKS = 5
QUIET_S = 45.0  # until keepalive has found the last connection that was cut
CLAIM_BYTES = 300.0
METHOD = f"/{SERVICE}/Connect"


# ---- the aggregator ------------------------------------------------------------------------------


class Nobody:
    """A shell that is asked nothing."""

    async def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        yield Reply(request.number, ControlError("a benchmark takes no requests"))

    def device_came(self, device: PartyId) -> None:
        """Nobody looks."""

    def device_went(self, device: PartyId) -> None:
        """Nobody looks."""

    def knows(self, task: TaskId) -> bool:
        return False

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"a device contradicts itself: {evidence.code}")


async def serve(folder: Path) -> None:
    """Serve; print the port, then one line of figures for every line that is read."""
    identity = Identity.load(FederationFolder(folder).aggregator)
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
    driver = AggregatorDriver([listener], identity, SystemClock(), Nobody())
    await driver.start()
    serving = asyncio.ensure_future(driver.run())
    print(listener.port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        gc.collect()
        await asyncio.sleep(0.2)  # what was collected may have had last words
        gc.collect()
        print(json.dumps(_figures()), flush=True)
    await driver.close()
    await serving


def _figures() -> dict[str, float]:
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # what is free counts for nothing, wherever glibc keeps it
    return {
        "kb": resident_kb(),
        "tasks": len(asyncio.all_tasks()),
        "streams": sum(type(each) is StreamConnection for each in gc.get_objects()),
        "files": len(list(Path("/proc/self/fd").iterdir())),
    }


# ---- devices -------------------------------------------------------------------------------------


class Visitor:
    """One device that comes and goes, in whatever way it is told."""

    def __init__(self, folder: Path, number: int, port: int) -> None:
        identity = Identity.load(folder / f"{number}.key")
        tls = TlsFiles.of(identity)
        self._credentials = grpc.ssl_channel_credentials(tls.roots_pem, tls.key_pem, tls.chain_pem)
        self._hello = encode_packet(Hello(Standing(identity.certificate.encode(), 1)))
        self._target = f"127.0.0.1:{port}"
        self._channel = self._new_channel()
        self._ways: tuple[Callable[[], Coroutine[None, None, None]], ...] = (
            self._goodbye,
            self._vanish,
            self._reset,
            self._flood,
            self._cut,
        )

    async def visit(self, times: int) -> None:
        """Come and go so many times, in each way in turns."""
        for number in range(times):
            await self._ways[number % len(self._ways)]()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    def _new_channel(self) -> grpc.aio.Channel:
        options = (("grpc.use_local_subchannel_pool", 1),)
        return grpc.aio.secure_channel(self._target, self._credentials, options)

    async def _come(self) -> grpc.aio.StreamStreamCall:
        call = self._channel.stream_stream(METHOD)()
        await call.initial_metadata()
        return call

    async def _greeted(self) -> grpc.aio.StreamStreamCall:
        call = await self._come()
        await call.write(self._hello)
        await call.read()
        return call

    async def _goodbye(self) -> None:
        call = await self._greeted()
        await call.write(b"")
        await call.done_writing()
        await call.code()

    async def _vanish(self) -> None:
        (await self._greeted()).cancel()

    async def _reset(self) -> None:
        (await self._come()).cancel()

    async def _flood(self) -> None:
        call = await self._come()
        writing = asyncio.ensure_future(_write_on(call))
        await asyncio.sleep(0.005)
        call.cancel()
        await writing

    async def _cut(self) -> None:
        await self._greeted()
        await self._channel.close()
        self._channel = self._new_channel()


async def _write_on(call: grpc.aio.StreamStreamCall) -> None:
    with suppress(asyncio.CancelledError, asyncio.InvalidStateError, grpc.aio.AioRpcError):
        while True:
            await call.write(bytes(200_000))


# ---- everything ----------------------------------------------------------------------------------


async def measure(streams: int) -> dict[str, object]:
    """Soak, and return the figures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "federation"
        federation = FederationFolder(folder)
        federation.create()
        for number in range(DEVICES):
            federation.issue(Role.DEVICE, f"device-{number}", folder / f"{number}.key")
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.soak", "--server", str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            return await _soak(server, folder, streams)
        finally:
            if server.stdin is not None:
                server.stdin.close()
            await server.wait()


async def _soak(
    server: asyncio.subprocess.Process, folder: Path, streams: int
) -> dict[str, object]:
    if server.stdin is None or server.stdout is None:
        raise SystemExit("the aggregator has no pipes")
    port = int(await server.stdout.readline())

    async def look() -> dict[str, float]:
        await asyncio.sleep(QUIET_S)
        server.stdin.write(b"\n")
        found: dict[str, float] = json.loads(await server.stdout.readline())
        return found

    visitors = [Visitor(folder, number, port) for number in range(DEVICES)]
    for visitor in visitors:
        await visitor.visit(5)
        await visitor.close()
    visitors = [Visitor(folder, number, port) for number in range(DEVICES)]
    before = await look()
    each = -(-streams // (BLOCKS * DEVICES))
    started, seen = time.perf_counter(), []
    for _ in range(BLOCKS):
        await asyncio.gather(*(visitor.visit(each) for visitor in visitors))
        seen.append(await look())
    seconds = time.perf_counter() - started - BLOCKS * QUIET_S
    for visitor in visitors:
        await visitor.close()
    last = await look()
    later = [1e3 * found["kb"] for found in seen[1:]]
    slope, _ = np.polyfit(np.arange(len(later)) * each * DEVICES, later, 1)
    return {
        "streams": BLOCKS * DEVICES * each,
        "streams_per_second": BLOCKS * DEVICES * each / seconds,
        "growth_bytes_per_stream": float(slope),
        "rss_mb_before": before["kb"] / 1e3,
        "rss_mb": [round(found["kb"] / 1e3, 2) for found in seen],
        "tasks": last["tasks"] - before["tasks"],
        "streams_open": last["streams"] - before["streams"],
        "files": last["files"] - before["files"],
    }


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--server", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.server is not None:
        asyncio.run(serve(asked.server))
        return 0
    figures = asyncio.run(measure(asked.streams))
    flat = float(str(figures["growth_bytes_per_stream"])) <= CLAIM_BYTES
    nothing_left = all(float(str(figures[k])) <= 0 for k in ("tasks", "streams_open", "files"))
    print(json.dumps({**figures, "machine": machine()}, indent=None if asked.json else 1))
    return 0 if flat and nothing_left else 1


if __name__ == "__main__":
    sys.exit(main())
