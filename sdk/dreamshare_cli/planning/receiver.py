"""A process that takes vectors and messages as a shard does, and says what that cost it.

    python -m dreamshare_cli.planning.receiver FOLDER

FOLDER has aggregator.key and device.key. Says its port, then after each message how many came and
how many processor seconds it has used. A line on its standard input has it send as many bytes to
the device. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dreamshare.clock import SystemClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.offloading import Encoded
from dreamshare.driver.shard import Lobby
from dreamshare.engine import ThreadEngine
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol import events
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import CheckIn, Sa2
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.wire import limits
from dreamshare.wire.codec import encode_message
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.round_messages import MaskedInput
from dreamshare_crypto.secagg.shard import Shard
from dreamshare_crypto.secagg.shard_messages import Collect, Granted

TASK, SESSION, CONTEXT = TaskId(b"t" * 16), b"s" * 32, b"c" * 32


def vector_of(device: Identity, words: int) -> bytes:
    """Return a masked input that holds."""
    message = MaskedInput(SESSION, 0, CONTEXT, bytes(8 * words))
    return message.sign(device.signing).encode()


class Receiver:
    """See `dreamshare.driver.gate.Gate`."""

    largest = limits.FRAME_LIMIT // 2

    def __init__(self, device: Identity, engine: ThreadEngine) -> None:
        self._device = device
        self._engine = engine
        self._queue: asyncio.Queue[tuple[Sa2, Callable[[], None]]] = asyncio.Queue()

    def came(self, device: PartyId, offer: CheckIn, *, fresh: bool) -> None:
        """Nobody looks."""

    def went(self, device: PartyId) -> None:
        """Nobody looks."""

    def no_device(self, party: PartyId) -> None:
        """Nobody looks."""

    def heard(self, task: TaskId, heard: events.HeardFrom, handled: Callable[[], None]) -> None:
        if isinstance(heard.message, Sa2):
            self._queue.put_nowait((heard.message, handled))

    async def work(self) -> None:
        """Take what comes, as a shard does."""
        count = 0
        while True:
            message, handled = await self._queue.get()
            if message.stage is Stage.MASKED_INPUT:
                await self._engine.run(partial(self._add, message.body))
            handled()
            count += 1
            print(count, time.process_time(), flush=True)

    def _add(self, body: bytes) -> None:
        words = (len(body) - len(vector_of(self._device, 0))) // 8
        machine, device = Shard(), self._device.id
        machine.collect(Collect(SESSION, 0, CONTEXT, words, {device: self._device.certificate.ik}))
        if machine.take(device, body) is None:
            raise SystemExit("a vector that should hold does not")
        machine.decide(Granted(SESSION, 0, device, granted=True))


async def main() -> None:
    """Serve until standard input ends."""
    folder = Path(sys.argv[1])
    aggregator = Identity.load(folder / "aggregator.key")
    device = Identity.load(folder / "device.key")
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(aggregator))
    engine = ThreadEngine(2)
    gate = Receiver(device, engine)
    driver = AggregatorDriver(
        [listener], aggregator, SystemClock(), Lobby(), engine=engine, gate=gate
    )
    await driver.start()
    print(listener.port, flush=True)
    serving, working = asyncio.create_task(driver.run()), asyncio.create_task(gate.work())
    while line := await asyncio.to_thread(sys.stdin.readline):
        body = encode_message(Sa2(Stage.SURVIVORS, bytes(int(line))))
        ready = Encoded(Sa2(Stage.SURVIVORS, b"x"), body, hashlib.sha256(body).digest())
        await driver.post((PartyId(device.id),), Address(TASK), ready)
    working.cancel()
    await driver.close()
    await serving
    engine.close()


if __name__ == "__main__":
    asyncio.run(main())
