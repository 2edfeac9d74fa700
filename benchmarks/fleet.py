"""Claim: an aggregator carries 1,000 agents on two cores, at 120 kB each over gRPC with mutual TLS.

    python -m benchmarks.fleet [--transports grpc,mqtt] [--agents 1000] [--cohorts 10]
                               [--coordinates 10000] [--rounds 5] [--json]

The aggregator's driver runs in a process of its own; the agents (their links and participants are
the real ones, what they compute costs nothing) share a few others, all on this machine. Every
cohort is a task of its own, and all cohorts work at once: set-up, then rounds.

    server_kb_per_agent   what the aggregator's resident memory grew by until every agent was
                          connected and checked in, over the number of agents
    server_kb_after       the same after the rounds, keys and buffers of the tasks included
    connect_seconds       until the last of all agents had checked in
    setup_seconds         from the orders to the end of the last cohort's first round, less a round
    round_seconds         median of all rounds of all cohorts but the first of each
    messages_per_second   frames that arrived and were handled, from the orders to the last sum
    loop_stall_ms_p99     how late ticks of the aggregator's event loop were from start to end

Rules: agents take processor time here that they have for themselves in the field, so times are
upper bounds; memory is what it is.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from benchmarks.rig import Handset, LoopMonitor, lookup, machine, resident_kb, sums_config
from benchmarks.roads import Road, RoadMissing, road

from dreamshare.binding import TaskLoop, terms_of
from dreamshare.clock import SystemClock
from dreamshare.driver.aggregator import AggregatorDriver
from dreamshare.driver.device import DeviceDriver
from dreamshare.engine import ThreadEngine
from dreamshare.errors import ConfigError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import Cohort, ControlError, Deadlines, Reply, Request
from dreamshare.protocol.outcomes import SumDone, TaskFailed
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity

BITS = 16
PROCESSES = 4
CLAIM_KB = 120.0
PATIENCE_S = 500.0
DEADLINES = Deadlines(600, 600, 600)


# ---- agents --------------------------------------------------------------------------------------


def share_of(number: int) -> float:
    """Return what an agent adds to every coordinate."""
    return 0.0001 * (1 + number % 100)


def algorithm_of(number: int, cohorts: int) -> str:
    """Return the one algorithm that an agent offers: it decides the cohort."""
    return f"fleet-{number % cohorts}/1"


async def serve_agents(folder: Path, numbers: range, cohorts: int, way: Road, link: str) -> None:
    """Be these agents until standard input ends."""
    drivers = []
    engine = ThreadEngine()
    for number in numbers:
        identity = Identity.load(folder / f"{number}.key")
        handset = Handset(identity, algorithm_of(number, cohorts), share_of(number))
        drivers.append(
            DeviceDriver(
                way.link(link, identity),
                identity,
                SystemClock(),
                handset,
                handset,
                random.Random(number),
                engine=engine,
            )
        )
    running = [asyncio.ensure_future(driver.run()) for driver in drivers]
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(driver.close() for driver in drivers))
    await asyncio.gather(*running)
    engine.close()


# ---- the aggregator ------------------------------------------------------------------------------


class Front:
    """The aggregator's shell: counts who came, and every frame."""

    def __init__(self, agents: int) -> None:
        self._missing = agents
        self.complete = asyncio.Event()
        self.frames = 0

    async def answer(self, operator: PartyId, request: Request) -> AsyncIterator[Reply]:
        yield Reply(request.number, ControlError("a benchmark takes no requests"))

    def device_came(self, device: PartyId) -> None:
        self._missing -= 1
        if not self._missing:
            self.complete.set()

    def device_went(self, device: PartyId) -> None:
        """Nobody looks."""

    def knows(self, task: TaskId) -> bool:
        return False

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        raise ConfigError(f"a device contradicts itself: {evidence.code}")

    def observe(self, _party: bytes, _header: bytes, _body: bytes) -> None:
        self.frames += 1


async def serve_aggregator(asked: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Be the aggregator; return the figures."""
    way, clock = road(asked.transports), SystemClock()
    federation = FederationFolder(folder / "federation")
    identity = Identity.load(federation.aggregator)
    front, engine = Front(asked.agents), ThreadEngine(3)
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(way.listener(identity, folder, federation))
        driver = AggregatorDriver(
            [listener], identity, clock, front, observer=front.observe, engine=engine
        )
        await driver.start()
        serving = asyncio.ensure_future(driver.run())
        await asyncio.sleep(1.0)
        before_kb, monitor, started = resident_kb(), LoopMonitor(), time.perf_counter()
        agents = start_agents(asked, folder, way)
        await front.complete.wait()
        connected_s = time.perf_counter() - started
        await asyncio.sleep(2.0)  # what the last greetings still allocate
        idle_kb, frames = resident_kb(), front.frames
        ordered = time.perf_counter()
        ends = await asyncio.gather(
            *(follow(driver, identity, number, asked) for number in range(asked.cohorts))
        )
        over = time.perf_counter()
        after_kb, stalls = resident_kb(), monitor.stop()
        for process in agents:
            process.communicate()
        await driver.close()
        await serving
    engine.close()
    first = max(each[0] for each in ends)
    rounds = [b - a for each in ends for a, b in itertools.pairwise(each)]
    round_s = statistics.median(rounds)
    return {
        "server_kb_per_agent": (idle_kb - before_kb) / asked.agents,
        "server_kb_after": (after_kb - before_kb) / asked.agents,
        "connect_seconds": connected_s,
        "setup_seconds": first - ordered - round_s,
        "round_seconds": round_s,
        "messages_per_second": (front.frames - frames) / (over - ordered),
        "loop_stall_ms_p99": stalls.p99_ms,
        "loop_stall_ms_max": stalls.max_ms,
    }


def start_agents(
    asked: argparse.Namespace, folder: Path, way: Road
) -> list[subprocess.Popen[bytes]]:
    """Start the processes that hold the agents."""
    step = -(-asked.agents // PROCESSES)
    command = [sys.executable, "-m", "benchmarks.fleet", "--folder", str(folder), "--link", way.url]
    command += ["--transports", way.name, "--cohorts", str(asked.cohorts)]
    return [
        subprocess.Popen(
            [*command, "--first", str(first), "--agents", str(min(step, asked.agents - first))],
            stdin=subprocess.PIPE,
        )
        for first in range(0, asked.agents, step)
    ]


async def follow(
    driver: AggregatorDriver, identity: Identity, cohort: int, asked: argparse.Namespace
) -> Sequence[float]:
    """Run one cohort's task; return the moments at which its rounds ended."""
    numbers = range(cohort, asked.agents, asked.cohorts)
    size = len(numbers)
    name = algorithm_of(cohort, asked.cohorts)
    config = sums_config(name, asked.coordinates, BITS, asked.rounds)
    algorithm = lookup(name, config)
    terms = terms_of(algorithm, Cohort(size, size), DEADLINES)
    entropy = SystemEntropy()
    coordinator = Coordinator(identity, TaskId(entropy.draw(16)), terms, entropy, threads=2)
    loop, run = TaskLoop(algorithm, config), driver.add(coordinator, MemoryJournal())
    run.give(loop.order())
    ends: list[float] = []
    async for report in run.reports():
        if isinstance(report, TaskFailed):
            raise SystemExit(f"cohort {cohort}: {report.reason}")
        if isinstance(report, SumDone):
            ends.append(time.perf_counter())
        order = loop.react(report)
        if order is not None:
            run.give(order)
    mean = loop.done.result["mean"] if loop.done is not None else np.zeros(1)
    right = asked.rounds * statistics.fmean(map(share_of, numbers))
    if len(ends) != asked.rounds or float(np.abs(mean - right).max()) > asked.rounds * 16 / 2**BITS:
        raise SystemExit(f"cohort {cohort}: a wrong mean {mean[:3]} where {right} is right")
    return ends


# ---- everything ----------------------------------------------------------------------------------


def measure(name: str, asked: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one transport."""
    road(name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        federation = FederationFolder(folder / "federation")
        federation.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
        authority, entropy = federation.load_authority(), SystemEntropy()
        for number in range(asked.agents):
            device = authority.issue(Role.DEVICE, f"device-{number}", entropy, time.time())
            device.save(folder / f"{number}.key")
        command = [sys.executable, "-m", "benchmarks.fleet", "--server", "--folder", place]
        for option in ("agents", "cohorts", "coordinates", "rounds"):
            command += [f"--{option}", str(getattr(asked, option))]
        command += ["--transports", name]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, timeout=PATIENCE_S)
    if done.returncode:
        raise SystemExit(f"{name}: the aggregator ended with status {done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--transports", default="grpc,mqtt")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--cohorts", type=int, default=10)
    parser.add_argument("--coordinates", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    for internal, kind in (("--first", int), ("--folder", Path), ("--link", str)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.first is not None:
        numbers = range(asked.first, asked.first + asked.agents)
        way = road(asked.transports)
        asyncio.run(serve_agents(asked.folder, numbers, asked.cohorts, way, asked.link))
        return 0
    if asked.server:
        print(json.dumps(asyncio.run(serve_aggregator(asked, asked.folder))))
        return 0
    figures: dict[str, object] = {
        "agents": asked.agents,
        "cohorts": asked.cohorts,
        "coordinates": asked.coordinates,
    }
    held, missing = True, False
    for name in asked.transports.split(","):
        try:
            figures[name] = found = measure(name, asked)
        except RoadMissing as error:
            print(f"not measured: {error}", file=sys.stderr)
            missing = True
            continue
        held = held and (name != "grpc" or found["server_kb_per_agent"] <= CLAIM_KB)
    figures["machine"] = machine()
    print(json.dumps(figures, indent=None if asked.json else 1))
    return 2 if missing else 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
