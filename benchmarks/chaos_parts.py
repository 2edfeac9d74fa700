"""The processes that `benchmarks.chaos` kills: an aggregator and agents with a small numpy program.

Rules:
- a life begins where the last one was killed: everything that matters is on the disk;
- each life taps its connections: agents write what they sent, the aggregator what it received,
  packet by packet, into new files that a kill leaves readable;
- what makes two runs comparable are the devices' rounding keys and the task's id (docs/protocol.md
  12.6): they follow from the identities. Everything else is drawn from the operating system.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path

import numpy as np

from dreamshare.algorithms.base import Algorithm, Ask, Crowd, Done, Tell
from dreamshare.algorithms.catalog import algorithm_from
from dreamshare.clock import SystemClock
from dreamshare.learning.base import Data, Learner
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.transport.backoff import BackoffSettings
from dreamshare.transport.base import Link, Listener
from dreamshare.transport.grpc import GrpcLink, GrpcListener
from dreamshare.transport.mqtt.link import MqttLink
from dreamshare.transport.mqtt.listener import MqttListener
from dreamshare.transport.tap import TappedLink, TappedListener
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Array, Field, Update
from dreamshare_aggregator import Aggregator, Surroundings, open_store
from dreamshare_aggregator.capture import Capture
from dreamshare_aggregator.database import StoreSettings
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as AgentSurroundings
from tests.integration.toy import ALGORITHMS, Toy, toy_config, toy_data

PATIENT = Deadlines(setup_s=300, collect_s=300, reveal_s=120)
"""Above any restart, so that every device answers every round."""

GATE = "gate"
"""File with the number of sums up to which agents compute; where there is none, all of them."""

LEASE_S = 2.0
"""After so long the next life of an aggregator that was killed is active, on PostgreSQL."""

IMPATIENT = BackoffSettings(first_s=0.2, longest_s=2.0)
"""Agents call again soon: what is measured is what is lost, not how long it takes."""

_LOOK_S = 0.02

AWAY_S = 300.0
"""How long a device may be away before rounds go on without it."""


class FirstOf(SystemEntropy):
    """The operating system's entropy, but for the first draw of one size.

    Of an agent that is its rounding key (32 bytes), which its journal keeps from then on; of the
    aggregator's first life it is the task's id (16 bytes).
    """

    def __init__(self, first: bytes) -> None:
        self._first = first

    def draw(self, size: int) -> bytes:
        if size == len(self._first):
            first, self._first = self._first, b""
            return first
        return super().draw(size)


class Sent:
    """A tap that writes what left, in the form of a capture."""

    def __init__(self, capture: Capture, peer: str) -> None:
        self._capture = capture
        self._peer = peer

    def sent(self, peer: str, packet: bytes) -> None:
        self._capture.received(self._peer, packet)

    def received(self, peer: str, packet: bytes) -> None:
        """Do nothing: what the agent received is not what it sent."""


class Noted:
    """An algorithm whose merged means are written down, as hashes, one line each."""

    def __init__(self, algorithm: Algorithm[object], path: Path) -> None:
        self._algorithm = algorithm
        self._path = path
        self.name = algorithm.name

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return self._algorithm.steps()

    def init(self, rng: np.random.Generator) -> object:
        return self._algorithm.init(rng)

    def plan(self, state: object) -> Ask | Tell | Done:
        return self._algorithm.plan(state)

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        return self._algorithm.local(ask, learner, data, rng)

    def merge(self, state: object, mean: Mapping[str, Array], crowd: Crowd) -> object:
        asked = self._algorithm.plan(state)
        if mean and isinstance(asked, Ask):
            digest = hashlib.sha256()
            for name, array in sorted(mean.items()):
                digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
            place = [asked.step, asked.cycle, digest.hexdigest(), crowd.survivors]
            with open(self._path, "ab", buffering=0) as file:
                file.write(json.dumps(place).encode() + b"\n")
        return self._algorithm.merge(state, mean, crowd)


class Gated(Noted):
    """An algorithm whose local part waits for the gate."""

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        number = ask.cycle + (ask.step != "start")  # how many sums come before this one
        while not self._is_open(number):
            time.sleep(_LOOK_S)
        return super().local(ask, learner, data, rng)

    def _is_open(self, number: int) -> bool:
        try:
            return number < int(self._path.read_text())
        except FileNotFoundError:
            return True


def listener_of(link: str, identity: Identity) -> Listener:
    """Return where an aggregator of this address listens."""
    if link.startswith("grpcs://"):
        return GrpcListener(link.removeprefix("grpcs://"), TlsFiles.of(identity))
    party, federation = identity.id.hex(), identity.federation.hex()
    return MqttListener(link, party, federation, TlsFiles.of(identity))


def link_of(link: str, identity: Identity) -> Link:
    """Return an agent's way to this address."""
    if link.startswith("grpcs://"):
        return GrpcLink(link, TlsFiles.of(identity))
    party, federation = identity.id.hex(), identity.federation.hex()
    return MqttLink(link, party, federation, TlsFiles.of(identity))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.rename(path)


async def aggregate(home: Path, life: int, link: str, url: str, devices: int, rounds: int) -> None:
    """Be the aggregator until the task is over; the result is a file then.

    Raises what stops the service before: the process ends with it.
    """
    identity, clock = Identity.load(home / "aggregator.key"), SystemClock()
    tap = Capture(home / f"received-{life}", clock)
    around = Surroundings(
        lookup=lambda name, config: Noted(algorithm_from(name, config), home / "merged"),
        threads=1,
        grace_s=AWAY_S,
        entropy=FirstOf(hashlib.sha256(b"task" + identity.id).digest()[:16]),
    )
    listener = TappedListener(listener_of(link, identity), tap)
    store = open_store(url, StoreSettings(lease_s=LEASE_S))
    async with Aggregator([listener], store, identity, around) as aggregator:
        await aggregator.until_active()
        if not aggregator.tasks():
            await aggregator.submit(toy_config(rounds), Cohort(devices, devices), PATIENT)
        (status,) = aggregator.tasks()
        ending = asyncio.create_task(aggregator.task(status.task).result())
        await asyncio.wait(
            {ending, asyncio.create_task(aggregator.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        if not ending.done():
            await aggregator.wait()  # raises what stopped it
        result = await ending
        said = result.status
        lines = {
            "abandoned": said.abandoned,
            "aggregations": said.aggregations,
            "secure_aggregation": said.secure_aggregation,
            "state": {
                name: np.asarray(array).tobytes().hex() for name, array in result.arrays.items()
            },
        }
        write_whole(home / "result", json.dumps(lines, sort_keys=True).encode())


async def take_part(home: Path, life: int, link: str, number: int) -> None:
    """Be an agent until the process is ended."""
    own = home / f"device-{number}"
    identity, clock = Identity.load(own / "device.key"), SystemClock()
    rounding = hashlib.sha256(b"rounding" + (own / "device.key").read_bytes()).digest()
    tap = Sent(Capture(own / f"sent-{life}", clock), identity.id.hex())
    agent = EdgeAgent(
        link=TappedLink(link_of(link, identity), tap),
        learner=Toy(),
        data=toy_data(number),
        algorithms=ALGORITHMS,
        store=FileStore(own / "state"),
        policy=Policy(),
        identity=identity,
        surroundings=AgentSurroundings(
            lookup=lambda name, config: Gated(algorithm_from(name, config), home / GATE),
            entropy=FirstOf(rounding),
            backoff=IMPATIENT,
        ),
    )
    async with agent:
        async for _ in agent.outcomes():
            pass


def main() -> None:
    """Run one process: `aggregator` or `agent`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos_parts")
    parser.add_argument("part", choices=("aggregator", "agent"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--link", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work = (
        aggregate(asked.home, asked.life, asked.link, asked.store, asked.devices, asked.rounds)
        if asked.part == "aggregator"
        else take_part(asked.home, asked.life, asked.link, asked.number)
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_telling(work))


async def _telling(work: Coroutine[None, None, None]) -> None:
    """Do the work; on SIGUSR1, write to the log what each task of the process waits for."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell)
    await work


def _tell() -> None:
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)
    sys.stderr.flush()


if __name__ == "__main__":
    main()
