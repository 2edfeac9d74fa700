"""What a federated gradient costs over real agents, beside one process, and beside DrJAX's.

    python -m benchmarks.autodiff_agents [--agents 10] [--hidden 125] [--examples 64]
                                         [--rounds 12] [--times 5] [--no-drjax] [--json]

The program of `benchmarks.autodiff_overhead`: value and gradient of a net of 784-hidden-10, one
round. Here each device is an agent process with torch and its own store, the aggregator has its
SQLite file, the client is a process of its own; all of them talk mutual TLS over gRPC on loopback,
masks on. The gradients in one process and by DrJAX are those of that benchmark.

Rules:
- the gradients are compared; a wrong one ends the run;
- a round is what passes at the client between asking and having the gradient; the first `WARM_UP`
  are left out, and the first of all holds waiting for the cohort, and set-up;
- wall time is that of the machine as it is, its load is told; processor time is summed over all
  processes, and divided by parts of the work (`benchmarks.cpu_parts`);
- ratios are to processor time of one thread of the other two, which for them is the wall time of an
  idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import torch
from benchmarks.autodiff_overhead import (
    BITS,
    CLASSES,
    arrays_of,
    beside,
    shapes_of,
    single,
    source_of,
    terms_of,
)
from benchmarks.cpu_parts import CpuParts, Record, between
from benchmarks.rig import machine
from benchmarks.roads import GrpcRoad
from torch import nn

from dreamshare import ArrayData, TorchLearner, autodiff
from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.protocol.outcomes import TaskOver
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator import Aggregator, open_store
from dreamshare_cli.demo.processes import Children
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.identity import Identity
from dreamshare_edge import EdgeAgent, FileStore, Policy

WARM_UP = 2
PATIENCE_S = 540.0


async def serve_agent(asked: argparse.Namespace) -> None:
    """Be one agent until its task is over; leave what its time went into."""
    torch.set_num_threads(1)
    home: Path = asked.home
    shapes = shapes_of(asked.hidden)
    _, x, y = arrays_of(shapes, asked.agents, asked.examples)
    identity = Identity.load(home / "device.key")
    agent = EdgeAgent(
        link=GrpcLink(asked.link, TlsFiles.of(identity)),
        learner=TorchLearner(nn.Flatten(), classes=CLASSES, programs=[source_of(shapes)]),
        data=ArrayData(x[asked.agent], y[asked.agent]),
        algorithms=("autodiff/1",),
        store=FileStore(home / "state"),
        policy=Policy(programs=("net/1:value", "net/1:vjp")),
        identity=identity,
    )
    parts = CpuParts()
    parts.start()
    async with agent:
        async for outcome in agent.outcomes():
            if isinstance(outcome, TaskOver):
                break
    parts.stop()
    (home / "parts.json").write_text(json.dumps(parts.record()))


def ask(asked: argparse.Namespace) -> None:
    """Be the client; leave the rounds' times, the first gradient, and what time went into."""
    torch.set_num_threads(1)
    home: Path = asked.home
    shapes = shapes_of(asked.hidden)
    net, _, _ = arrays_of(shapes, asked.agents, asked.examples)
    terms, tensors = terms_of(shapes), [torch.tensor(array) for array in net.values()]
    identity = Identity.load(home / "operator.key")
    client = Client(GrpcLink(asked.link, TlsFiles.of(identity)), identity)
    cohort, patient = Cohort(asked.agents, asked.agents), Deadlines(120, 120, 120)
    parts = CpuParts()
    parts.start()
    moments, survivors = [], set()
    with autodiff.federation(
        client, (terms,), cohort=cohort, deadlines=patient, deadline_s=PATIENCE_S
    ) as fed:
        both = fed.value_and_grad(lambda *point: fed.mean(terms, *point))
        for number in range(asked.rounds + WARM_UP):
            point = [t + 1e-6 * number for t in tensors]  # nothing is asked twice
            began = time.monotonic_ns()
            _, gradient = both(*point)
            moments.append((began, time.monotonic_ns()))
            survivors.add(fed.ledger[-1].survivors)
            if number == 0:
                first = {name: g.numpy() for name, g in zip(net, gradient, strict=True)}
        wire = fed.ledger[-1].wire
    parts.stop()
    if survivors != {asked.agents}:
        raise SystemExit(f"devices were missing: {survivors}")
    np.savez(home / "gradient.npz", **first)
    (home / "parts.json").write_text(json.dumps(parts.record()))
    figures = {"moments": moments, "wire_down": wire.down, "wire_up": wire.up}
    (home / "client.json").write_text(json.dumps(figures))


async def measure(asked: argparse.Namespace, home: Path) -> dict[str, object]:
    """Run aggregator, agents and client; return the figures of a round."""
    federation = FederationFolder(home / "federation")
    federation.create("grpcs://127.0.0.1:7443", SystemEntropy(), time.time())
    homes = [home / f"{number}" for number in range(asked.agents)]
    for each in homes:
        federation.issue(Role.DEVICE, f"device-{each.name}", each / "device.key")
    identity, way = Identity.load(federation.aggregator), GrpcRoad()
    parts = CpuParts()
    parts.start()
    async with AsyncExitStack() as stack:
        listener = await stack.enter_async_context(way.listener(identity, home, federation))
        store = open_store(f"sqlite:///{home / 'rounds.db'}")
        await stack.enter_async_context(Aggregator([listener], store, identity))
        children = await stack.enter_async_context(Children(home))
        shape = [f"--{n}={getattr(asked, n)}" for n in ("agents", "hidden", "examples", "rounds")]
        command = (sys.executable, "-m", "benchmarks.autodiff_agents", *shape, "--link", way.url)
        running = [
            await children.start(
                f"agent-{each.name}", (*command, "--agent", each.name, "--home", str(each))
            )
            for each in homes
        ]
        place = federation.operator.parent
        client = await children.start("client", (*command, "--client", "--home", str(place)))
        async with asyncio.timeout(PATIENCE_S):
            for child in (client, *running):
                if await child.process.wait():
                    raise SystemExit(f"{child.name} failed:\n{child.tail(40)}")
    parts.stop()
    return summary(asked, home, place, homes, parts)


def summary(
    asked: argparse.Namespace, home: Path, client: Path, agents: list[Path], own: CpuParts
) -> dict[str, object]:
    """Return times of a round, and where they go."""
    found = json.loads((client / "client.json").read_text())
    moments = found["moments"]
    walls = [(ended - began) / 1e6 for began, ended in moments]
    began, ended = moments[WARM_UP][0], moments[-1][1]

    def spent(record: Record) -> Counter[str]:
        each = between(record, began, ended)
        return Counter({part: 1e3 * s / asked.rounds for part, s in each.items()})

    def read(folder: Path) -> Counter[str]:
        return spent(json.loads((folder / "parts.json").read_text()))

    devices: Counter[str] = Counter()
    for folder in agents:
        devices.update(read(folder))
    parts = {"agents": devices, "aggregator": spent(own.record()), "client": read(client)}
    cpu = {who: sum(where.values()) for who, where in parts.items()}
    total: Counter[str] = Counter()
    for where in parts.values():
        total.update(where)
    wall = statistics.median(walls[WARM_UP:])
    return {
        "first_round_ms": round(walls[0], 1),
        "round_ms": round(wall, 1),
        "rounds_ms": [round(each, 1) for each in walls[WARM_UP:]],
        "processor_ms": round(sum(cpu.values()), 1),
        "processor_ms_by": {who: round(ms, 1) for who, ms in cpu.items()},
        "processor_ms_of": {part: round(ms, 1) for part, ms in total.most_common()},
        "processor_ms_by_and_of": {
            who: {part: round(ms, 1) for part, ms in where.most_common()}
            for who, where in parts.items()
        },
        "wire_bytes": {"down": found["wire_down"], "up": found["wire_up"]},
    }


def run(asked: argparse.Namespace) -> dict[str, object]:
    """Return all figures."""
    torch.set_num_threads(1)
    shapes = shapes_of(asked.hidden)
    net, x, y = arrays_of(shapes, asked.agents, asked.examples)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        figures = asyncio.run(measure(asked, home))
        with np.load(home / "federation" / "gradient.npz") as kept:
            found = {name: torch.tensor(kept[name]) for name in net}
    tensors = [torch.tensor(array) for array in net.values()]
    single_s, (loss, gradients) = single(asked, tensors, list(net), x, y)
    true = dict(zip(net, gradients, strict=True))
    apart = max(float((found[name] - true[name]).abs().max()) for name in net)
    if apart > 2 * 1.0 / (2**BITS - 1):
        raise SystemExit(f"the federated gradient is off by {apart}")
    round_s, processor_s = (1e-3 * float(str(figures[n])) for n in ("round_ms", "processor_ms"))
    figures |= {
        "one_process_ms": round(1e3 * single_s, 2),
        "ratio_to_one_process": round(round_s / single_s, 1),
        "processor_ratio_to_one_process": round(processor_s / single_s, 1),
    }
    if not asked.no_drjax:
        theirs = beside(asked, net, x, y, round_s, float(loss), gradients)
        figures |= theirs
        if "drjax_ms" in theirs:
            drjax_s = 1e-3 * float(str(theirs["drjax_ms"]))
            figures["processor_ratio_to_drjax"] = round(processor_s / drjax_s, 1)
    return {
        "machine": machine(),
        "agents": asked.agents,
        "parameters": sum(array.size for array in net.values()),
        "rounds": asked.rounds,
        **figures,
    }


def main() -> int:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=125)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--no-drjax", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    for internal, kind in (("--agent", int), ("--home", Path), ("--link", str)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.agent is None and not asked.client:
        print(json.dumps(run(asked), indent=None if asked.json else 1))
        return 0
    if asked.client:
        ask(asked)
    else:
        asyncio.run(serve_agent(asked))
    # everything is written; wrapped functions can keep the interpreter from ending by itself
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
