"""Claim: 10,000 devices, all of them real machines, run a round of CoDream under masks on 2 cores.

    python -m benchmarks.simulate --devices 10000 [--engine processes] [--dim 7840] [--json]
    python -m benchmarks.simulate --devices 100000 --dim 1 --json

With `--dim` a multiple of 784 it is one round of `codream/1`: dreams of 28 x 28 pixels go out, each
device's own classifier answers with gradients, cohorts of at most `--most` devices in profile C sum
them under masks, and the algorithm merges the mean of all. Any other `--dim` sums that many random
numbers. Machines, drivers and envelopes are those of production, over a memory link and a manual
clock. `seconds` is the whole run by the wall; `setup_seconds` and `round_seconds` are the workers'
CPU seconds in either part over the places that work at a time: what they would take on cores of
their own.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from benchmarks.rig import machine, output_options, peak_mb, publish
from benchmarks.simulate_parts import Classifiers, lookup, one_round

from dreamshare.engine.opening import EngineConfig, open_engine
from dreamshare.simulate.conditions import Conditions, Losses
from dreamshare.simulate.large import LargeOptions, StepDone, simulate_population
from dreamshare.simulate.population import GroupDone

SHARED = "results of signature checks, decoded public messages"


class Progress:
    """Counts groups as they finish, and says so at every tenth part."""

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self._seen = 0
        self._sums: dict[int, bytes] = {}
        self.steps: list[StepDone] = []

    def group(self, done: GroupDone) -> None:
        """A group has finished."""
        self._sums[done.number] = hash_of(done)
        before, self._seen = self._seen, self._seen + done.roster
        if 10 * self._seen // self._devices > 10 * before // self._devices:
            print(f"{self._seen} of {self._devices} devices", file=sys.stderr, flush=True)

    def step(self, done: StepDone) -> None:
        """The step is over."""
        self.steps.append(done)

    def digest(self) -> str:
        """Return a hash of every cohort's sum: the same on every engine."""
        return hashlib.sha256(b"".join(self._sums[each] for each in sorted(self._sums))).hexdigest()


async def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Run once and return the figures."""
    population = Classifiers(arguments.devices, arguments.seed)
    wanted, checkpoint = one_round(arguments.dim, population)
    progress = Progress(arguments.devices)
    options = LargeOptions(
        seed=arguments.seed,
        most=arguments.most,
        conditions=Conditions(losses=Losses(masked_input=arguments.drop)),
        lookup=lookup,
        checkpoint=checkpoint,
        steps=1,
        folder=arguments.folder,
        on_step=progress.step,
        on_group=progress.group,
    )
    config = EngineConfig(arguments.engine, arguments.workers, arguments.address)
    began = time.perf_counter()
    async with open_engine(config) as engine:
        opened = time.perf_counter()
        await simulate_population(wanted, population, engine, options)
        seconds, places = time.perf_counter() - opened, engine.at_once
    groups = progress.steps[0].groups
    survivors = sum(group.survivors for group in groups)
    return {
        "algorithm": wanted[0],
        "devices": arguments.devices,
        "dims": arguments.dim,
        "cohorts": len(groups),
        "largest_cohort": max(group.roster for group in groups),
        "profile": "C",
        "survivors": survivors,
        "failed_cohorts": sum(not group.survivors for group in groups),
        "digest": progress.digest(),
        "engine": arguments.engine,
        "workers": places,
        "start_seconds": opened - began,
        "seconds": seconds,
        "setup_seconds": sum(group.cost.setup_cpu_s for group in groups) / places,
        "round_seconds": sum(group.cost.round_cpu_s for group in groups) / places,
        "devices_per_second": survivors / seconds,
        **memory(groups),
        "kb_up_per_device": sum(group.bytes_up for group in groups) / arguments.devices / 1000,
        "kb_down_per_device": sum(group.bytes_down for group in groups) / arguments.devices / 1000,
        "shared_between_devices": SHARED,
        "machine": machine(),
    }


def hash_of(group: GroupDone) -> bytes:
    """Return a hash of a cohort's sum."""
    said = hashlib.sha256(f"{group.number} {group.survivors} {group.weight_sum!r}".encode())
    for name in sorted(group.mean):
        said.update(np.ascontiguousarray(group.mean[name]).tobytes())
    return said.digest()


def memory(groups: tuple[GroupDone, ...]) -> Mapping[str, float]:
    """Return the largest resident memory: of all processes together, and of the largest worker."""
    own, workers = peak_mb(), dict[str, float]()
    for group in groups:
        workers[group.cost.worker] = max(workers.get(group.cost.worker, 0.0), group.cost.peak_mb)
    apart = [mb for worker, mb in workers.items() if not worker.endswith(f":{os.getpid()}")]
    return {"peak_mb": own + sum(apart), "peak_mb_of_a_worker": max(apart, default=own)}


def main() -> int:
    """Print the figures; return 1 where a cohort without a device lost gave no sum."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=7840, help="numbers of a device's vector")
    parser.add_argument("--most", type=int, default=32, help="devices of a cohort, 3 to 128")
    parser.add_argument("--engine", choices=["local", "processes", "ray"], default="processes")
    parser.add_argument("--workers", type=int, default=0, help="places; 0 for one a core")
    parser.add_argument("--address", default="", help="of a Ray cluster")
    parser.add_argument("--drop", type=float, default=0.0, help="part that vanishes in mid-round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep finished cohorts, and go on from them")
    output_options(parser)
    arguments = parser.parse_args()
    figures = asyncio.run(run(arguments))
    publish(figures, arguments)
    return 0 if arguments.drop or not figures["failed_cohorts"] else 1


if __name__ == "__main__":
    sys.exit(main())
