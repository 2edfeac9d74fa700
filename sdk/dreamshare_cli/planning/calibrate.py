"""Measures this machine's unit costs in some seconds: real frames over TLS, real masks.

Rules: processor time of the process that does the work, never the clock on the wall; the median of
repetitions; nothing is left running or on disk.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from dreamshare.clock import SystemClock
from dreamshare.driver.caller import Caller
from dreamshare.errors import ConfigError
from dreamshare.protocol.envelope import Address
from dreamshare.protocol.messages import Sa2
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare.wire.transfer import Arrival
from dreamshare_cli.planning.receiver import TASK, vector_of
from dreamshare_cli.planning.units import Units
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.encoding import FieldParams
from dreamshare_crypto.entropy import SeededEntropy, SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.keys import AgreementKey
from dreamshare_crypto.lanes import unpack_sum
from dreamshare_crypto.prg import apply_masks
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.shamir import Interpolator, coefficient_bytes, split
from dreamshare_crypto.suite import Suite

SMALL, LARGE = 8_000, 500_000
"""Words of the vectors that are sent."""

MESSAGES = 150
VECTORS = 8
PATIENCE_S = 120.0


def calibrate() -> Units:
    """Return this machine's unit costs; raises ConfigError where they cannot be measured."""
    with tempfile.TemporaryDirectory() as place:
        folder, entropy, now = Path(place), SystemEntropy(), time.time()
        authority = Authority.create(entropy.draw(16), entropy, now)
        hosts = ("127.0.0.1",)
        authority.issue(Role.AGGREGATOR, "plan", entropy, now, hosts).save(
            folder / "aggregator.key"
        )
        authority.issue(Role.DEVICE, "device", entropy, now).save(folder / "device.key")
        command = [sys.executable, "-m", "dreamshare_cli.planning.receiver", place]
        process = subprocess.Popen(  # noqa: S603  this very program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            wire = asyncio.run(_over_the_wire(process, Identity.load(folder / "device.key")))
        except TimeoutError:
            raise ConfigError("the calibration took too long: is this machine busy?") from None
        finally:
            process.kill()
            process.wait()
    return Units(**wire, **_in_memory())


async def _over_the_wire(process: subprocess.Popen[str], device: Identity) -> dict[str, float]:
    lines, orders = process.stdout, process.stdin
    if lines is None or orders is None:
        raise ConfigError("the calibration's process has no pipes")
    port = int(await asyncio.to_thread(lines.readline))
    link = GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(device))
    caller = Caller(link, device, SystemClock(), random.Random(0))
    connected, came = asyncio.Event(), asyncio.Semaphore(0)

    def take(arrival: Arrival) -> None:
        if caller.peering is not None:
            caller.peering.acknowledge(arrival.place)
        came.release()

    calling = asyncio.ensure_future(caller.call(connected.set, take))

    async def mark(stage: Stage = Stage.AGREE, body: bytes = bytes(160)) -> float:
        """Send a message; return the receiver's processor time when it has handled it."""
        if caller.peering is not None:
            caller.peering.send(Address(TASK), Sa2(stage, body))
        line = await asyncio.to_thread(lines.readline)
        if not line:
            raise ConfigError("the calibration's process ended: try again")
        return float(line.split()[1])

    async def cost(stage: Stage, body: bytes, count: int) -> float:
        """Return what a message costs the receiver; one at a time: none is paid for by another."""
        began = await mark(stage, body)
        for _ in range(count - 1):
            await mark(stage, body)
        return (await mark(stage, body) - began) / count

    async def post_cost(size: int, count: int) -> float:
        """Return what it costs to send so many bytes to a device."""
        began = await mark()
        for _ in range(count):
            orders.write(f"{size}\n")
            await came.acquire()
        return max(0.0, await mark() - began) / count

    asyncio.get_running_loop().call_later(PATIENCE_S, process.kill)  # then its lines end
    async with asyncio.timeout(PATIENCE_S + 5.0):
        await connected.wait()
        await cost(Stage.AGREE, bytes(160), 20)  # first calls are slower
        message = await cost(Stage.AGREE, bytes(160), MESSAGES)
        await cost(Stage.MASKED_INPUT, vector_of(device, LARGE), 2)
        small = await cost(Stage.MASKED_INPUT, vector_of(device, SMALL), VECTORS)
        large = await cost(Stage.MASKED_INPUT, vector_of(device, LARGE), VECTORS)
        post = await post_cost(400, MESSAGES)
        post_large = await post_cost(4_000_000, VECTORS)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
    byte = max(0.0, large - small) / (8 * (LARGE - SMALL))
    return {
        "vector_s": max(0.0, small - 8 * SMALL * byte),
        "vector_byte_s": byte,
        "message_s": message,
        "post_s": post,
        "post_byte_s": max(0.0, post_large - post) / 4_000_000,
    }


def _in_memory() -> dict[str, float]:
    words, t = np.zeros(250_000, dtype=np.uint64), 60
    keys = tuple((Secret(n.to_bytes(32, "little")), 1) for n in range(20))
    own, peer = (AgreementKey.generate(SeededEntropy(name)) for name in (b"own", b"peer"))
    xs = range(1, t + 1)
    shares = split(1, t, xs, bytes(coefficient_bytes(t)))
    field = FieldParams.create(500_000, 16, 1.0, 128)
    packed = np.zeros(field.words, dtype=np.uint64)
    kept = Interpolator(t)
    first = _seconds(lambda: Interpolator(t).combine(xs, shares))
    kept.combine(xs, shares)
    again = _seconds(lambda: kept.combine(xs, shares))
    return {
        "mask_byte_s": _seconds(lambda: apply_masks(words, keys, Suite.AES)) / (20 * words.nbytes),
        "word_s": _seconds(lambda: unpack_sum(field, packed, 100)) / field.words,
        "agreement_s": _seconds(lambda: [own.exchange(peer.public) for _ in range(50)]) / 50,
        "share_s": again / t,
        "pair_s": max(0.0, first - again) / t**2,
    }


def _seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(5):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return median(found)
