"""How a masked round grows: with devices, coordinates, and devices that vanish.

    python -m benchmarks.growth [--json] [--out benchmarks/results/growth.json]

One cohort of real machines at both ends, in one process, without a network. Processor seconds of a
round, medians of `--repeat`: of the aggregator's machine (opening, vectors, unmasking, the result)
and of one device's (masks, signatures, answers; what it learns apart). Devices of one process share
what a signature check or the decoding of a public message gave, which devices of their own could
not. Every sum is compared with the exact one.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

import numpy as np
from benchmarks.rig import machine, output_options, publish
from benchmarks.secagg_parts import one_step

from dreamshare_crypto.secagg.client import ClientEffect, ClientInput
from dreamshare_crypto.secagg.events import ServerEffect, ServerInput, Stage, Summed
from dreamshare_crypto.secagg.once import Once
from tests.sim.secagg.harness import Cohort

BITS, CLIP = 16, 1.0
N, DIMS, DROP = 64, 100_000, 0.0
"""What is the same in the sweeps of the others."""

SIZES = (8, 16, 32, 64, 128)
LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
DROPS = (0.0, 0.05, 0.1, 0.15, 0.2)


class Timed(Cohort):
    """A cohort that adds up processor seconds by who spends them."""

    def __init__(self, n: int, dims: int) -> None:
        self.server_s = self.devices_s = 0.0
        super().__init__(n, one_step(dims, BITS, CLIP, 1, n_max=n), once=Once.shared())

    def serve(self, event: ServerInput) -> tuple[ServerEffect, ...]:
        began = time.process_time()
        effects = self.server.handle(event, self.now)
        self.server_s += time.process_time() - began
        return self.take_server(effects)

    def tell(self, number: int, event: ClientInput) -> tuple[ClientEffect, ...]:
        began = time.process_time()
        effects = self.parties[number].client.handle(event, self.now)
        self.devices_s += time.process_time() - began
        for effect in effects:
            self.carry_out(number, effect)
        return effects


def once(n: int, dims: int, drop: float) -> tuple[float, float]:
    """Return the processor seconds of the aggregator and of all devices in a round."""
    cohort = Timed(n, dims)
    cohort.set_up()
    cohort.server_s = cohort.devices_s = 0.0
    gone = set(range(n - round(drop * n), n))
    outcome = cohort.run_round(
        lambda number, stage: number not in gone or stage is not Stage.MASKED_INPUT
    )
    if not isinstance(outcome, Summed):
        raise SystemExit(f"{n} devices, {len(gone)} of them gone: given up: {outcome}")
    if len(outcome.survivors) != n - len(gone):
        raise SystemExit(f"{len(outcome.survivors)} of {n} devices are in the sum")
    expected = cohort.expected_sum(0, [i for i in range(n) if i not in gone])
    if np.abs(outcome.sums[0] - expected).max() >= CLIP / (2**BITS - 1):
        raise SystemExit("a wrong sum")
    return cohort.server_s, cohort.devices_s


def row(n: int, dims: int, drop: float, repeat: int) -> dict[str, float]:
    """Return a row of figures."""
    print(f"{n} devices, {dims} coordinates, {drop:.0%} vanish", file=sys.stderr, flush=True)
    found = [once(n, dims, drop) for _ in range(repeat)]
    server, devices = (median(values) for values in zip(*found, strict=True))
    return {"n": n, "dims": dims, "drop": drop, "server_s": server, "device_s": devices / n}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeat", type=int, default=3)
    output_options(parser)
    asked = parser.parse_args()
    record = {
        "devices": [row(n, DIMS, DROP, asked.repeat) for n in SIZES],
        "dims": [row(N, dims, DROP, asked.repeat) for dims in LENGTHS],
        "dropouts": [row(N, DIMS, drop, asked.repeat) for drop in DROPS],
        "machine": machine(),
    }
    publish(record, asked)
    return 0


if __name__ == "__main__":
    sys.exit(main())
