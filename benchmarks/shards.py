"""Claim: four shards cost a round what `dreamshare plan` says, within 25 %, and so does one.

    python -m benchmarks.shards [--devices 48] [--dims 500000] [--rounds 5] [--shards 1,4]
                                [--units FILE] [--json] [--out FILE]

Root, shards and devices are processes: the root is the real service with its store, shards are
`dreamshare shard`, the devices are those of `aggregator_load`. Per number of shards:

    shard_s, root_s       processor seconds of the busiest shard, and of the root, a round
    predicted_shard_s, predicted_root_s   the same by the plan
    server_s              both together: what a round waits for, where processes share no core
    error                 predicted server_s over measured, less one

Rules: processor time, so that a busy machine changes little; rounds alone, without set-up; the plan
knows nothing of the run but its size, and its units were measured before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.aggregator_load import issue_fleet, load
from benchmarks.aggregator_memory import ANSWER, BITS, DEADLINES, NAME, quiet
from benchmarks.rig import machine, output_options, publish, sums_config

from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort, Submit
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_cli.planning.calibrate import calibrate
from dreamshare_cli.planning.model import Fleet, plan_for
from dreamshare_cli.planning.units import Units
from dreamshare_crypto.identity import Identity
from tests.services import free_port

CLAIM = 0.25
WARM = 1
"""Rounds that are not counted: the first is slower."""


async def serve(folder: Path, port: int, devices: int, dims: int, rounds: int) -> None:
    """Be the root; say when the warm rounds and when all are over, and wait for a line each."""
    identity = Identity.load(folder / "aggregator.key")
    trunks = GrpcListener(f"127.0.0.1:{port}", TlsFiles.of(identity))
    own = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
    store = open_store(f"sqlite:///{folder / f'rounds-{port}.db'}")
    around = Surroundings(lookup=quiet, trunks=trunks, grace_s=60.0)
    async with Aggregator([own], store, identity, around) as aggregator:
        print("open", flush=True)
        config = sums_config(NAME, dims, BITS, WARM + rounds)
        order = Submit(NAME, config, Cohort(devices, devices), DEADLINES, 0, "shards")
        task = await aggregator.order(order)
        done = 0
        async for report in task.reports():
            if report.event == "round":
                done += 1
                if done in (WARM, WARM + rounds):
                    print(done, flush=True)
        mean = (await task.result()).arrays["mean"]
        if float(np.abs(mean - ANSWER).max()) > 16 / 2**BITS:
            raise ConfigError(f"a wrong mean {mean[:3]}")


def processor_s(process: subprocess.Popen[str]) -> float:
    """Return the processor seconds that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(asked: argparse.Namespace, folder: Path, shards: int) -> dict[str, float]:
    """Run one spread; return processor seconds a round of the busiest shard and of the root."""
    me = [sys.executable, "-m", "benchmarks.shards", "--devices", str(asked.devices)]
    me += ["--dims", str(asked.dims), "--rounds", str(asked.rounds)]
    trunks, ports = free_port(), [free_port() for _ in range(shards)]
    started: list[subprocess.Popen[str]] = []

    def start(*command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([*command], stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    try:
        root = start(*me, "--serve", str(folder), "--port", str(trunks))
        said = root.stdout or sys.stdin
        said.readline()
        command = [sys.executable, "-m", "dreamshare_cli", "shard", f"grpcs://127.0.0.1:{trunks}"]
        command += ["--identity", str(folder / "aggregator.key"), "--listen"]
        edges = [start(*command, f"grpcs://127.0.0.1:{port}") for port in ports]
        links = ",".join(f"grpcs://127.0.0.1:{port}" for port in ports)
        start(*me, "--load", str(folder), "--links", links)
        marks = []
        for _ in range(2):
            if not said.readline():
                raise SystemExit("the root ended before its rounds")
            marks.append([processor_s(process) for process in (root, *edges)])
    finally:
        for process in started:
            process.kill()
            process.wait()
    used = [(after - before) / asked.rounds for before, after in zip(*marks, strict=True)]
    return {"root_s": used[0], "shard_s": max(used[1:])}


def row(asked: argparse.Namespace, folder: Path, shards: int, units: Units) -> dict[str, float]:
    """Return the figures of one number of shards, measured and predicted."""
    found = measure(asked, folder, shards)
    fleet = Fleet(asked.devices, asked.dims, BITS, cohort=asked.devices, shards=shards)
    plan = plan_for(fleet, units)
    server, predicted = found["root_s"] + found["shard_s"], plan.root_s + plan.shard_s
    return {
        "shards": shards,
        **found,
        "server_s": server,
        "predicted_shard_s": plan.shard_s,
        "predicted_root_s": plan.root_s,
        "predicted_server_s": predicted,
        "error": predicted / server - 1,
    }


def main() -> int:
    """Print the figures; return 0 where the plan was right within 25 %."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--devices", type=int, default=48)
    parser.add_argument("--dims", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", default="1,4", help="numbers of shards, comma-separated")
    parser.add_argument("--units", type=Path, help="file of `dreamshare plan`; measured otherwise")
    output_options(parser)
    for internal, kind in (("--serve", Path), ("--load", Path), ("--port", int), ("--links", str)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        asyncio.run(serve(asked.serve, asked.port, asked.devices, asked.dims, asked.rounds))
        return 0
    if asked.load is not None:
        links, ahead = asked.links.split(","), 600_000_000
        asyncio.run(load(asked.load, links, asked.devices, NAME, asked.dims, ahead))
        return 0
    units = calibrate() if asked.units is None else Units.load(asked.units)
    with tempfile.TemporaryDirectory() as place:
        issue_fleet(Path(place), asked.devices)
        rows = [row(asked, Path(place), int(shards), units) for shards in asked.shards.split(",")]
    first, last = rows[0], rows[-1]
    fall = last["server_s"] / first["server_s"]
    expected = last["predicted_server_s"] / first["predicted_server_s"]
    record = {
        "devices": asked.devices,
        "dims": asked.dims,
        "rounds": asked.rounds,
        "rows": rows,
        "fall": fall,
        "predicted_fall": expected,
        "machine": machine(),
    }
    publish(record, asked)
    return 0 if abs(expected / fall - 1) <= CLAIM else 1


if __name__ == "__main__":
    sys.exit(main())
