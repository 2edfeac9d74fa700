"""Claim: an aggregator takes the vectors of 2,000 devices, d = 1,000,000 each, in less than 1 GB.

    python -m benchmarks.aggregator_memory [--devices 2000] [--dims 1000000] [--neighbours 8]
                                           [--json] [--out FILE]

The aggregator is the real service in a process of its own: SQLite store, gRPC with mutual TLS, one
cohort of all devices, one epoch, one masked sum. The load generator (`aggregator_load`) holds all
the devices in another process; the rules there say what they share and leave out. The sum is
compared with the right one.

    peak_mb               the aggregator's largest resident memory from start to end
    started_mb            the same before the first device came
    connected_mb          resident when all devices had checked in
    set_up_mb             the largest until the round was opened: keys and boxes of the epoch
    vectors_mb            bytes of all masked vectors, which were never there together
    round_seconds         from the round's opening to its sum, devices' masking included

Rules: MB are 10^6 bytes; devices share the machine with their aggregator, so times say little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.aggregator_load import issue_fleet, load, narrow
from benchmarks.rig import (
    Mean,
    Sums,
    machine,
    output_options,
    peak_mb,
    publish,
    resident_kb,
    sums_config,
)

from dreamshare.algorithms.base import Algorithm, Ask, Done, Tell
from dreamshare.errors import ConfigError
from dreamshare.protocol.messages import Cohort, Deadlines, Submit
from dreamshare.transport.grpc import GrpcListener
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.allocation import give_large_blocks_back
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_crypto.identity import Identity

NAME = "load/1"
BITS = 16
CLAIM_MB = 1000.0
DEADLINES = Deadlines(3600, 7200, 3600)
ANSWER = 0.25
GRACE_S = 600.0  # both ends share a machine: a starved device is not a lost one


class Quiet(Sums):
    """Sums whose plan carries nothing: only vectors are large here."""

    def plan(self, state: Mean) -> Ask | Tell | Done:
        asked = super().plan(state)
        if not isinstance(asked, Ask):
            return asked
        small = {"round": np.full(1, state.rounds, dtype=np.int64)}
        return Ask(asked.step, asked.fields, small, asked.sums, asked.cycle)


def quiet(_name: str, config: bytes) -> Algorithm[object]:
    """Return the one algorithm that there is."""
    return Quiet(config)


async def serve(folder: Path, devices: int, dims: int, rounds: int) -> dict[str, float]:
    """Be the aggregator: say the port, run one task, return the figures."""
    give_large_blocks_back()
    identity = Identity.load(folder / "aggregator.key")
    listener = GrpcListener("127.0.0.1:0", TlsFiles.of(identity))
    store = open_store(f"sqlite:///{folder / 'rounds.db'}")
    figures = {"started_mb": resident_kb() / 1e3}
    around = Surroundings(lookup=quiet, grace_s=GRACE_S)
    async with Aggregator([listener], store, identity, around) as aggregator:
        print(listener.port, flush=True)
        config = sums_config(NAME, dims, BITS, rounds)
        cohort = Cohort(devices, devices)
        task = await aggregator.order(Submit(NAME, config, cohort, DEADLINES, 0, "load"))
        while len([each for each in aggregator.devices() if each.connected]) < devices:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        figures["connected_mb"] = resident_kb() / 1e3
        opened = time.perf_counter()
        async for report in task.reports():
            print(f"{report.event}: {report.status.detail}", file=sys.stderr, flush=True)
            if report.event == "epoch":
                figures["set_up_mb"] = peak_mb()
                opened = time.perf_counter()
        figures["round_seconds"] = time.perf_counter() - opened
        mean = (await task.result()).arrays["mean"]
        if float(np.abs(mean - ANSWER).max()) > 16 / 2**BITS:
            raise ConfigError(f"a wrong mean {mean[:3]}")
    return figures | {"peak_mb": peak_mb()}


def measure(asked: argparse.Namespace) -> dict[str, float]:
    """Make a federation, start both processes, return the aggregator's figures."""
    me = [sys.executable, "-m", "benchmarks.aggregator_memory"]
    for option in ("devices", "dims", "neighbours", "rounds"):
        me += [f"--{option}", str(getattr(asked, option))]
    with tempfile.TemporaryDirectory() as place:
        issue_fleet(Path(place), asked.devices)
        server = subprocess.Popen([*me, "--serve", place], stdout=subprocess.PIPE, text=True)
        devices = None
        try:
            port = int((server.stdout or sys.stdin).readline())
            command = [*me, "--load", place, "--port", str(port), "--ahead", str(asked.ahead)]
            devices = subprocess.Popen(command, stdin=subprocess.PIPE)
            said, _ = server.communicate()
        finally:
            server.kill()
            if devices is not None:
                devices.kill()
                devices.wait()
        if server.returncode:
            raise SystemExit(f"the aggregator ended with status {server.returncode}")
    figures: dict[str, float] = json.loads(said)
    return figures


def main() -> int:
    """Print the figures; return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--dims", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1, help="masked sums, each of all devices")
    parser.add_argument("--neighbours", type=int, default=8, help="above 128 devices; 0: SA-2's k")
    parser.add_argument("--ahead", type=int, default=1500, help="MB computed and not sent yet")
    output_options(parser)
    for internal, kind in (("--serve", Path), ("--load", Path), ("--port", int)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve is not None:
        with narrow(asked.neighbours):
            figures = asyncio.run(serve(asked.serve, asked.devices, asked.dims, asked.rounds))
        print(json.dumps(figures))
        return 0
    if asked.load is not None:
        link, ahead = f"grpcs://127.0.0.1:{asked.port}", asked.ahead * 1_000_000
        with narrow(asked.neighbours):
            asyncio.run(load(asked.load, [link], asked.devices, NAME, asked.dims, ahead))
        return 0
    record: dict[str, object] = {
        "devices": asked.devices,
        "dims": asked.dims,
        "rounds": asked.rounds,
        "neighbours": asked.neighbours,
        "vectors_mb": asked.rounds * asked.devices * asked.dims * 4 / 1e6,
    }
    figures = measure(asked)
    record |= {name: round(value, 1) for name, value in figures.items()}
    record["machine"] = machine()
    publish(record, asked)
    return 0 if figures["peak_mb"] < CLAIM_MB else 1


if __name__ == "__main__":
    sys.exit(main())
