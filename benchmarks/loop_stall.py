"""Claim: neither end's event loop stands still for long while a round has ten million coordinates.

    python -m benchmarks.loop_stall [--coordinates 10000000] [--devices 3] [--bits 16] [--json]

Starts an aggregator with its database and several devices with their journals, each device in a
process of its own, over mutual TLS on loopback, and runs one masked sum. On the aggregator's loop
and on every device's a timer asks for 5 ms again and again; a stall is what a tick came late.
Prints median, 99th percentile and maximum over both ends, and the memory that each end took.

Rules:
- what is timed is the loop alone: devices answer with an array that was drawn before;
- on a busy machine the maximum says more about its scheduler than about this program, and devices
  share the processors here that they have for themselves in the field.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from benchmarks.rig import LoopMonitor, Stalls, permit

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
from dreamshare.clock import SystemClock
from dreamshare.driver.desk import Seat
from dreamshare.driver.device import DeviceDriver
from dreamshare.engine import ThreadEngine
from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.protocol.events import Compute, KeepEvidence, Learn
from dreamshare.protocol.messages import CheckIn, Cohort, Deadlines, Submit
from dreamshare.protocol.outcomes import RoundDone, TaskOver
from dreamshare.protocol.participant import Participant
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Array, Field, Update
from dreamshare_aggregator import Aggregator, Surroundings, open_store
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_edge import FileStore

NAME = "stall/1"
CLAIM_MS = 50.0


class OneSum:
    """An algorithm that asks for one sum of `config` = {"coordinates": d, "bits": q}."""

    name = NAME

    def __init__(self, config: bytes) -> None:
        asked = json.loads(config)
        self._fields = (Field("x", (asked["coordinates"],), bound=1.0, bits=asked["bits"]),)

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {"sum": self._fields}

    def init(self, rng: np.random.Generator) -> int:
        return 0

    def plan(self, state: int) -> Ask | Tell | Done:
        return Done() if state else Ask("sum", self._fields)

    def local(
        self, ask: Ask | Tell, learner: object, data: object, rng: np.random.Generator
    ) -> Update:
        raise ConfigError("devices of this benchmark answer by themselves")

    def merge(self, state: int, mean: Mapping[str, Array], crowd: Crowd) -> int:
        return state + 1


def lookup(name: str, config: bytes) -> Algorithm[object]:
    """Return the one algorithm that there is."""
    return OneSum(config)


class Handset:
    """A device's shell: its desk, its journal on the disk, and an answer that is ready."""

    def __init__(self, identity: Identity, home: Path, coordinates: int) -> None:
        self._identity = identity
        self._store = FileStore(home)
        self._memory = Memory()
        self._answer = random.Random(identity.id).random()
        self._update = Update({"x": np.full(coordinates, self._answer, dtype=np.float32)})

    def check_in(self) -> CheckIn:
        return CheckIn((NAME,))

    def stored(self) -> Sequence[Seat]:
        return ()

    def seat(self, task: TaskId) -> Seat | None:
        participant = Participant(
            self._identity, task, Floor(), SystemEntropy(), permit, self._memory
        )
        return Seat(participant, self._store.journal(task))

    def leave(self, task: TaskId) -> None:
        self._store.drop(task)

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"the aggregator contradicts itself: {evidence.code}")

    async def compute(self, task: TaskId, order: Compute) -> Update:
        return self._update

    async def learn(self, task: TaskId, order: Learn) -> None:
        raise ConfigError("there is nothing to learn here")


async def serve_device(folder: Path, number: int, port: int, coordinates: int) -> Stalls:
    """Be one device until the task is over."""
    identity = Identity.load(folder / f"device-{number}.key")
    handset = Handset(identity, folder / f"home-{number}", coordinates)
    link = GrpcLink(f"grpcs://127.0.0.1:{port}", TlsFiles.of(identity))
    engine = ThreadEngine()
    driver = DeviceDriver(
        link, identity, SystemClock(), handset, handset, random.Random(number), engine=engine
    )
    running = asyncio.ensure_future(driver.run())
    monitor = LoopMonitor()
    done = False
    async for outcome in driver.outcomes():
        done = done or isinstance(outcome, RoundDone)
        if isinstance(outcome, TaskOver):
            break
    stalls = monitor.stop()
    await driver.close()
    await running
    engine.close()
    if not done:
        raise SystemExit("the round gave no sum")
    return stalls


async def serve_aggregator(
    path: Path, devices: int, coordinates: int, bits: int
) -> tuple[Stalls, list[Stalls]]:
    """Be the aggregator, start the devices, run one sum; return both ends' stalls."""
    federation = FederationFolder(path / "federation")
    clock, entropy = SystemClock(), SystemEntropy()
    federation.create("grpcs://127.0.0.1:7443", entropy, clock.now())
    for number in range(devices):
        name = f"device-{number}"
        key = federation.folder / f"{name}.key"
        federation.issue(Role.DEVICE, name, key, clock, entropy)
    identity = Identity.load(federation.aggregator)
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
    store = open_store(f"sqlite:///{path / 'rounds.db'}")
    around = Surroundings(lookup=lookup)
    async with Aggregator([listener], store, identity, around) as aggregator:
        command = [
            *(sys.executable, "-m", "benchmarks.loop_stall", "--port", str(listener.port)),
            *("--folder", str(federation.folder), "--coordinates", str(coordinates), "--device"),
        ]
        children = [
            await asyncio.create_subprocess_exec(*command, str(n), stdout=subprocess.PIPE)
            for n in range(devices)
        ]
        monitor = LoopMonitor()
        config = json.dumps({"coordinates": coordinates, "bits": bits}).encode()
        order = Submit(NAME, config, Cohort(devices, devices), Deadlines(600, 600, 600), 0, "")
        await (await aggregator.order(order)).result()
        stalls = monitor.stop()
        said = [(await child.communicate())[0] for child in children]
    return stalls, [Stalls(**json.loads(each)) for each in said]


def measure(coordinates: int, devices: int = 3, bits: int = 16) -> dict[str, float]:
    """Run one round and return the figures; the stalls are the worse of both ends."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        aggregator, all_devices = asyncio.run(
            serve_aggregator(Path(folder), devices, coordinates, bits)
        )
        seconds = time.perf_counter() - start
    ends = (aggregator, *all_devices)
    return {
        "coordinates": float(coordinates),
        "devices": float(devices),
        "bits": float(bits),
        "seconds": seconds,
        "loop_stall_ms_p50": max(end.p50_ms for end in ends),
        "loop_stall_ms_p99": max(end.p99_ms for end in ends),
        "loop_stall_ms_max": max(end.max_ms for end in ends),
        "aggregator_stall_ms_p99": aggregator.p99_ms,
        "aggregator_stall_ms_max": aggregator.max_ms,
        "aggregator_peak_mb": aggregator.peak_mb,
        "device_stall_ms_p99": max(end.p99_ms for end in all_devices),
        "device_stall_ms_max": max(end.max_ms for end in all_devices),
        "device_peak_mb": max(end.peak_mb for end in all_devices),
    }


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--coordinates", type=int, default=10_000_000)
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument("--bits", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    for internal, kind in (("--device", int), ("--port", int), ("--folder", Path)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.device is not None:
        work = serve_device(asked.folder, asked.device, asked.port, asked.coordinates)
        print(json.dumps(asdict(asyncio.run(work))))
        return 0
    figures = measure(asked.coordinates, asked.devices, asked.bits)
    if asked.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:26} {value:14,.1f}")
    return 0 if figures["loop_stall_ms_p99"] <= CLAIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
