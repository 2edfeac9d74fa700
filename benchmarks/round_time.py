"""Claim: a secure round of ten agents takes a thirtieth of the time of Flower's, or less.

    python -m benchmarks.round_time [--transports grpc,mqtt] [--agents 10] [--coordinates 100000]
                                    [--rounds 12] [--flower-rounds 3] [--no-flower] [--json]

Ours: the aggregator service with its SQLite file, ten agents with their stores, each a process of
its own, mutual TLS on loopback (and a private Mosquitto in between, over MQTT). Theirs: a
SuperLink, ten SuperNodes and the SecAgg+ workflow as their documentation says, in clear on loopback
(`benchmarks/peers/flower_deployment.py`). Both send a model of d float32 down, have clients answer
`x + c`, and add the answers up under masks; one after the other on the same machine. A round is
what passes between the end of one and the end of the next; the median of several is told. The first
`WARM_UP` of ours and `WARM_UP_FLOWER` of theirs are left out: they hold set-up and imports.

Rules:
- ratio = flower_ms / max(grpc_ms, mqtt_ms), over the transports that were measured;
- every mean is checked; a wrong one ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from benchmarks.peers.environment import FLOWER, PeerMissing, run_peer
from benchmarks.rig import Constant, lookup, machine, sums_config
from benchmarks.roads import Road, RoadMissing, road

from dreamshare import ArrayData
from dreamshare.protocol.messages import Cohort, Deadlines, Submit, TaskReport
from dreamshare.protocol.outcomes import TaskOver
from dreamshare_aggregator import Aggregator, Surroundings, open_store
from dreamshare_cli.demo.processes import Children
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy
from dreamshare_edge import Surroundings as AgentSurroundings

NAME = "round/1"
BITS = 20
WARM_UP = 2
WARM_UP_FLOWER = 1
CLAIM = 30.0
PATIENCE_S = 300.0


async def serve_agent(home: Path, number: int, way: Road, link: str) -> None:
    """Be one agent until its task is over."""
    identity = Identity.load(home / "device.key")
    agent = EdgeAgent(
        link=way.link(link, identity),
        learner=Constant(_share(number)),
        data=ArrayData(np.zeros((1, 1), np.float32), np.zeros(1, np.int64)),
        algorithms=(NAME,),
        store=FileStore(home / "state"),
        policy=Policy(),
        identity=identity,
        surroundings=AgentSurroundings(lookup=lookup),
    )
    async with agent:
        async for outcome in agent.outcomes():
            if isinstance(outcome, TaskOver):
                return


async def measure(way: Road, agents: int, coordinates: int, rounds: int, home: Path) -> list[float]:
    """Run the rounds over one transport and return their times in milliseconds."""
    federation = FederationFolder(home / "federation")
    federation.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
    for number in range(agents):
        federation.issue(Role.DEVICE, f"device-{number}", home / f"{number}" / "device.key")
    identity = Identity.load(federation.aggregator)
    ends: list[float] = []

    def watch(report: TaskReport) -> None:
        if report.status.aggregations > len(ends):
            ends.append(time.perf_counter())

    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(way.listener(identity, home, federation))
        store = open_store(f"sqlite:///{home / 'rounds.db'}")
        around = Surroundings(lookup=lookup)
        service = Aggregator([listener], store, identity, around, watch)
        await stack.enter_async_context(service)
        children = await stack.enter_async_context(Children(home))
        for number in range(agents):
            command = (sys.executable, "-m", "benchmarks.round_time", "--agent", str(number))
            where = ("--home", str(home / f"{number}"), "--link", way.url, "--transports", way.name)
            await children.start(f"agent-{number}", (*command, *where))
        config = sums_config(NAME, coordinates, BITS, rounds)
        order = Submit(NAME, config, Cohort(agents, agents), Deadlines(120, 120, 120), 0, "")
        task = await service.order(order)
        async with asyncio.timeout(PATIENCE_S):
            result = await task.result()
    mean = result.arrays["mean"]
    right = rounds * sum(map(_share, range(agents))) / agents
    if float(np.abs(mean - right).max()) > rounds * 16.0 / 2**BITS:
        raise SystemExit(f"a wrong mean: {mean[:3]} where {right} is right")
    return [1e3 * (b - a) for a, b in itertools.pairwise(ends)][WARM_UP - 1 :]


def _share(number: int) -> float:
    return 0.001 * (1 + number)


def flower(agents: int, coordinates: int, rounds: int) -> dict[str, object]:
    """Run their rounds; return the version and the median in milliseconds."""
    setting = {
        "devices": agents,
        "coordinates": coordinates,
        "rounds": rounds + WARM_UP_FLOWER,
        "shares": 5,
        "threshold": 3,
        "patience_s": 150 * (rounds + WARM_UP_FLOWER),
    }
    found = run_peer(FLOWER, "flower_deployment.py", setting)
    times_s = found["rounds_s"]
    if not isinstance(times_s, list) or not times_s:
        raise PeerMissing("their deployment ended without a round")
    times = [1e3 * seconds for seconds in times_s[WARM_UP_FLOWER:]]
    return {"flower": found["version"], **_summary("flower", times)}


def _summary(name: str, times_ms: list[float]) -> dict[str, object]:
    return {
        f"{name}_ms": statistics.median(times_ms),
        f"{name}_rounds_ms": [round(each, 1) for each in times_ms],
    }


def run(asked: argparse.Namespace) -> dict[str, object]:
    """Return all figures."""
    figures: dict[str, object] = {
        "agents": asked.agents,
        "coordinates": asked.coordinates,
        "warm_up": {"ours": WARM_UP, "flower": WARM_UP_FLOWER},
    }
    ours: list[float] = []
    for name in asked.transports.split(","):
        with tempfile.TemporaryDirectory() as folder:
            work = measure(
                road(name), asked.agents, asked.coordinates, asked.rounds + WARM_UP, Path(folder)
            )
            times = asyncio.run(work)
        figures |= _summary(name, times)
        ours.append(statistics.median(times))
    if not asked.no_flower:
        theirs = flower(asked.agents, asked.coordinates, asked.flower_rounds)
        figures |= theirs
        figures["ratio"] = float(str(theirs["flower_ms"])) / max(ours)
    return {**figures, "machine": machine()}


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--transports", default="grpc,mqtt")
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--coordinates", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--flower-rounds", type=int, default=3)
    parser.add_argument("--no-flower", action="store_true")
    parser.add_argument("--json", action="store_true")
    for internal, kind in (("--agent", int), ("--home", Path), ("--link", str)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.agent is not None:
        asyncio.run(serve_agent(asked.home, asked.agent, road(asked.transports), asked.link))
        return 0
    try:
        figures = run(asked)
    except (PeerMissing, RoadMissing) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2
    print(json.dumps(figures, indent=None if asked.json else 1))
    return 0 if float(str(figures.get("ratio", CLAIM))) >= CLAIM else 1


if __name__ == "__main__":
    sys.exit(main())
