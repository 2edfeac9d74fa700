"""The two ends of a gRPC call, as `streams.Stream` wants them.

Rules:
- nothing cancels a read or a write or puts a time limit around one: grpc.aio leaks memory when a
  read is cancelled, and gives the call up when a write is (see `streams`);
- an empty message says that the opener closes; a stream that ends without it broke. The listener's
  end closes by ending the call with OK;
- a call whose handler has returned is not touched any more: grpc.aio has let it go by then, and
  never collects an operation that is started on it;
- a call that is given up is cancelled in gRPC's core. `Call.cancel` does nothing once a write has
  failed (grpc.aio then takes the call for done), and a call whose peer's last messages were never
  read keeps its TCP connection open at both ends for good (benchmarks/peers/grpc_unread.py).
"""

from __future__ import annotations

import asyncio

import grpc

from dreamshare.errors import Unreachable

_GOODBYE = b""


class NearStream:
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
            _cancel_in_core(self._call)
        await self._channel.close()


class FarStream:
    """The call of the side that listens; it ends when `ended` is set.

    Attributes:
        ended: this end has let go of the call.
        over: the call's handler has returned.
    """

    def __init__(self, context: grpc.aio.ServicerContext, name: str) -> None:
        self._context = context
        self._name = name
        self.ended = asyncio.Event()
        self.over = False

    async def read(self) -> bytes | None:
        try:
            got = grpc.aio.EOF if self.over else await self._context.read()
        except grpc.aio.BaseError:  # the call is finished
            got = grpc.aio.EOF
        if got is not grpc.aio.EOF:
            return got or None
        if self.ended.is_set():
            return None
        raise Unreachable(f"the connection from {self._name} broke")

    async def write(self, packet: bytes) -> None:
        if self.over:
            raise Unreachable(f"the connection from {self._name} is gone (the call is over)")
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


def _cancel_in_core(call: grpc.aio.StreamStreamCall) -> None:
    """Cancel a call that grpc.aio may take for done; one that is over stays so."""
    core = getattr(call, "_cython_call", None)  # there is no public way
    if core is not None:
        core.cancel("given up")


def _words(error: BaseException) -> str:
    return str(error.details() if isinstance(error, grpc.aio.AioRpcError) else error)
