"""A network inside one process: for simulation with thousands of devices, and for tests.

Rules:
- it keeps the contract of `base` exactly, back-pressure included; one test suite runs against this
  and against gRPC;
- faults are ordered by the test: `cut` breaks a party's connections, a `Fate` per direction loses
  or delays packets by the clock that the network was given. Order is kept, as on every transport.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from dreamshare.clock import Clock
from dreamshare.errors import ConfigError, Rejected, Unreachable
from dreamshare.transport.base import PACKET_LIMIT, Admit, Connection, check_packet

Fate = Callable[[str, bytes], float | None]
"""(device's name, packet) -> seconds until it arrives, or None when it is lost."""


def prompt(_name: str, _packet: bytes) -> float | None:
    """The default fate: at once."""
    return 0.0


class MemoryNetwork:
    """One aggregator's place and the ways to it.

    Args:
        clock: times the delays.
        up: fate of packets from a link to the listener.
        down: fate of packets from the listener to a link.
        packet_limit: largest packet in bytes.
        depth: packets under way in one direction before `send` waits, >= 1.
        relayed: say that somebody between the ends reads along: bodies are sealed (17.32).
    """

    def __init__(
        self,
        clock: Clock,
        *,
        up: Fate = prompt,
        down: Fate = prompt,
        packet_limit: int = PACKET_LIMIT,
        depth: int = 16,
        relayed: bool = False,
    ) -> None:
        if depth < 1:
            raise ConfigError(f"depth {depth} must be at least 1 packet")
        self.packet_limit = packet_limit
        self._clock = clock
        self._up = up
        self._down = down
        self._depth = depth
        self._relayed = relayed
        self._opened = 0
        self._listener: MemoryListener | None = None
        self._alive: dict[str, list[MemoryConnection]] = {}

    def listener(self, admit: Admit | None = None) -> MemoryListener:
        """Return the aggregator's end; `admit` is asked about the name of each link that comes."""
        return MemoryListener(self, admit)

    def link(self, name: str) -> MemoryLink:
        """Return a device's way in; the other end sees `name` as its peer."""
        return MemoryLink(self, name)

    def cut(self, name: str) -> None:
        """Break every connection of this device: both ends see Unreachable, packets are lost."""
        for connection in self._alive.pop(name, []):
            connection.sever()

    def open_listener(self, listener: MemoryListener) -> None:
        """Let links reach `listener`; MemoryListener calls this."""
        if self._listener not in (None, listener):
            raise ConfigError("this memory network has a listener already; close that one first")
        self._listener = listener

    def close_listener(self, listener: MemoryListener) -> None:
        """Let links reach nobody; MemoryListener calls this."""
        if self._listener is listener:
            self._listener = None

    def open_connection(self, name: str) -> Connection:
        """Return the near end of a new connection; MemoryLink calls this."""
        listener = self._listener
        if listener is None:
            raise Unreachable("nobody listens on this memory network; start its listener first")
        if not listener.admits(name):
            raise Rejected(f"the aggregator does not admit {name}")
        up = _Pipe(self._clock, lambda packet: self._up(name, packet), self._depth)
        down = _Pipe(self._clock, lambda packet: self._down(name, packet), self._depth)
        self._opened += 1
        binding = self._opened.to_bytes(32, "little") if self._relayed else b""
        near = MemoryConnection(None, self.packet_limit, binding, outgoing=up, incoming=down)
        far = MemoryConnection(name, self.packet_limit, binding, outgoing=down, incoming=up)
        alive = [each for each in self._alive.get(name, []) if each.is_open]
        self._alive[name] = [*alive, near]
        listener.arrived(far)
        return near


class MemoryLink:
    """A device's way to the listener of its network."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name

    async def connect(self) -> Connection:
        return self._network.open_connection(self._name)

    def __str__(self) -> str:
        return f"memory://{self._name}"


class MemoryListener:
    """The aggregator's end of a memory network."""

    def __init__(self, network: MemoryNetwork, admit: Admit | None) -> None:
        self._network = network
        self._admit = admit
        self._arrivals: asyncio.Queue[MemoryConnection | None] = asyncio.Queue()
        self._alive: list[MemoryConnection] = []
        self._closed = False

    async def start(self) -> None:
        self._network.open_listener(self)

    async def connections(self) -> AsyncIterator[Connection]:
        while not self._closed and (connection := await self._arrivals.get()) is not None:
            yield connection

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._network.close_listener(self)
        self._arrivals.put_nowait(None)
        for connection in self._alive:
            await connection.close()

    def admits(self, name: str) -> bool:
        """Return what `admit` says about this name."""
        return self._admit is None or self._admit(name)

    def arrived(self, connection: MemoryConnection) -> None:
        """Take a new connection; MemoryNetwork calls this."""
        self._alive = [each for each in self._alive if each.is_open]
        self._alive.append(connection)
        self._arrivals.put_nowait(connection)


class MemoryConnection:
    """One end of a pair of pipes."""

    def __init__(
        self,
        peer: str | None,
        packet_limit: int,
        binding: bytes,
        *,
        outgoing: _Pipe,
        incoming: _Pipe,
    ) -> None:
        self._peer = peer
        self._binding = binding
        self._packet_limit = packet_limit
        self._outgoing = outgoing
        self._incoming = incoming
        self._bytes_in = 0
        self._bytes_out = 0

    @property
    def peer(self) -> str | None:
        return self._peer

    @property
    def binding(self) -> bytes:
        return self._binding

    @property
    def packet_limit(self) -> int:
        return self._packet_limit

    @property
    def bytes_in(self) -> int:
        return self._bytes_in

    @property
    def bytes_out(self) -> int:
        return self._bytes_out

    @property
    def is_open(self) -> bool:
        """Whether neither end has closed it and nothing has cut it."""
        return self._outgoing.is_open and self._incoming.is_open

    async def send(self, packet: bytes) -> None:
        check_packet(packet, self._packet_limit)
        await self._outgoing.put(packet)
        self._bytes_out += len(packet)

    async def packets(self) -> AsyncIterator[bytes]:
        while (packet := await self._incoming.get()) is not None:
            self._bytes_in += len(packet)
            yield packet

    async def close(self) -> None:
        self._outgoing.finish()
        self._incoming.abandon()

    def sever(self) -> None:
        """Break both directions; MemoryNetwork.cut calls this."""
        self._outgoing.sever()
        self._incoming.sever()


class _Pipe:
    """One direction: a bounded queue of packets with the moments at which they arrive."""

    def __init__(self, clock: Clock, fate: Callable[[bytes], float | None], depth: int) -> None:
        self._clock = clock
        self._fate = fate
        self._depth = depth
        self._queue: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self.is_open = True
        self._severed = False

    async def put(self, packet: bytes) -> None:
        while self.is_open and len(self._queue) >= self._depth:
            await self._change()
        if not self.is_open:
            raise Unreachable("the connection is gone; connect again")
        delay = self._fate(packet)
        if delay is None:
            return
        self._last_due = max(self._last_due, self._clock.now() + delay)
        self._queue.append((self._last_due, packet))
        self._notify()

    async def get(self) -> bytes | None:
        while True:
            if self._severed:
                raise Unreachable("the connection broke; connect again")
            if self._queue:
                due, packet = self._queue[0]
                if due <= self._clock.now():
                    self._queue.popleft()
                    self._notify()
                    return packet
                await self._change_or(due)
            elif not self.is_open:
                return None
            else:
                await self._change()

    def finish(self) -> None:
        """The writer closes."""
        self.is_open = False
        self._notify()

    def abandon(self) -> None:
        """The reader closes."""
        self._queue.clear()
        self.finish()

    def sever(self) -> None:
        """The connection is cut; one that was closed stays as it is."""
        if self.is_open:
            self._severed = True
            self.abandon()

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _change(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    async def _change_or(self, moment: float) -> None:
        changed = self._change()
        sleep = asyncio.ensure_future(self._clock.sleep_until(moment))
        try:
            await asyncio.wait({sleep, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            changed.cancel()
