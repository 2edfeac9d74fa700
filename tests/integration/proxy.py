"""A TCP proxy between two parties of a test: it delays, and it cuts.

    async with Proxy("127.0.0.1", port) as proxy:
        link = GrpcLink(f"grpcs://127.0.0.1:{proxy.port}", tls)
        proxy.delay_s = 0.2
        proxy.cut()

Rules:
- bytes keep their order within a connection, as TCP's do; a delay holds each piece back;
- `cut` ends every connection at once, without a goodbye; new ones are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class Proxy:
    """Takes connections on a free port of loopback and carries them on.

    Attributes:
        delay_s: seconds that every piece waits, each way.
        cuts: how many connections were cut.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        self.cuts = 0
        self._target = (host, port)
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens, inside the block."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._open, return_exceptions=True)

    def cut(self) -> None:
        """Cut every connection that is open."""
        for task in self._open:
            self.cuts += task.cancel()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.ensure_future(self._pass(reader, onward)),
            asyncio.ensure_future(self._pass(there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.transport.abort()
            onward.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction; pieces overlap in their delays, so that bandwidth stays."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                writer.write(piece)
                await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(OSError):
                while piece := await reader.read(65536):
                    pieces.put_nowait((loop.time() + self.delay_s, piece))
        finally:
            delivering.cancel()
